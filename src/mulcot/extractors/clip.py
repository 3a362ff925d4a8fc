"""The picture half of CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from mulcot.extractors.base import Extractor, extractors

if TYPE_CHECKING:
    from mulcot.extractors.runtime.loaded import LoadedExtractor


@extractors.register("clip")
class Clip(Extractor):
    """Options of CLIP."""

    model: str = "openai/clip-vit-base-patch32"
    """A folder or a hub name of any CLIP with a vision transformer; this one gives 50 patches of 768 values. The
    published comparison used CLIP's ResNet-101, which transformers does not have."""

    def load(self, device: str = "cpu") -> LoadedExtractor:
        """See `Extractor.load`."""
        from mulcot.extractors.runtime.towers import load_clip

        return load_clip(self.model, device)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """See `Extractor.demo`."""
        from mulcot.extractors.runtime.towers import write_clip

        write_clip(folder)
        return cls(model=str(folder))
