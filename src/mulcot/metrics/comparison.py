"""Is one model better than another on the same examples? McNemar's exact test and the paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mulcot.metrics.bootstrap import Interval, interval, resampled_means
from mulcot.metrics.confusion import resampled, summary_scores

RESAMPLES = 2000

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class McNemar(NamedTuple):
    """The exact test on the examples where exactly one of two models is right."""

    only_first: int
    only_second: int
    p_value: float
    """Two-sided; 1 where the models never differ."""


class Difference(NamedTuple):
    """First minus second."""

    value: float
    interval: Interval
    p_value: float
    """Two-sided share of draws in which the difference has the other sign or is none."""


def mcnemar(first_right: Sequence[bool], second_right: Sequence[bool]) -> McNemar:
    """Compares two models by which examples each got right."""
    pairs = list(zip(first_right, second_right, strict=True))
    first, second = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    return McNemar(first, second, _sign_test(min(first, second), first + second))


def paired_bootstrap(
    first: Sequence[float], second: Sequence[float], seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Compares two models by one score per example, such as a chain's ROUGE-L."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores against {len(second)}")
    if not first:
        raise ValueError("there is nothing to compare")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return _difference(float(difference.mean()), resampled_means(difference[:, None], seed, resamples)[:, 0])


def compare_labels(
    first: Sequence[str | None],
    second: Sequence[str | None],
    right: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Accuracy, macro and weighted F1 of two models, over the same draws of examples."""
    joint = _joint(first, second, right, labels)
    drawn = resampled(joint, seed, resamples)
    if not len(drawn):
        raise ValueError("there is nothing to compare")
    out = {}
    for name in summary_scores(joint.sum(2)):
        value = float(summary_scores(joint.sum(2))[name] - summary_scores(joint.sum(1))[name])
        out[name] = _difference(value, summary_scores(drawn.sum(3))[name] - summary_scores(drawn.sum(2))[name])
    return out


def _joint(
    first: Sequence[str | None], second: Sequence[str | None], right: Sequence[str], labels: Sequence[str]
) -> Counts:
    """Counts by right label, first answer and second answer; the last place of both answers is "no label"."""
    places = {label: place for place, label in enumerate(labels)}
    if unknown := set(right) - set(places):
        raise ValueError(f"right labels outside the label set: {sorted(unknown)[:3]}")
    none = len(places)
    counts: Counts = np.zeros((none, none + 1, none + 1), dtype=np.int64)
    for a, b, gold in zip(first, second, right, strict=True):
        counts[places[gold], places.get(a or "", none), places.get(b or "", none)] += 1
    return counts


def _difference(value: float, drawn: Floats) -> Difference:
    """Drawn values of exactly 0 count for both signs; one is added so that no p-value is 0."""
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    return Difference(value, interval(drawn), min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1)))


def _sign_test(fewer: int, trials: int) -> float:
    """Twice the chance of so few or fewer heads in so many tosses of a fair coin."""
    if not trials:
        return 1.0
    total = math.lgamma(trials + 1) - trials * math.log(2)
    tail = math.fsum(math.exp(total - math.lgamma(k + 1) - math.lgamma(trials - k + 1)) for k in range(fewer + 1))
    return min(1.0, 2 * tail)
