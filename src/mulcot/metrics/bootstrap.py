"""Confidence intervals by drawing examples with replacement, from a seed: same data, same interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
RESAMPLES = 1000
_AT_ONCE = 2**22
"""Drawn numbers held in memory."""

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """Where the value lies in 95 of 100 samples of examples; says nothing about other seeds of training."""

    low: float
    high: float


def interval(values: Floats) -> Interval:
    """The middle 95 % of resampled values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def mean_intervals(
    columns: Mapping[str, Sequence[float]], seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """Intervals of the means of several per-example scores, each over the same draws of examples."""
    if not columns:
        return {}
    table = np.array(list(columns.values()), dtype=np.float64).T
    if not len(table):
        return {}
    means = resampled_means(table, seed, resamples)
    return {name: interval(means[:, number]) for number, name in enumerate(columns)}


def resampled_means(table: Floats, seed: int, resamples: int) -> Floats:
    """The column means of `table` for resampled examples, one row per draw."""
    rng = np.random.default_rng(seed)
    examples = len(table)
    step = max(1, _AT_ONCE // examples)
    parts = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.multinomial(examples, np.full(examples, 1 / examples), size=size)
        parts.append(drawn @ table / examples)
    return np.concatenate(parts)
