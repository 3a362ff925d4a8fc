"""Features of new pictures, extracted on demand, by the model's own extractor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from mulcot.extractors.base import load_extractor
from mulcot.features.store import Array, FeatureKind, FeatureStore
from mulcot.multimodal_cot.model import FusionModel

if TYPE_CHECKING:
    from mulcot.extractors.runtime.loaded import LoadedExtractor


class InMemoryFeatures(FeatureStore):
    """Features in memory, before those of a store."""

    def __init__(self, kind: FeatureKind, before: FeatureStore | None) -> None:
        super().__init__(Path("memory"), kind, {}, b"")
        self.before = before
        self.own: dict[str, Array] = {}

    def __contains__(self, key: str) -> bool:
        return key in self.own or (self.before is not None and key in self.before)

    def __len__(self) -> int:
        return len(self.own)

    def get(self, key: str) -> Array:
        """See `FeatureStore.get`."""
        if key in self.own or self.before is None:
            return self.own[key]
        return self.before.get(key)


class FeatureLookup:
    """A model's extractor, loaded when the first new picture comes. Models fused with the same features share one."""

    def __init__(self, model: FusionModel, known: FeatureStore | None = None) -> None:
        self.model = model
        if known is not None:
            model.check_features(known)
        self.known = known
        """Features that are there already."""
        self._extractor: LoadedExtractor | None = None
        self._last: Mapping[str, Array] = {}
        """What was seen last: a second model is asked about the same pictures."""

    @property
    def blind(self) -> bool:
        """Whether the model reads only."""
        return self.model.vision is None

    @property
    def imported(self) -> bool:
        """Whether nothing is known of the extractor, so that known features are all there are."""
        return self.model.vision is not None and not self.model.vision.extractor

    def knows(self, key: str) -> bool:
        """Whether the features of this picture are there already."""
        return self.known is not None and key in self.known

    def find(self, pictures: Mapping[str, Image.Image]) -> FeatureStore | None:
        """The features of these pictures and of all that are known; None for a model that reads only."""
        vision = self.model.vision
        if vision is None:
            return None
        seen = InMemoryFeatures(
            FeatureKind(vision.extractor or {"name": "imported"}, vision.extractor_hash, vision.width, "fp32"),
            self.known,
        )
        needed = {key: picture for key, picture in pictures.items() if key not in seen}
        seen.own = {key: self._last[key] for key in needed if key in self._last}
        new = {key: picture for key, picture in needed.items() if key not in seen.own}
        if new:
            if self._extractor is None:
                device = str(self.model.device)
                self._extractor = load_extractor(vision.extractor, device, vision.extractor_hash)
            prepared = [self._extractor.prepare(picture) for picture in new.values()]
            seen.own |= zip(new, self._extractor.extract(prepared), strict=True)
        self._last = seen.own
        return seen


def picture_key(picture: Image.Image) -> str:
    """What a picture in memory is called: a hash of its pixels."""
    size = f"{picture.width}x{picture.height}".encode()
    return hashlib.sha256(size + picture.tobytes()).hexdigest()
