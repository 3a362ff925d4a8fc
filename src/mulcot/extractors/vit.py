"""Vision transformers: the features of the published system, a ViT-L of 32-pixel patches at 384 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from mulcot.extractors.base import Extractor, extractors

if TYPE_CHECKING:
    from mulcot.extractors.runtime.loaded import LoadedExtractor


@extractors.register("vit")
class Vit(Extractor):
    """Options of vision transformers."""

    model: str = "google/vit-large-patch32-384"
    """A folder or a hub name of any ViT. The published one gives 145 patches of 1024 values."""

    def load(self, device: str = "cpu") -> LoadedExtractor:
        """See `Extractor.load`."""
        from mulcot.extractors.runtime.towers import load_vit

        return load_vit(self.model, device)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """See `Extractor.demo`."""
        from mulcot.extractors.runtime.towers import write_vit

        write_vit(folder)
        return cls(model=str(folder))
