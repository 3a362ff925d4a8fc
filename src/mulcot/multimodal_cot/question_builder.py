"""Posts and examples as questions whose pictures are known by the names of their features."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from mulcot.errors import MediaError
from mulcot.media import Gallery
from mulcot.media.safe_opening import DEFAULT_LIMITS
from mulcot.multimodal_cot.feature_lookup import FeatureLookup, picture_key
from mulcot.multimodal_cot.lettered_question import LetteredQuestion
from mulcot.multimodal_cot.model_format import ModelFormat
from mulcot.predict.posts import Post, Prepared, example_of
from mulcot.records import Example, ImageRef, Rejected
from mulcot.tasks.saved_task import SavedTask


@dataclass(frozen=True, slots=True, eq=False)
class BuiltQuestion(Prepared):
    """An item that can be asked."""

    example: Example
    asked: LetteredQuestion
    pictures: Mapping[str, Image.Image]
    """Those that have no features yet, by the names under which they will have some."""

    @property
    def nbytes(self) -> int:
        """What its pictures take in memory."""
        return sum(picture.width * picture.height * 3 for picture in self.pictures.values())


class QuestionBuilder:
    """Poses questions to one model."""

    def __init__(
        self, saved: SavedTask, model_format: ModelFormat, lookup: FeatureLookup, *, captions: bool | None = None
    ) -> None:
        self.saved = saved
        self.model_format = model_format
        self.lookup = lookup
        captions = model_format.captions if captions is None else captions
        self.reads = tuple(name for name in saved.task.reads if name != "caption" or captions)
        """The texts that count; with `captions`, another model reads these."""

    def build(self, item: Post | Example, gallery: Gallery | None, number: int) -> BuiltQuestion | Rejected:
        """The item as a question, or why it cannot be asked."""
        example = example_of(item, self.saved, self.reads, number)
        if isinstance(example, Rejected):
            return example
        try:
            example, pictures = self._pictures(item, example, gallery)
        except MediaError as error:
            return Rejected(source=f"item {number + 1}", reason=error.reason, detail=error.message, id=example.id)
        return BuiltQuestion(example, self.model_format.asked(self.saved.task, example), pictures)

    def _pictures(
        self, item: Post | Example, example: Example, gallery: Gallery | None
    ) -> tuple[Example, dict[str, Image.Image]]:
        if self.lookup.blind and isinstance(item, Post) and item.image:
            raise MediaError("not_read", "this model reads no pictures")
        if self.lookup.blind:
            return dataclasses.replace(example, images=()), {}
        if isinstance(item, Post):
            if self.lookup.imported and item.image:
                raise MediaError("missing_features", "the model learned with imported features; new pictures have none")
            named_here = {picture_key(picture): picture for picture in item.pictures(DEFAULT_LIMITS)}
            images = tuple(ImageRef(path="picture", sha256=key) for key in named_here)
            return dataclasses.replace(example, images=images), named_here
        missing = [image for image in example.images if not self.lookup.knows(image.sha256)]
        if missing and self.lookup.imported:  # such features know one picture of each question
            kept = tuple(image for image in example.images if image not in missing)
            if not kept:
                raise MediaError("missing_features", "the imported features hold none of its pictures")
            return dataclasses.replace(example, images=kept), {}
        if missing and gallery is None:
            raise MediaError("missing_image", "the example has a picture, but no gallery was given to find it in")
        opened = {image: gallery.open(image) for image in missing if gallery is not None}
        keys = {image: image.sha256 or picture_key(picture) for image, picture in opened.items()}
        named = (dataclasses.replace(image, sha256=keys.get(image, image.sha256)) for image in example.images)
        return dataclasses.replace(example, images=tuple(named)), {keys[image]: opened[image] for image in opened}
