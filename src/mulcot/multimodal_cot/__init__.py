"""A T5 that looks at pictures: rationale first, then the answer. Settings and questions here; `model` needs torch."""

from mulcot.multimodal_cot.questions import EncodedQuestion, Long, Question
from mulcot.multimodal_cot.settings import T5Fusion, saved_fusion

__all__ = ["EncodedQuestion", "Long", "Question", "T5Fusion", "saved_fusion"]
