"""The one way from an example to what a model reads: in training, judging, predicting, and where it is asked again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from mulcot.backbones.base import Turn
from mulcot.backbones.vlm.encoded import Branch, Encoded
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.errors import MediaError
from mulcot.media import Gallery
from mulcot.records import Example
from mulcot.tasks.base import Purpose, Task


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """One example with one chain, or with its label alone."""

    key: str
    """The example's id and who wrote the chain: unique among lessons."""
    example: Example
    chain: str | None


class ExampleEncoder:
    """Prepares examples for one model: prompts, pictures, targets.

    Where no `pictures` are given, those of the example are taken from the gallery.
    """

    def __init__(self, model: LoadedModel, task: Task, gallery: Gallery | None = None) -> None:
        self.model = model
        self.task = task
        self.gallery = gallery

    def item(self, item: TrainingItem, *, choices: bool = False) -> Encoded:
        """Chain and label with their targets; with `choices`, the whole label set on the label branch."""
        chain = None if item.chain is None else self._chain(item.example, item.chain)
        label = self._label(item.example, choices=choices, target=True)
        return self._encode(item.key, item.example, None, chain, label)

    def question(
        self,
        example: Example,
        pictures: Sequence[Image.Image] | None = None,
        *,
        chain: bool = False,
        label: bool = False,
        written: bool = False,
    ) -> Encoded:
        """What is asked of the model, without any answer.

        `chain` is written and `label` is scored over the label set; with `written`, the label is written, and it alone.
        """
        if written:
            return self._encode(example.id, example, pictures, self._label(example), None)
        asked = self._chain(example) if chain else None
        return self._encode(example.id, example, pictures, asked, self._label(example, choices=True) if label else None)

    def begun(self, example: Example, begun: str, ways: Sequence[str]) -> Encoded:
        """A chain up to some place, and the ways it can go on as what is scored."""
        asked = self._encode(example.id, example, None, self._chain(example), None)
        assert asked.chain is not None
        prompt = (*asked.chain.prompt, *self.model.words.encode_text(begun))
        label = Branch(prompt, choices=tuple(map(self.model.target, ways)))
        return dataclasses.replace(asked, chain=None, label=label)

    def _chain(self, example: Example, target: str | None = None) -> Turn:
        return Turn(prompt=self.task.prompt(example, Purpose.CHAIN), target=target)

    def _label(self, example: Example, *, choices: bool = False, target: bool = False) -> Turn:
        labels = self.task.labels(example) if choices else ()
        written = self.task.write_label(example.label) if target and example.label is not None else None
        return Turn(
            prompt=self.task.prompt(example, Purpose.LABEL),
            target=written,
            choices=tuple(self.task.write_label(label) for label in labels),
        )

    def _encode(
        self,
        key: str,
        example: Example,
        pictures: Sequence[Image.Image] | None,
        chain: Turn | None,
        label: Turn | None,
    ) -> Encoded:
        found = pictures_of(example, self.gallery) if pictures is None else pictures
        return self.model.encode(key, found, chain=chain, label=label)


def pictures_of(example: Example, gallery: Gallery | None) -> list[Image.Image]:
    """The pictures of an example, in their order."""
    if example.images and gallery is None:
        raise MediaError("missing_image", "the example has a picture, but no gallery was given to find it in")
    return [gallery.open(image) for image in example.images] if gallery is not None else []
