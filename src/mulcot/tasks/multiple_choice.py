"""A question with choices, with or without a picture and a context (ScienceQA, A-OKVQA, MMMU)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mulcot.records import Example
from mulcot.tasks.base import Demo, tasks
from mulcot.tasks.chain_task import ChainTask
from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_reading import LabelReading
from mulcot.tasks.letter_reading import LETTERS, letter_alone, read_letter
from mulcot.tasks.published_reading import published_letter
from mulcot.tasks.templates import Placeholders, Templates
from mulcot.world import demo_rows


@tasks.register("multiple_choice")
class MultipleChoice(ChainTask):
    """Up to 26 choices, answered by letter."""

    positional_labels: ClassVar[bool] = True
    guide: ClassVar[Mapping[str, str]] = {
        "Question_analysis": "what is asked, and what the context says about it",
        "Image_analysis": "what the picture shows that matters for the question",
        "Reasoning": "the knowledge and the steps that lead to one choice, and what rules the others out",
        "Final_conclusion": "the choice that follows, in one sentence",
        "Prediction": "the letter of that choice",
    }
    placeholders: ClassVar[Placeholders] = Placeholders(
        constant=("format", "fields"),
        example=("text", "context", "caption", "choices", "picture"),
        needed=("text", "choices"),
    )
    built_in: ClassVar[Templates] = Templates(
        teacher_system="""\
You answer multiple-choice questions, often about a picture, and explain step by step what leads to the answer.

Rest every statement on the question, its context, the picture or well-known facts. Where there is no picture, say so \
in "Image_analysis". Answer with these five lines in this order and nothing else; the last holds one letter, no word:
{format}""",
        post="Question: {text}\nContext: {context}\nCaption: {caption}\n{picture}\nChoices:\n{choices}",
        teach_ask="Answer this question now, line by line.",
        hint_ask="""\
Reach the answer below from the question, its context and the picture. Write as if you had found it on your own, and \
never mention that it was known.
Answer: {label}""",
        student_system="Answer the question with the letter of one choice.",
        chain_ask="Write {fields}, one quoted line each.",
        label_ask='Write "Prediction" alone.',
    )

    def labels(self, example: Example | None = None) -> tuple[str, ...]:
        """The letters of this example's choices; all letters where no example is given."""
        return LETTERS if example is None else LETTERS[: len(example.choices)]

    def problem(self, example: Example) -> tuple[str, str] | None:
        """A question, choices that are not empty, and a letter among them."""
        if not example.text.strip():
            return "empty_text", "the question is empty"
        if not 1 <= len(example.choices) <= len(LETTERS):
            return "choice_count", f"got {len(example.choices)} choices, allowed: 1 to {len(LETTERS)}"
        pictured = {image.of for image in example.images}
        for letter, choice in zip(LETTERS, example.choices, strict=False):
            if not choice.strip() and letter not in pictured:
                return "empty_choice", f"choice {letter} has neither text nor picture"
        if example.label is not None and example.label not in self.labels(example):
            allowed = ", ".join(self.labels(example))
            return "unknown_label", f"got {example.label[:80]!r}, allowed: {allowed}"
        return None

    def constants(self) -> dict[str, str]:
        """Nothing: the choices belong to the example."""
        return {}

    def values(self, example: Example) -> dict[str, str]:
        """The question, its context and the lettered choices."""
        return {
            "text": insertable(example.text, self.fields),
            "context": insertable(example.context or "", self.fields),
            "choices": "\n".join(self.shown_label(label, example) for label in self.labels(example)),
        }

    def shown_label(self, label: str, example: Example) -> str:
        """`(B) the copper wire`."""
        return f"({label}) {insertable(example.choices[LETTERS.index(label)], self.fields)}".rstrip()

    def answer(self, value: str, example: Example | None) -> LabelReading:
        """The one letter that the value names, by letter or by the choice's text."""
        return read_letter(value, example.choices if example else (), self.labels(example))

    def answer_alone(self, reply: str, example: Example | None) -> str | None:
        """The letter of a reply that is a letter, a choice or `The answer is (B).`"""
        return letter_alone(reply, example.choices if example else (), self.labels(example))

    def read_published(self, reply: str, example: Example | None = None) -> str | None:
        """The letter by Multimodal-CoT's published rule."""
        return published_letter(reply)

    @classmethod
    def demo(cls, folder: Path) -> Demo:
        """Drawn questions; some have no picture."""
        return Demo(rows=demo_rows.questions(folder))
