"""The tiny T5 that ships with the package; `mulcot tiny build --which t5` makes it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, T5ForConditionalGeneration

from mulcot.multimodal_cot.settings import saved_fusion

FOLDER = Path(__file__).parent / "weights" / "t5"


def shipped_t5() -> tuple[T5ForConditionalGeneration, PreTrainedTokenizerBase]:
    """The T5 in fp32, and its tokenizer."""
    return T5ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32), AutoTokenizer.from_pretrained(
        FOLDER
    )


def shipped_fusion(extractor_hash: str) -> dict[str, Tensor] | None:
    """The layer that it learned to look with; None for features of another extractor than it learned with."""
    _, vision = saved_fusion(FOLDER)
    if vision is None or vision["extractor_hash"] != extractor_hash:
        return None
    return {name: weight.float() for name, weight in load_file(FOLDER / "fusion.safetensors").items()}
