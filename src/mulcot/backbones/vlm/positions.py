"""Rope positions on three axes: text counts on all at once, a picture spans a box of time, height and width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mulcot.backbones.vlm.picture_patches import Grid

AXES = 3


def rope_positions(ids: Sequence[int], picture_token: int, grids: Sequence[Grid], merge: int) -> npt.NDArray[np.int64]:
    """The positions of a prefix; after a picture, text goes on behind its longer side."""
    places = np.asarray(ids)
    parts: list[npt.NDArray[np.int64]] = []
    position = done = 0
    for time, height, width in grids:
        box = (time, height // merge, width // merge)
        text = int(np.argmax(places[done:] == picture_token))
        parts.append(_count(position, text))
        parts.append(np.indices(box).reshape(AXES, -1) + position + text)
        position += text + max(box[1:])
        done += text + box[0] * box[1] * box[2]
    parts.append(_count(position, len(places) - done))
    return np.concatenate(parts, axis=1)


def _count(start: int, length: int) -> npt.NDArray[np.int64]:
    return np.tile(np.arange(start, start + length, dtype=np.int64), (AXES, 1))
