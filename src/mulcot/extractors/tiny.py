"""The vision tower of the tiny backbones that ship with the package: it sees drawn pictures, on any CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from mulcot.extractors.base import Extractor, extractors

if TYPE_CHECKING:
    from mulcot.extractors.runtime.loaded import LoadedExtractor


@extractors.register("tiny")
class TinyTower(Extractor):
    """Options of the tiny tower."""

    size: Literal["assistant", "student"] = "student"
    """Whose tower; the student's gives 9 patches of 132 values, the assistant's of 260. The last four say where the
    patch is."""

    def load(self, device: str = "cpu") -> LoadedExtractor:
        """See `Extractor.load`."""
        from mulcot.extractors.runtime.tiny import load_tiny

        return load_tiny(self.size, device)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """See `Extractor.demo`; the tower itself is small enough."""
        return cls()
