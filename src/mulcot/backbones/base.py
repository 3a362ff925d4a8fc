"""What every backbone promises: settings that can be checked without torch, and `load`, which needs it.

This is the one family whose implementation is imported inside a method: the recipe is read where torch is not
installed, so everything that imports torch lies in the sub-package `vlm`.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from mulcot.backbones.vlm.encoded import Layout
from mulcot.errors import MulcotError
from mulcot.registry import Registry
from mulcot.settings import Settings, volatile
from mulcot.tasks.base import Prompt

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel

BACKBONE_FILE = "backbone.json"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lora(Settings):
    """Low-rank adapters. The defaults are the published student's; the published assistant has dropout 0.2."""

    rank: int = Field(default=16, ge=1)
    """Rank of the update."""
    alpha: float = Field(default=32, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout on the adapters' input."""
    modules: tuple[str, ...] = Field(default=PROJECTIONS, min_length=1)
    """Endings of module paths, such as `q_proj` or `blocks.3.attn.qkv`, looked for in the part that is `trained`."""


class Backbone(Settings):
    """The base class of all backbones."""

    trained: Literal["language", "vision", "both"] = "language"
    """Which part learns. `both` with the default modules is what the published code does: the language model and the
    feed-forward layers of the vision tower."""
    lora: Lora | None = Lora()
    """Adapters; null trains the weights of the part themselves."""
    image_size: int | None = Field(default=280, ge=28)
    """Every picture becomes a square of this side; null keeps its shape within the model's own pixel limits."""
    dtype: Literal["bf16", "fp32"] = "bf16"
    """Of the frozen weights and of the arithmetic; adapters are kept in fp32."""
    layout: Layout = "shared_prefix"
    """How an example is read, in training and in answering: in one row whose branches share the prefix, or in ordinary
    causal rows, which any attention can take; a model whose attention cannot take the mask of the first gets the
    second. Both give the same losses, gradients and answers, up to rounding."""
    attention: Literal["sdpa", "flex"] = volatile("sdpa")
    """`flex` is FlexAttention, for GPUs only."""
    gradient_checkpointing: bool = volatile(False)
    """Less memory for a quarter more time."""
    vision_cache: float | None = volatile(None, gt=0)
    """GiB of disk, in the run's folder `vision`, for what a tower that does not learn sees, so that it looks at each
    picture once; null keeps nothing. The features are the same bit for bit."""

    @abstractmethod
    def load(self, device: str = "cpu", *, adapter: Path | None = None, trainable: bool = True) -> LoadedModel:
        """The model on a device.

        With `adapter`, a folder that `LoadedModel.save` wrote, its weights are in place and its preprocessing has been
        checked. Without `trainable` nothing can be trained and no new adapter is made.
        """

    @classmethod
    @abstractmethod
    def demo(cls, folder: Path) -> Self:
        """A tiny model with random weights, made in code inside `folder`; contract tests and docs use it."""


backbones: Registry[Backbone] = Registry("backbone", "mulcot.backbones", Backbone)  # type: ignore[type-abstract]


def saved_backbone(folder: Path, **changes: Any) -> Backbone:
    """The settings of the model in `folder`, which `LoadedModel.save` wrote; `changes` replace some of them."""
    path = folder / BACKBONE_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        name = saved.pop("name")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise MulcotError(f"{folder} is no model folder: {error!r}", hint=f"It needs a {BACKBONE_FILE}.") from error
    return backbones.get(name).model_validate({**saved, **changes})


def load_folder(folder: Path, device: str = "cpu", *, trainable: bool = False, **changes: Any) -> LoadedModel:
    """The trained model in `folder`, with the settings and the preprocessing it was trained with."""
    return saved_backbone(folder, **changes).load(device, adapter=folder, trainable=trainable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question to the model and, in training, its answer."""

    prompt: Prompt
    target: str | None = None
    choices: tuple[str, ...] = ()
    """Every label of the label set, written as a target; only where their scores are wanted."""
