"""Pictures to patches: a fixed square or the model's own limits, then the family's stock processor on Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mulcot.errors import MulcotError

Grid = tuple[int, int, int]


class PatchProcessor:
    """The picture half of the preprocessing."""

    def __init__(self, processor: Any, image_size: int | None) -> None:
        self.processor = processor
        self.image_size = image_size
        unit = processor.patch_size * processor.merge_size
        if image_size is not None and image_size % unit:
            lower = max(unit, image_size // unit * unit)
            raise MulcotError(
                f"image_size {image_size} is not a multiple of {unit} (patch {processor.patch_size} x merge "
                f"{processor.merge_size})",
                hint=f"Use {lower} or {lower + unit}, or null to keep each picture's shape.",
            )

    def patches(self, picture: Image.Image) -> tuple[npt.NDArray[np.float32], Grid]:
        """One picture as rows of patch values, and its size in patches: time, height, width."""
        picture = picture.convert("RGB")
        if self.image_size is not None:
            picture = picture.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        out = self.processor(images=[picture], return_tensors="np")
        time, height, width = (int(side) for side in out["image_grid_thw"][0])
        return np.asarray(out["pixel_values"], dtype=np.float32), (time, height, width)

    def tokens(self, grid: Grid) -> int:
        """How many tokens of the model a picture of this grid becomes."""
        time, height, width = grid
        return time * height * width // int(self.processor.merge_size) ** 2

    def describe(self) -> dict[str, Any]:
        """Everything that decides the patches, as plain JSON."""
        processor = self.processor
        return {
            "image_size": self.image_size,
            "limits": dict(processor.size),
            "patch_size": processor.patch_size,
            "temporal_patch_size": processor.temporal_patch_size,
            "merge_size": processor.merge_size,
            "mean": [float(value) for value in processor.image_mean],
            "std": [float(value) for value in processor.image_std],
            "resample": int(processor.resample),
        }
