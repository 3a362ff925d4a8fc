"""One question as the fused T5 is given it: text to read, text to write, keys of its pictures. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

Ids = tuple[int, ...]


class Shortenable(str):
    """A part of a question that may be shortened, such as a hint or a rationale."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class T5Question:
    """What is read and what is to be written."""

    id: str
    source: str
    target: str | None = None
    """None where the model is to write it."""
    pictures: tuple[str, ...] = ()
    """Keys of a feature store."""
    long: tuple[tuple[int, int], ...] = ()
    """Where in `source` its shortenable parts begin and end; they are cut from the last to the first, each from its
    end. Without any, a source beyond the limit loses its end."""

    @classmethod
    def of(
        cls,
        id: str,  # noqa: A002  (the record's own word)
        parts: Iterable[str],
        target: str | None = None,
        pictures: tuple[str, ...] = (),
    ) -> Self:
        """A question from the parts of its source; those that are `Shortenable` may be shortened."""
        source, long = "", []
        for part in parts:
            if isinstance(part, Shortenable):
                long.append((len(source), len(source) + len(part)))
            source += part
        return cls(id, source, target, pictures, tuple(long))


@dataclass(frozen=True, slots=True)
class EncodedQuestion:
    """A question as token ids."""

    id: str
    input_ids: Ids
    """With the end token."""
    target_ids: Ids | None
    """With the end token, unless it was cut: nobody should learn to stop in the middle."""
    pictures: tuple[str, ...] = ()
    cut: bool = False
    """The source was longer than `max_source`."""
    target_cut: bool = False
    """The target was longer than `max_target`."""
