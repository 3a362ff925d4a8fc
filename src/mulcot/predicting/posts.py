"""What can be asked about, besides the examples of a dataset: a post in one's own hands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mulcot.encoded import Encoded
from mulcot.errors import MediaError
from mulcot.media import ImageLimits, open_image
from mulcot.records import Example, ImageRef, content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post or a question that nobody has labelled."""

    text: str
    """For multiple choice, the question."""
    image: Image.Image | Path | str | bytes | None = None
    """The picture: opened, its path, or its bytes."""
    aspect: str | None = None
    choices: tuple[str, ...] = ()
    context: str | None = None
    caption: str | None = None
    id: str = ""
    """Made from the texts where left empty; a sampled chain depends on it."""

    def example(self) -> Example:
        """The post as a task sees it."""
        made = self.id or content_id(self.text, self.aspect, self.context, *self.choices)
        return Example(
            id=made,
            split="",
            text=self.text,
            images=() if self.image is None else (ImageRef(path="picture"),),
            aspect=self.aspect,
            choices=self.choices,
            context=self.context,
            caption=self.caption,
        )

    def picture(self, limits: ImageLimits) -> Image.Image | None:
        """The picture in RGB; raises `MediaError` where it cannot be used."""
        if self.image is None or isinstance(self.image, Image.Image):
            return None if self.image is None else self.image.convert("RGB")
        source = Path(self.image) if isinstance(self.image, str) else self.image
        if isinstance(source, Path) and source.is_dir():
            raise MediaError("not_a_file", f"{source} is a folder")
        return open_image(source, limits)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Prepared:
    """An example as the model sees it; the opened picture is no longer needed."""

    example: Example
    encoded: Encoded

    @property
    def nbytes(self) -> int:
        """What its picture takes in memory."""
        return 0 if self.encoded.pixels_NF is None else self.encoded.pixels_NF.nbytes
