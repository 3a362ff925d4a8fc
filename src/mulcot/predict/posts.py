"""What can be asked about, besides the examples of a dataset: a post in one's own hands."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mulcot.errors import MediaError, MulcotError
from mulcot.media import ImageLimits, open_image
from mulcot.records import Example, ImageRef, Rejected, content_id
from mulcot.tasks.saved_task import SavedTask

Picture = Image.Image | Path | str | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post or a question without a label."""

    text: str
    """For multiple choice, the question."""
    image: Picture | Sequence[Picture] | None = None
    """The picture, or several: opened, their paths, or their bytes."""
    aspect: str | None = None
    choices: tuple[str, ...] = ()
    context: str | None = None
    caption: str | None = None
    id: str = ""
    """Made from the texts where left empty; a sampled chain depends on it."""

    def __post_init__(self) -> None:
        if isinstance(self.choices, str) or not all(isinstance(choice, str) for choice in self.choices):
            raise TypeError(f"choices are texts, such as ('a', 'b'), got {self.choices!r}")

    def example(self) -> Example:
        """The post as a task sees it."""
        made = self.id or content_id(self.text, self.aspect, self.context, *self.choices)
        return Example(
            id=made,
            split="",
            text=self.text,
            images=tuple(ImageRef(path="picture") for _ in self._images),
            aspect=self.aspect,
            choices=self.choices,
            context=self.context,
            caption=self.caption,
        )

    def pictures(self, limits: ImageLimits) -> list[Image.Image]:
        """Its pictures in RGB; raises `MediaError` where one cannot be used."""
        return [_opened(image, limits) for image in self._images]

    @property
    def _images(self) -> Sequence[Picture]:
        if self.image is None:
            return ()
        return (self.image,) if isinstance(self.image, (Image.Image, Path, str, bytes)) else self.image

    def only(self, reads: Collection[str]) -> Post:
        """The post without texts that a model does not read."""
        return dataclasses.replace(self, **{name: _EMPTY[name] for name in self.unread(reads)})

    def unread(self, reads: Collection[str]) -> list[str]:
        """Which of its texts a model does not read."""
        return [name for name in _EMPTY if getattr(self, name) and name not in reads]


def _opened(image: Picture, limits: ImageLimits) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    source = Path(image) if isinstance(image, str) else image
    if isinstance(source, Path) and source.is_dir():
        raise MediaError("not_a_file", f"{source} is a folder")
    return open_image(source, limits)


_EMPTY: Mapping[str, Any] = {"aspect": None, "choices": (), "context": None, "caption": None}


def example_of(item: Post | Example, asked: SavedTask, reads: Collection[str], number: int) -> Example | Rejected:
    """The item as the task sees it, or why it cannot be asked. Examples may know more than a model reads."""
    source = f"item {number + 1}"
    if isinstance(item, Post) and (unread := item.unread(reads)):
        detail = f"this model reads no {unread[0]}; it reads {', '.join(reads)}"
        return Rejected(source=source, reason="not_read", detail=detail, id=item.id or None)
    example = item if isinstance(item, Example) else asked.cleaning.apply(item.example())
    if isinstance(example, str):
        reason, _, detail = example.partition(":")
        return Rejected(source=source, reason=reason, detail=detail.strip())
    problem = asked.task.problem(example)
    if problem is not None:
        return Rejected(source=source, reason=problem[0], detail=problem[1], id=example.id)
    return example


class Prepared:
    """An item made ready for its predictor; refer to it no longer than it is needed."""

    __slots__ = ("__weakref__",)

    @property
    def nbytes(self) -> int:
        """What its pictures take in memory."""
        raise NotImplementedError


def unprepared(item: Post | Example | Prepared) -> Post | Example:
    """An item that is still to be prepared; what was prepared for another predictor cannot be asked."""
    if isinstance(item, Prepared):
        raise TypeError("this was prepared by another kind of predictor")
    return item


def refusal(rejected: Rejected) -> MulcotError:
    """The error for whoever asks about one item and cannot."""
    return MulcotError(f"this input is rejected: {rejected.detail}", hint=f"The reason is {rejected.reason!r}.")
