"""The tiny backbone's vision tower: its merged tokens, brought to one size.

Letters: B pictures, N patches, F values of a patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mulcot.backbones.runtime.pictures import Pictures
from mulcot.backbones.tiny import Tiny
from mulcot.extractors.runtime.loaded import Array, LoadedExtractor
from mulcot.records import Json


class TinyExtractor(LoadedExtractor):
    """The tower behind the tiny backbones."""

    def __init__(self, tower: torch.nn.Module, pictures: Pictures, device: str) -> None:
        super().__init__(tower, device)
        self.pictures = pictures

    @property
    def width(self) -> int:
        """See `LoadedExtractor.width`."""
        return int(self.tower.config.out_hidden_size)  # type: ignore[union-attr, arg-type]

    def prepare(self, picture: Image.Image) -> Array:
        """See `LoadedExtractor.prepare`."""
        return self.pictures.patches(picture)[0]

    def describe(self) -> Json:
        """See `LoadedExtractor.describe`."""
        return {"layer": "merged", "scale": "rms", "pictures": self.pictures.describe()}

    def look(self, prepared: Sequence[Array]) -> Tensor:
        """See `LoadedExtractor.look`."""
        pixels = torch.from_numpy(np.concatenate(prepared)).to(self.device)
        side = round(len(prepared[0]) ** 0.5)
        grid = torch.tensor([[1, side, side]] * len(prepared), device=self.device)
        merged: Tensor = self.tower(pixels, grid_thw=grid).pooler_output
        patches_BNF = merged.view(len(prepared), -1, self.width)
        return patches_BNF / patches_BNF.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-6)


def load_tiny(size: Literal["assistant", "student"], device: str) -> TinyExtractor:
    """The tower out of a tiny backbone."""
    backbone = Tiny(size=size).load(trainable=False)
    return TinyExtractor(backbone.network.inner.model.visual, backbone.pictures, device)
