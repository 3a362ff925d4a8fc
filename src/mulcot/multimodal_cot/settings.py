"""Options of the fused T5, importable without torch, and how a saved one is read back.

It is no `Backbone`: that interface is about decoders that place pictures between words. This model reads features that
were extracted before, so it takes `Question`s and has no picture of its own to prepare.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from mulcot.backbones.base import Lora
from mulcot.errors import MulcotError
from mulcot.predict.model_folders import FUSION_FILE
from mulcot.records import Json
from mulcot.settings import Settings, volatile

TINY = "tiny"


class T5Fusion(Settings):
    """A T5 whose encoder output is mixed with picture features."""

    name: ClassVar[str] = "t5_fusion"

    model: str = "declare-lab/flan-alpaca-base"
    """A folder or a hub name of any T5: FLAN-Alpaca, FLAN-T5, UnifiedQA. `tiny` is a small one that ships with the
    package, for synthetic questions on a CPU. Published: declare-lab/flan-alpaca-base and -large."""
    max_source: int = Field(default=512, ge=8)
    """Tokens that are read; what a question marks as long is shortened first."""
    max_target: int = Field(default=512, ge=2)
    """Tokens that are learned from. Published: 512 for rationales, 64 for answers."""
    lora: Lora | None = None
    """Adapters, next to the fusion layers, which always learn; null trains all weights, as published. T5's linear
    layers end in q, k, v, o, wi_0, wi_1 and wo."""
    dtype: Literal["bf16", "fp32"] = "bf16"
    """Of the arithmetic; weights that learn are kept in fp32. Published: fp32."""
    published_blank_patches: bool = False
    """Let questions without a picture attend to blank patches, as the published code does, instead of leaving the
    text as it is."""
    gradient_checkpointing: bool = volatile(False)
    """Less memory for a quarter more time."""


def saved_fusion(folder: Path, **changes: Any) -> tuple[T5Fusion, Json | None]:
    """The settings of the model that `FusionModel.save` wrote into `folder`, and what it is fused with."""
    try:
        saved = json.loads((folder / FUSION_FILE).read_text(encoding="utf-8"))
        settings = T5Fusion.model_validate({**saved["settings"], **changes})
        return settings, saved["vision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = f"It needs a {FUSION_FILE}; give the folder that training wrote."
        raise MulcotError(f"{folder} holds no fused T5: {error!r}", hint=hint) from error
