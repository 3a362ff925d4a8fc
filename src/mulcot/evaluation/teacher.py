"""The teacher's answers as a model to evaluate, where all its answers to a set without the label are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mulcot.records import Example, Prediction, Rationale

HOW = "the teacher: its first answer that names a label, without being told it, whether right or wrong"
TOO_OLD = "the teacher stage was done by a version that did not keep them"
IMPORTED = "imported chains do not say what was answered without the label"


def teacher_answers(examples: Sequence[Example], answers: Mapping[str, Prediction]) -> list[Prediction] | None:
    """What it answers on its own; None where that is not known of every example."""
    found = [answers[example.id] for example in examples if example.id in answers]
    return found if len(found) == len(examples) else None


def why_not(
    name: str, examples: Sequence[Example], rationales: Mapping[str, Rationale], failed: Collection[str], *, kept: bool
) -> str | None:
    """Why the teacher is not scored on the set `name`, and what is known; None where it was not asked about all of it.

    `kept` tells whether its answers were kept at all.
    """
    if not all(example.id in rationales or example.id in failed for example in examples):
        return None
    found = sum(example.id in rationales and rationales[example.id].stage == 1 for example in examples)
    known = f"; it found at least {found:,} of {len(examples):,} labels without being told" if found else ""
    return f"{name}: the teacher is not scored, since its answers are not known: {IMPORTED if kept else TOO_OLD}{known}"
