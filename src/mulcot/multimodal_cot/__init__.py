"""A T5 that looks at pictures: rationale first, then the answer. Settings and questions here; `model` needs torch."""

from mulcot.multimodal_cot.questions import EncodedQuestion, Shortenable, T5Question
from mulcot.multimodal_cot.settings import T5Fusion, saved_fusion

__all__ = ["EncodedQuestion", "Shortenable", "T5Fusion", "T5Question", "saved_fusion"]
