"""What the vision tower sees in the pictures of a batch, kept on disk where that is wished.

    vision/<tower>/ab/abcdef...    a SHA-256, then the features of one picture as safetensors

A file is named after everything that decides its bits: the patches themselves, the tower's weights and settings, and
what it was computed on. So nothing ever gets outdated, and stages and runs may share a folder. Files appear whole; one
that does not fit its SHA-256 is made again.

Matrix products of another size differ in their last bits, so the features of a picture depend on its batch unless the
tower takes pictures one by one. It does so wherever features are kept; and on the CPU, where a stage could keep them
but was not told to (`batch_invariant`), so that keeping them changes nothing. Everywhere else it takes all pictures at
once, which is faster.

Letters: N patches, F values of a patch, I pictures.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

RECOUNT = 64
"""New files between two looks at how much the folder holds, which other processes fill as well."""


class VisionFeatures(NamedTuple):
    """Features as the language model takes them, named as transformers does; a tensor per picture."""

    pooler_output: tuple[Tensor, ...]
    deepstack_features: tuple[tuple[Tensor, ...], ...]
    """For families that feed several layers: one entry per layer."""


def vision_features(
    model: Any, pixels_NF: Tensor, grids_I3: Tensor, vision_cache: VisionCache | None, *, batch_invariant: bool
) -> VisionFeatures:
    """The features of all pictures; `model` is the transformers model without its head."""
    frozen = not any(weight.requires_grad for weight in model.visual.parameters())
    alone = vision_cache is not None or (batch_invariant and pixels_NF.device.type == "cpu")
    if not (frozen and alone):
        return _look(model, pixels_NF, grids_I3)
    sizes = [time * height * width for time, height, width in grids_I3.tolist()]
    found = []
    with torch.no_grad():
        for pixels_nF, grid in zip(torch.split(pixels_NF, sizes), grids_I3[:, None], strict=True):
            features = vision_cache.get(pixels_nF, grid) if vision_cache else None
            if features is None:
                features = _look(model, pixels_nF, grid)
                if vision_cache:
                    vision_cache.put(pixels_nF, grid, features)
            found.append(features)
    return _together(found)


def _look(model: Any, pixels_NF: Tensor, grids_I3: Tensor) -> VisionFeatures:
    out = model.get_image_features(pixels_NF, grids_I3, return_dict=True)
    deep = getattr(out, "deepstack_features", None) or ()
    return VisionFeatures(tuple(out.pooler_output), tuple(tuple(layer) for layer in deep))


def _together(found: Sequence[VisionFeatures]) -> VisionFeatures:
    layers = zip(*(one.deepstack_features for one in found), strict=True)
    deep = tuple(tuple(part for parts in layer for part in parts) for layer in layers)
    return VisionFeatures(tuple(part for one in found for part in one.pooler_output), deep)


class VisionCache:
    """Features of single pictures on disk, for one tower. What cannot be read or written is computed as without it."""

    def __init__(self, folder: Path, tower: nn.Module, limit: float) -> None:
        self.folder = folder
        self.tower = tower_hash(tower)
        self.limit = limit
        """Bytes in `folder`, for all its towers; when they are used up, nothing more is kept."""
        self.held = self._size()
        self.new = 0

    def get(self, pixels_NF: Tensor, grid_13: Tensor) -> VisionFeatures | None:
        """What was seen in this picture; None where it is not known, or damaged."""
        with suppress(OSError, SafetensorError):
            whole = self._path(pixels_NF, grid_13).read_bytes()
            if hashlib.sha256(whole[32:]).digest() == whole[:32]:
                first, *deep = (part.to(pixels_NF.device) for _, part in sorted(load(whole[32:]).items()))
                return VisionFeatures((first,), tuple((layer,) for layer in deep))
        return None

    def put(self, pixels_NF: Tensor, grid_13: Tensor, features: VisionFeatures) -> None:
        """Stores what was seen, while there is room."""
        parts = [features.pooler_output[0], *(layer[0] for layer in features.deepstack_features)]
        data = save({f"{number:03d}": part.cpu().contiguous() for number, part in enumerate(parts)})
        self.new += 1
        if self.new % RECOUNT == 0:
            self.held = self._size()
        self.held += len(data) + 32
        if self.held > self.limit:
            return
        path = self._path(pixels_NF, grid_13)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(hashlib.sha256(data).digest() + data)
            part.replace(path)

    def _path(self, pixels_NF: Tensor, grid_13: Tensor) -> Path:
        digest = hashlib.sha256(f"{grid_13.tolist()} {pixels_NF.dtype}".encode())
        digest.update(_bytes(pixels_NF))
        key = digest.hexdigest()
        return self.folder / self.tower / key[:2] / key

    def _size(self) -> int:
        return sum(_size(path) for path in self.folder.rglob("*"))


def tower_hash(tower: nn.Module) -> str:
    """A hash of what turns patches into features: weights, settings, libraries, and what computes."""
    config: Any = tower.config
    what = [config.to_json_string(), config._attn_implementation, *_machine(tower)]
    digest = hashlib.sha256("\n".join(what).encode())
    for name, weight in sorted(tower.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(_bytes(weight))
    return digest.hexdigest()[:32]


def _machine(tower: nn.Module) -> Iterator[str]:
    yield from (torch.__version__, transformers.__version__)
    device = next(tower.parameters()).device
    if device.type == "cuda":
        yield torch.cuda.get_device_name(device)
    else:  # sums are split up by the instructions and the threads there are
        yield f"{device.type} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"


def _bytes(tensor: Tensor) -> Any:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return np.ascontiguousarray(flat.numpy()).data


def _size(path: Path) -> int:
    with suppress(OSError):  # another process may have renamed it
        return path.lstat().st_size if path.is_file() else 0
    return 0
