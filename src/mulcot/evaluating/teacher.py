"""The teacher as one of the evaluated, where it was asked about all examples of a set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mulcot.records import Example, Prediction, Rationale
from mulcot.tasks.base import Task

HOW = "the teacher: chains it found without being told the label, within its attempts; all others are misses"


def teacher_answers(
    task: Task, examples: Sequence[Example], rationales: Mapping[str, Rationale], failed: Collection[str]
) -> list[Prediction] | None:
    """What it found on its own.

    None where it was not asked about every example, or where imported chains do not say whether the label was known.
    """
    if not all(example.id in rationales or example.id in failed for example in examples):
        return None
    if any(rationales[example.id].stage == 0 for example in examples if example.id in rationales):
        return None
    return [_answer(task, example, rationales.get(example.id)) for example in examples]


def _answer(task: Task, example: Example, own: Rationale | None) -> Prediction:
    if own is None:
        return Prediction(id=example.id, problem="not_found")
    if own.stage != 1:
        return Prediction(id=example.id, problem="needed_the_label")
    chain = task.write_chain(own.fields)
    return Prediction(id=example.id, label=own.prediction, chain=chain, fields=own.fields, chain_label=own.prediction)
