"""Rationales: those a model is taught, and those a model wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mulcot.multimodal_cot.formats import SourcedRationale, human_rationale, teacher_rationale
from mulcot.records import Example, Rationale, Record, read_lines
from mulcot.rundir import atomic

Authors = Literal["human_first", "human", "teacher"]
TAUGHT, EXPLAINED = "taught.jsonl", "explained.jsonl"
"""The files of the stage rationale that hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtRationale(Record):
    """A rationale that a model learns to write."""

    example_id: str
    text: str
    source: str
    """`human`, or who the teacher stage says wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRationale(Record):
    """A rationale that a model wrote."""

    example_id: str
    split: str
    source: Literal["model", "cross_fitted"]
    """`cross_fitted`: by a model that has not seen this example."""
    text: str
    tokens: int
    complete: bool
    """False where it was cut off."""


def find_rationales(
    examples: Iterable[Example], chains: Iterable[Rationale], authors: Authors, *, lecture: bool
) -> dict[str, SourcedRationale]:
    """A rationale for every example that has one, by its id; of several chains of a teacher the first."""
    written: dict[str, Rationale] = {}
    for rationale in chains:
        written.setdefault(rationale.example_id, rationale)
    found = {}
    for example in examples:
        human = human_rationale(example, lecture=lecture) if authors != "teacher" else None
        chain = written.get(example.id) if authors != "human" else None
        reason = human or (None if chain is None else teacher_rationale(chain))
        if reason is not None and reason.text:
            found[example.id] = reason
    return found


def save_taught(path: Path, reasons: Mapping[str, SourcedRationale]) -> None:
    """Writes what was taught, in the order of the examples."""
    with atomic(path) as file:
        for example_id, reason in reasons.items():
            line = TaughtRationale(example_id=example_id, text=reason.text, source=reason.source).to_line()
            file.write(line.encode("utf-8", "backslashreplace"))


def load_taught(path: Path) -> dict[str, SourcedRationale]:
    """What was taught, by example."""
    return {row.example_id: SourcedRationale(row.text, row.source) for row in read_lines(path, TaughtRationale)}


def load_explained(path: Path, source: str, splits: Sequence[str] = ()) -> dict[str, WrittenRationale]:
    """What was written, by example."""
    rows = (row for row in read_lines(path, WrittenRationale) if row.source == source)
    return {row.example_id: row for row in rows if not splits or row.split in splits}
