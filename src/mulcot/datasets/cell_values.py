"""Single untrusted values, checked one by one; a wrong one rejects its row and no other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mulcot.records import Rejected
from mulcot.tasks.letter_reading import LETTERS


class BadRow(Exception):
    """A row that cannot become an example; never leaves the dataset that raised it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def rejected(self, source: str, id: str | None = None, split: str | None = None) -> Rejected:  # noqa: A002
        """The record of it."""
        return Rejected(source=source, reason=self.reason, detail=self.detail, id=id, split=split)


def text(item: Mapping[str, Any], key: str) -> str:
    """A text that must be there."""
    if item.get(key) is None:
        raise BadRow("missing_value", f"there is no {key!r}")
    return optional_text(item, key) or ""


def optional_text(item: Mapping[str, Any], key: str) -> str | None:
    """A text, or None where it is absent or empty."""
    value = item.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadRow("bad_value", f"{key!r} is {shown(value)}, a text is needed")
    return value or None


def integer(item: Mapping[str, Any], key: str) -> int:
    """A whole number that must be there."""
    value = item.get(key)
    if value is None:
        raise BadRow("missing_value", f"there is no {key!r}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRow("bad_value", f"{key!r} is {shown(value)}, a whole number is needed")
    return value


def texts(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts; empty where it is absent."""
    value = item.get(key)
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise BadRow("bad_value", f"{key!r} is {shown(value)}, a list of texts is needed")
    return tuple(value)


def scalar(value: Any, key: str) -> str | None:
    """A text, number or truth value as text; None for null and not-a-number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    raise BadRow("bad_value", f"{key!r} is {shown(value)}, a text or a number is needed")


def letter(index: int, choices: tuple[str, ...]) -> str:
    """The letter of a choice given by its place."""
    if not choices:
        raise BadRow("no_choices", "the question has no choices")
    if len(choices) > len(LETTERS):
        raise BadRow("too_many_choices", f"{len(choices)} choices, allowed {len(LETTERS)}")
    if not 0 <= index < len(choices):
        raise BadRow("answer_out_of_range", f"the answer is choice {index}, but there are {len(choices)} choices")
    return LETTERS[index]


def shown(value: Any) -> str:
    """Any value in a few words."""
    plain = {dict: "an object", list: "a list", bytes: "bytes", type(None): "null"}.get(type(value))
    if plain:
        return plain
    written = repr(value)
    return written if len(written) <= 40 else written[:37] + "..."
