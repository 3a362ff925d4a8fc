"""Do label probabilities mean what they say? ECE, Brier, the reliability curve, and a temperature that corrects them.

A probability of exactly 0 is a label that the example cannot have, such as the letter of a choice that its question
lacks: no temperature gives it any weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mulcot.errors import MulcotError

BINS = 15
TEMPERATURES = (0.05, 20.0)
_SMALLEST = 1e-12
"""What counts where the right label was impossible."""
_TOLERANCE = 1e-3
_GOLDEN = (math.sqrt(5) - 1) / 2
_PRECISION = 1e-5

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Bin(NamedTuple):
    """One point of the reliability curve: answers of like confidence."""

    low: float
    high: float
    examples: int
    confidence: float
    """Mean probability of the given answer; 0 in an empty bin."""
    accuracy: float


class Calibration(NamedTuple):
    """How far confidence and accuracy lie apart."""

    ece: float
    """Expected calibration error over bins of equal width: 0 is perfect."""
    brier: float
    """Mean squared distance to the right answer over all labels, 0 to 2."""
    loss: float
    """Mean negative logarithm of the right label's probability."""
    accuracy: float
    confidence: float
    bins: tuple[Bin, ...]


def calibrate(probabilities: Sequence[Sequence[float]] | Floats, right: Sequence[int], bins: int = BINS) -> Calibration:
    """Measures label probabilities against the places of the right labels in the label set."""
    table, gold = _checked(probabilities, right)
    confidence, hit = table.max(1), table.argmax(1) == gold
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    curve = []
    for place in range(bins):
        inside = places == place
        count = int(inside.sum())
        sure, correct = (float(confidence[inside].mean()), float(hit[inside].mean())) if count else (0.0, 0.0)
        curve.append(Bin(place / bins, (place + 1) / bins, count, sure, correct))
    one_hot = np.eye(table.shape[1])[gold]
    return Calibration(
        ece=sum(one.examples * abs(one.confidence - one.accuracy) for one in curve) / len(gold),
        brier=float(((table - one_hot) ** 2).sum(1).mean()),
        loss=_loss(_logarithms(table, gold), gold, 1.0),
        accuracy=float(hit.mean()),
        confidence=float(confidence.mean()),
        bins=tuple(curve),
    )


def fit_temperature(probabilities: Sequence[Sequence[float]] | Floats, right: Sequence[int]) -> float:
    """The temperature with the smallest loss; to be fitted on dev, never on the set that is reported.

    The loss has one valley over the logarithm of the temperature, so golden sections find it. Where it only falls, as
    for a model without a mistake, the end of the allowed range comes back.
    """
    table, gold = _checked(probabilities, right)
    logits = _logarithms(table, gold)
    low, high = math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1])
    left, right_end = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = _loss(logits, gold, math.exp(left)), _loss(logits, gold, math.exp(right_end))
    while high - low > _PRECISION:
        if at_left <= at_right:
            high, right_end, at_right = right_end, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = _loss(logits, gold, math.exp(left))
        else:
            low, left, at_left = left, right_end, at_right
            right_end = low + _GOLDEN * (high - low)
            at_right = _loss(logits, gold, math.exp(right_end))
    return math.exp((low + high) / 2)


def apply_temperature(probabilities: Sequence[Sequence[float]] | Floats, temperature: float) -> Floats:
    """The probabilities, flatter above 1 and sharper below; their order stays."""
    if not temperature > 0 or not math.isfinite(temperature):
        raise ValueError(f"a temperature is a number above 0, got {temperature}")
    logits = _logarithms(_checked_table(probabilities)) / temperature
    spread: Floats = np.exp(logits - logits.max(1, keepdims=True))
    out: Floats = spread / spread.sum(1, keepdims=True)
    return out


def _checked(probabilities: Sequence[Sequence[float]] | Floats, right: Sequence[int]) -> tuple[Floats, Ints]:
    table, gold = _checked_table(probabilities), np.asarray(right, dtype=np.int64)
    if len(table) != len(gold):
        raise ValueError(f"{len(table)} rows of probabilities for {len(gold)} examples")
    if gold.min() < 0 or gold.max() >= table.shape[1]:
        raise ValueError(f"right labels must be places from 0 to {table.shape[1] - 1}")
    return table, gold


def _checked_table(probabilities: Sequence[Sequence[float]] | Floats) -> Floats:
    """Refuses what is no probability; a NaN would make every score look like a number."""
    table: Floats = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"probabilities must be a table of examples and labels, got the shape {table.shape}")
    finite: npt.NDArray[np.bool_] = np.asarray((np.isfinite(table) & (table >= 0)).all(1))
    sound: npt.NDArray[np.bool_] = finite & (np.abs(np.where(finite[:, None], table, 0).sum(1) - 1) <= _TOLERANCE)
    if not sound.all():
        row = int(np.argmin(sound))
        shown = ", ".join(f"{value:.6g}" for value in table[row][:6])
        raise MulcotError(
            f"row {row} of the label probabilities is no distribution: {shown} ({int((~sound).sum())} such rows)",
            hint="Probabilities are 0 or more and add up to 1; NaN comes from a model that diverged.",
        )
    return table


def _logarithms(table: Floats, gold: Ints | None = None) -> Floats:
    with np.errstate(divide="ignore"):
        out: Floats = np.log(table)
    if gold is not None:
        rows = np.arange(len(gold))
        out[rows, gold] = np.where(np.isneginf(out[rows, gold]), math.log(_SMALLEST), out[rows, gold])
    return out


def _loss(logits: Floats, gold: Ints, temperature: float) -> float:
    scaled = logits / temperature
    scaled = scaled - scaled.max(1, keepdims=True)
    chosen = scaled[np.arange(len(gold)), gold] - np.log(np.exp(scaled).sum(1))
    return float(-chosen.mean())
