"""The two small models that ship with the package: they run on any CPU, without a network. See docs/tiny.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field

from mulcot.backbones.base import Backbone, backbones

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel

WEIGHTS = Path(__file__).parent / "weights"


@backbones.register("tiny")
class Tiny(Backbone):
    """Options of the tiny models, which see drawn pictures and read drawn posts."""

    size: Literal["assistant", "student"] = "student"
    """The larger one is meant as assistant, the smaller one as student."""
    image_size: int | None = Field(default=84, ge=28)
    """Every picture becomes a square of this side; the weights were made for 84."""
    dtype: Literal["bf16", "fp32"] = "fp32"
    """Of the frozen weights and of the arithmetic; most CPUs are slow at bf16."""

    def load(self, device: str = "cpu", *, adapter: Path | None = None, trainable: bool = True) -> LoadedModel:
        """See `Backbone.load`."""
        from mulcot.backbones.vlm.qwen import load_qwen

        return load_qwen(self, WEIGHTS / self.size, device, adapter, trainable)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """See `Backbone.demo`; the student itself is small enough."""
        return cls(size="student")
