"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL, dense or mixture of experts, from a folder or a hub name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from mulcot.backbones.base import PROJECTIONS, Backbone, Lora, backbones

if TYPE_CHECKING:
    from mulcot.backbones.vlm.loaded import LoadedModel

Family = Literal["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"]


@backbones.register("qwen_vl")
class QwenVL(Backbone):
    """Options of the Qwen vision-language models."""

    model: str = "Qwen/Qwen2.5-VL-3B-Instruct"
    """A model folder, or a name on the Hugging Face hub. Published: Qwen2.5-VL-7B-Instruct as assistant, the
    3B one as student."""

    def load(self, device: str = "cpu", *, adapter: Path | None = None, trainable: bool = True) -> LoadedModel:
        """See `Backbone.load`."""
        from mulcot.backbones.vlm.qwen import load_qwen

        return load_qwen(self, self.model, device, adapter, trainable)

    @classmethod
    def demo(cls, folder: Path, family: Family = "qwen2_5_vl") -> Self:
        """See `Backbone.demo`; `family` picks the architecture."""
        from mulcot.backbones.vlm.random_model import write_demo

        write_demo(folder, family)
        # The experts of a mixture are one tensor each, which adapters for linear layers do not reach.
        modules = PROJECTIONS[:4] if family == "qwen3_vl_moe" else PROJECTIONS
        return cls(model=str(folder), image_size=56, dtype="fp32", lora=Lora(modules=modules))
