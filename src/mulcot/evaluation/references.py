"""What chains are compared with: the world's own right chain, the teacher's, or a person's explanation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mulcot.evaluation.grounding import world_chain
from mulcot.records import Example, Rationale
from mulcot.tasks.base import Task


class Reference(NamedTuple):
    """One text to compare with."""

    text: str
    source: str
    """`world`, `teacher` or `human`."""


def find_references(task: Task, examples: Sequence[Example], rationales: Iterable[Rationale]) -> dict[str, Reference]:
    """The best reference of every example that has one, by its id."""
    written = {rationale.example_id: rationale for rationale in rationales}
    out = {}
    for example in examples:
        own = world_chain(example)
        if own is not None:
            out[example.id] = Reference(task.write_chain(own), "world")
        elif example.id in written:
            out[example.id] = Reference(task.write_chain(written[example.id].fields), "teacher")
        elif example.rationale:
            out[example.id] = Reference(example.rationale, "human")
    return out
