"""Tasks with a fixed set of labels: the five fields of MulCoT-RD's chain, from the words and the picture to a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mulcot.records import Example
from mulcot.tasks.chain_task import ChainTask, either
from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_reading import LabelReading, exact_label, read_label
from mulcot.tasks.published_reading import published_label
from mulcot.tasks.templates import Placeholders

CONSTANT = ("labels", "definitions", "format", "fields")
ANSWER_RULES = """\
Rest every statement on something that the words say or the picture shows. Where there is no picture, say so in \
"Image_analysis". Answer with these five lines in this order and nothing else; the last holds one label, no other word:
{format}"""


class LabelTask(ChainTask):
    """A task with the same labels for every example."""

    guide: ClassVar[Mapping[str, str]] = {
        "Text_analysis": "what the words say and what they point to, naming the words that show it",
        "Image_analysis": "what the picture shows and what it points to, naming the details that show it",
        "Conflict_resolution": "whether words and picture agree, differ or have nothing to do with each other, "
        "and which of them decides",
        "Final_conclusion": "what both convey together, and why",
        "Prediction": "{labels}",
    }
    placeholders: ClassVar[Placeholders] = Placeholders(
        constant=CONSTANT, example=("text", "caption", "picture"), needed=("text",)
    )

    def meanings(self) -> Mapping[str, str]:
        """Each label and what it stands for."""
        raise NotImplementedError

    def labels(self, example: Example | None = None) -> tuple[str, ...]:
        """The label set."""
        return tuple(self.meanings())

    def problem(self, example: Example) -> tuple[str, str] | None:
        """An empty text, or a label outside the set; an example without a label can still be predicted."""
        if not example.text.strip():
            return "empty_text", "the text is empty"
        if example.label is not None and example.label not in self.labels():
            return "unknown_label", f"got {example.label[:80]!r}, allowed: {', '.join(self.labels())}"
        return None

    def constants(self) -> dict[str, str]:
        """The label set, as a phrase and with what each label stands for."""
        lines = (f"- {label}: {meaning}" if meaning else f"- {label}" for label, meaning in self.meanings().items())
        return {"labels": either(self.labels()), "definitions": "\n".join(lines)}

    def values(self, example: Example) -> dict[str, str]:
        """The post's text."""
        return {"text": insertable(example.text, self.fields)}

    def shown_label(self, label: str, example: Example) -> str:
        """The label itself."""
        return label

    def answer(self, value: str, example: Example | None) -> LabelReading:
        """The one label that the value names."""
        return read_label(value, self.labels())

    def answer_alone(self, reply: str, example: Example | None) -> str | None:
        """The label that is the whole reply."""
        return exact_label(reply, self.labels())

    def read_published(self, reply: str, example: Example | None = None) -> str | None:
        """The label by MulCoT-RD's published rule."""
        return published_label(reply, self.labels())
