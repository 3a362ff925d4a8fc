"""Which label a reply names, by the two rules that have names: `paper` and `standard`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from mulcot.errors import DataError
from mulcot.tasks.classification import Classification
from mulcot.tasks.label_reading import label_key
from mulcot.tasks.letter_reading import LETTERS
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.published_reading import published_label, published_letter


class AnswerReader:
    """Reads replies against one label set; capital letters alone are the choices of a question."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._keys = {label_key(label): label for label in self.labels}
        self._letters = bool(self.labels) and set(self.labels) <= set(LETTERS)
        self._task: MultipleChoice | Classification
        if self._letters:
            self._task = MultipleChoice()
            return
        try:
            self._task = Classification(labels={label: label for label in self.labels})
        except ValidationError as error:
            problems = "; ".join(str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors())
            hint = "Name two or more different labels, separated by commas."
            raise DataError(f"the labels cannot be used: {problems}", hint=hint) from None

    def canonical(self, label: str) -> str | None:
        """A label as the set spells it, whatever its case; None where it is no label of the set."""
        return self._keys.get(label_key(label))

    def paper(self, reply: str) -> str | None:
        """The published code's rule."""
        if self._letters:
            letter = published_letter(reply)
            return letter if letter in self.labels else None
        return published_label(reply, self.labels)

    def standard(self, reply: str) -> str | None:
        """Our own parser's rule, which also reads markup, JSON and prose."""
        found = self._task.read(reply).prediction
        return found if found in self.labels else None
