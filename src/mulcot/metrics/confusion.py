"""Which answer was given for which label: the counts that every classification score comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mulcot.metrics.bootstrap import Interval, interval

RESAMPLES = 2000

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class LabelScore(NamedTuple):
    """One label's scores; 0 where there is nothing to divide by."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """How often it is right."""
    predicted: int


class Confusion:
    """Counts by right label (rows) and given answer (columns); the last column is "no label"."""

    def __init__(self, predicted: Sequence[str | None], right: Sequence[str], labels: Sequence[str]) -> None:
        if len(predicted) != len(right):
            raise ValueError(f"{len(predicted)} answers for {len(right)} examples")
        self.labels = tuple(labels)
        places = {label: place for place, label in enumerate(self.labels)}
        if unknown := set(right) - set(places):
            raise ValueError(f"right labels outside the label set: {sorted(unknown)[:3]}")
        self.counts: Counts = np.zeros((len(places), len(places) + 1), dtype=np.int64)
        for answer, gold in zip(predicted, right, strict=True):
            self.counts[places[gold], places.get(answer, len(places)) if answer is not None else len(places)] += 1

    @property
    def unparsed(self) -> int:
        """Answers that are no label of the set."""
        return int(self.counts[:, -1].sum())

    def per_label(self) -> list[LabelScore]:
        """Every label of the set, those that never occur included."""
        hits, said, there = _tallies(self.counts)
        precision, recall, f1 = _ratio(hits, said), _ratio(hits, there), _ratio(2 * hits, said + there)
        return [
            LabelScore(label, float(precision[n]), float(recall[n]), float(f1[n]), int(there[n]), int(said[n]))
            for n, label in enumerate(self.labels)
        ]

    def intervals(self, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Interval]:
        """95 % bootstrap intervals of accuracy, macro and weighted F1; examples are drawn with replacement."""
        drawn = resampled(self.counts, seed, resamples)
        return {name: interval(values) for name, values in summary_scores(drawn).items()} if len(drawn) else {}

    def to_json(self) -> dict[str, Any]:
        """One list of counts per right label, one count per answer."""
        return {"rows": list(self.labels), "columns": [*self.labels, "unparsed"], "counts": self.counts.tolist()}


def summary_scores(counts: Counts) -> dict[str, Floats]:
    """Accuracy, macro and weighted F1 of every matrix in a stack of them."""
    hits, said, there = _tallies(counts)
    f1 = _ratio(2 * hits, said + there)
    total = there.sum(-1)
    return {
        "accuracy": _ratio(hits.sum(-1), total),
        "macro_f1": f1.mean(-1),
        "weighted_f1": _ratio((f1 * there).sum(-1), total),
    }


def resampled(counts: Counts, seed: int, resamples: int) -> Counts:
    """The same table for resampled examples, `resamples` times; empty where there are no examples."""
    total = int(counts.sum())
    if not total:
        return np.zeros((0, *counts.shape), dtype=np.int64)
    drawn = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, size=resamples)
    return drawn.reshape(resamples, *counts.shape)


def _tallies(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Per label: right and said, said, right."""
    return np.diagonal(counts, axis1=-2, axis2=-1), counts[..., :-1].sum(-2), counts.sum(-1)


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    out: Floats = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return out
