"""A T5 that looks at pictures: rationale first, then the answer. Settings and questions here; `model` needs torch."""

from mulcot.multimodal_cot.questions import EncodedQuestion, Question, Shortenable
from mulcot.multimodal_cot.settings import T5Fusion, saved_fusion

__all__ = ["EncodedQuestion", "Question", "Shortenable", "T5Fusion", "saved_fusion"]
