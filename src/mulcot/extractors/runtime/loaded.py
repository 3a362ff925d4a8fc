"""A loaded extractor: pictures in, patches out.

Letters: B pictures, N patches, F values of a patch.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from mulcot.records import Json

Array = npt.NDArray[Any]


class LoadedExtractor(ABC):
    """The base class: a family adds how pictures are prepared and what is taken from the tower."""

    def __init__(self, tower: nn.Module, device: str) -> None:
        self.tower = tower.to(device).eval().requires_grad_(False)
        self.device = device

    @property
    @abstractmethod
    def width(self) -> int:
        """Values per patch."""

    @abstractmethod
    def prepare(self, picture: Image.Image) -> Array:
        """One picture as the tower wants it; may be called from several threads."""

    @abstractmethod
    def describe(self) -> Json:
        """Everything besides the weights that decides the features."""

    @abstractmethod
    def look(self, prepared: Sequence[Array]) -> Tensor:
        """The patches of several prepared pictures, as B x N x F."""

    def extract(self, prepared: Sequence[Array]) -> list[Array]:
        """The patches of every picture, as fp32."""
        with torch.inference_mode():
            patches_BNF = self.look(prepared).float().cpu().numpy()
        return list(np.ascontiguousarray(patches_BNF))

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        for name, value in sorted(self.tower.state_dict().items()):
            digest.update(f"{name}:{tuple(value.shape)}:{value.dtype}".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """A hash of weights and preprocessing: equal extractors make equal features."""
        return self._fingerprint
