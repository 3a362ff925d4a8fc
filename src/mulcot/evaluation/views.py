"""The same examples with a part of them taken away."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from PIL import Image

from mulcot.media import Gallery
from mulcot.records import Example, ImageRef

View = Literal["whole", "text_only", "image_only", "swapped"]
GREY = (127, 127, 127)
NO_WORDS = "..."
"""A task refuses an empty text."""
SIDE = 224


class Grey(Gallery):
    """Grey pictures of the sizes of another gallery's."""

    def __init__(self, of: Gallery) -> None:
        self.limits = of.limits

    def open(self, ref: ImageRef) -> Image.Image:
        """A picture that shows nothing."""
        return Image.new("RGB", (ref.width or SIDE, ref.height or SIDE), GREY)


def apply_view(view: View, examples: Sequence[Example], gallery: Gallery) -> tuple[list[Example], Gallery]:
    """The examples as the view shows them, in their order, with the gallery to open their pictures from."""
    if view == "text_only":
        return [dataclasses.replace(example, caption=None) for example in examples], Grey(gallery)
    if view == "image_only":
        return [dataclasses.replace(example, text=NO_WORDS, context=None) for example in examples], gallery
    if view == "swapped":
        return _swapped(examples), gallery
    return list(examples), gallery


def _swapped(examples: Sequence[Example]) -> list[Example]:
    """Every picture goes to the next example that has a different one; examples without one stay as they are."""
    places = [place for place, example in enumerate(examples) if example.picture is not None]
    out = list(examples)
    for number, place in enumerate(places):
        order = places[number + 1 :] + places[:number]
        own = _content(examples[place])
        other = next((images for p in order if _content(examples[p]) != own and (images := examples[p].images)), None)
        if other is not None:
            out[place] = dataclasses.replace(examples[place], images=other, caption=None)
    return out


def _content(example: Example) -> tuple[str, ...]:
    return tuple(image.sha256 or image.path for image in example.images)
