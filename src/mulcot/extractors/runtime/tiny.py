"""The tiny backbone's vision tower: its merged tokens, brought to one size, and where in the picture each lies.

The tower knows positions only as turned queries and keys, so its tokens do not say where they are, as those of a ViT
do. Four values beside them do: cosine and sine of row and column, over half a circle.

Letters: B pictures, N patches, F values of a patch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mulcot.backbones.tiny import Tiny
from mulcot.backbones.vlm.picture_patches import PatchProcessor
from mulcot.extractors.runtime.loaded import Array, LoadedExtractor
from mulcot.records import Json

PLACES = 2.0
"""How large the four values are; the others have a mean square of 1."""


class TinyExtractor(LoadedExtractor):
    """The tower behind the tiny backbones."""

    def __init__(self, tower: torch.nn.Module, pictures: PatchProcessor, device: str) -> None:
        super().__init__(tower, device)
        self.pictures = pictures

    @property
    def width(self) -> int:
        """See `LoadedExtractor.width`."""
        return int(self.tower.config.out_hidden_size) + 4  # type: ignore[union-attr, arg-type]

    def prepare(self, picture: Image.Image) -> Array:
        """See `LoadedExtractor.prepare`."""
        return self.pictures.patches(picture)[0]

    def describe(self) -> Json:
        """See `LoadedExtractor.describe`."""
        return {"layer": "merged", "scale": "rms", "places": PLACES, "pictures": self.pictures.describe()}

    def look(self, prepared: Sequence[Array]) -> Tensor:
        """See `LoadedExtractor.look`."""
        pixels = torch.from_numpy(np.concatenate(prepared)).to(self.device)
        side = round(len(prepared[0]) ** 0.5)
        grid = torch.tensor([[1, side, side]] * len(prepared), device=self.device)
        merged: Tensor = self.tower(pixels, grid_thw=grid).pooler_output
        patches_BNF = merged.view(len(prepared), -1, merged.shape[-1])
        patches_BNF = patches_BNF / patches_BNF.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-6)
        places_NF = _places(patches_BNF.shape[1]).to(patches_BNF)
        return torch.cat([patches_BNF, places_NF.expand(len(prepared), -1, -1)], dim=-1)


def _places(patches: int) -> Tensor:
    """The four values of every patch of a square picture, row by row."""
    side = round(patches**0.5)
    number_N = torch.arange(patches)
    angles_2N = torch.stack([number_N // side, number_N % side]) * (math.pi / max(1, side - 1))
    return PLACES * torch.cat([angles_2N.cos(), angles_2N.sin()]).T


def load_tiny(size: Literal["assistant", "student"], device: str) -> TinyExtractor:
    """The tower out of a tiny backbone."""
    backbone = Tiny(size=size).load(trainable=False)
    return TinyExtractor(backbone.network.inner.model.visual, backbone.pictures, device)
