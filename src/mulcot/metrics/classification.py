"""Accuracy and F1 over a fixed label set. An answer that is no label counts as a miss, as in the published code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class LabelMeasures(NamedTuple):
    """The scores of one set of answers; each between 0 and 1."""

    accuracy: float
    macro_f1: float
    """Mean over the label set."""
    weighted_f1: float
    """Mean over the label set, weighted by how often each label is right."""


def classify(predicted: Sequence[str | None], right: Sequence[str], labels: Sequence[str]) -> LabelMeasures:
    """Scores answers against the right labels. A label that never occurs counts 0 in the macro mean."""
    if len(predicted) != len(right):
        raise ValueError(f"{len(predicted)} answers for {len(right)} examples")
    if not right:
        return LabelMeasures(0.0, 0.0, 0.0)
    pairs = list(zip(predicted, right, strict=True))
    scores = {label: _f1(pairs, label) for label in labels}
    weights = {label: sum(1 for gold in right if gold == label) for label in labels}
    weighted = sum(scores[label] * weights[label] for label in labels) / max(1, sum(weights.values()))
    accuracy = sum(1 for answer, gold in pairs if answer == gold) / len(pairs)
    return LabelMeasures(accuracy, sum(scores.values()) / len(labels), weighted)


def _f1(pairs: Sequence[tuple[str | None, str]], label: str) -> float:
    hits = sum(1 for answer, gold in pairs if answer == gold == label)
    said = sum(1 for answer, _ in pairs if answer == label)
    there = sum(1 for _, gold in pairs if gold == label)
    return 2 * hits / (said + there) if said + there else 0.0
