"""An example as a question with lettered options, whatever its task.

A multiple-choice example is one already. For a task with labels the labels are the options, the task's own instruction
is the question, and the post is its context.
"""

from __future__ import annotations

import dataclasses
import re

from mulcot.records import Example
from mulcot.tasks.base import Purpose, Task
from mulcot.tasks.letter_reading import LETTERS, letter_alone, read_letter
from mulcot.tasks.published_reading import published_letter
from mulcot.text import defuse, one_line

_SENTENCE = re.compile(r"[.!?]+(?:\s+|\Z)")


@dataclasses.dataclass(frozen=True, slots=True)
class LetteredQuestion:
    """One question. Every text is one line without control tokens."""

    question: str
    context: str
    """The hint, the caption, or both; may be empty."""
    options: tuple[str, ...]
    labels: tuple[str, ...]
    """What each option means to the task: for multiple choice its letter."""

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of the options."""
        return LETTERS[: len(self.options)]

    def letter(self, label: str) -> str:
        """The letter of a label."""
        return self.letters[self.labels.index(label)]

    def read(self, reply: str) -> str | None:
        """The label that an answer names by letter or by the option's text; None where it names none, or several."""
        letter = letter_alone(reply, self.options, self.letters)
        letter = letter or read_letter(reply, self.options, self.letters).label
        return None if letter is None else self.labels[self.letters.index(letter)]

    def concluded(self, rationale: str) -> str | None:
        """The label that the last sentence of a rationale names; None where it names none, or several."""
        last = next((part for part in reversed(_SENTENCE.split(rationale)) if part.strip()), "")
        named = [option for option in self.options if option and _names(last, option)]
        longest = [one for one in named if not any(one != other and _names(other, one) for other in named)]
        if len(longest) == 1:
            return self.labels[self.options.index(longest[0])]
        return None if longest else self.read(last)

    def read_published(self, reply: str) -> str | None:
        """The label by the published rule: `The answer is (X)` exactly once. A letter without an option is kept."""
        letter = published_letter(reply)
        if letter is None:
            return None
        return self.labels[self.letters.index(letter)] if letter in self.letters else letter


def ask(task: Task, example: Example, *, captions: bool) -> LetteredQuestion:
    """The question that an example poses; captions become part of its context where they are wanted."""
    if not captions:
        example = dataclasses.replace(example, caption=None)
    if task.positional_labels:
        context = " ".join(clean(text) for text in (example.context, example.caption) if text)
        return LetteredQuestion(clean(example.text), context, tuple(map(clean, example.choices)), task.labels(example))
    prompt, labels = task.prompt(example, Purpose.LABEL), task.labels(example)
    return LetteredQuestion(one_line(prompt.system), one_line(prompt.post), labels, labels)


def _names(sentence: str, option: str) -> bool:
    """Whether an option stands in a sentence as words of their own."""
    words = option.strip(" .")
    pattern = rf"(?<!\w){re.escape(words)}(?!\w)"
    return bool(words) and re.search(pattern, sentence, re.IGNORECASE) is not None


def clean(text: str) -> str:
    """Foreign text on one line, unable to form control tokens."""
    return one_line(defuse(one_line(text)))
