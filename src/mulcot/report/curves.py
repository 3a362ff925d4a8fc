"""`metrics.jsonl` as curves: losses per step, and what each look at dev and training examples found."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mulcot.records import Json

BESIDE = ("step", "epoch", "learning_rate", "gradient", "target_tokens", "examples", "seconds")
"""Numbers of a step that are no losses."""
POINTS = 240
"""A longer curve is drawn by the means of as many stretches."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curves:
    """One training."""

    losses: dict[str, list[Point]] = field(default_factory=dict)
    """By name: step and value."""
    looks: dict[str, list[Point]] = field(default_factory=dict)
    """`dev` and `train`: step and `measure`."""
    steps: int = 0
    epochs: float = 0.0
    measure: str = "accuracy"
    """What was looked at: accuracy, or `rouge_l` of rationales."""


def read_curves(path: Path) -> Curves | None:
    """The curves of a training, finished or not; None where nothing was measured."""
    losses: dict[str, list[Point]] = {}
    looks: dict[str, list[Point]] = {}
    step, epoch, measure = 0, 0.0, "accuracy"
    for entry in _entries(path):
        step = max(step, int(entry["step"]))
        if isinstance(look := entry.get("evaluation"), dict):
            measure = "rouge_l" if "rouge_l" in look else measure
            for name, value in _looked(look, measure):
                looks.setdefault(name, []).append((step, value))
        else:
            epoch = max(epoch, _number(entry.get("epoch")) or 0.0)
            for name, value in entry.items():
                number = None if name in BESIDE else _number(value)
                if number is not None:
                    losses.setdefault(name, []).append((step, number))
    if not losses and not looks:
        return None
    parts = [name for name in losses if name != "loss"]
    if len(parts) == 1 and _alike(losses.get("loss", []), losses[parts[0]]):
        del losses[parts[0]]  # the loss has one part alone
    return Curves({name: thinned(points) for name, points in losses.items()}, looks, step, epoch, measure)


def thinned(points: list[Point], most: int = POINTS) -> list[Point]:
    """At most so many points: the means of equal stretches."""
    if len(points) <= most:
        return points
    out = []
    for number in range(most):
        part = points[number * len(points) // most : (number + 1) * len(points) // most]
        out.append((part[-1][0], math.fsum(value for _, value in part) / len(part)))
    return out


def _alike(points: list[Point], others: list[Point]) -> bool:
    """Whether they are the same but for rounding: a sum in another order ends in other digits."""
    pairs = zip(points, others, strict=False)
    return len(points) == len(others) and all(
        step == other and math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for (step, a), (other, b) in pairs
    )


def _entries(path: Path) -> Iterator[Json]:
    """The whole lines of the file; a training that runs may be writing the last one."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        return
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(entry, dict) and _number(entry.get("step")) is not None:
            yield entry


def _looked(look: Json, measure: str) -> Iterator[tuple[str, float]]:
    """Of dev and of watched training examples, where they were looked at."""
    found = {name: part for name, part in look.items() if isinstance(part, dict)}
    for name, part in found.items():
        value = _number(part.get(measure))
        if value is not None:
            yield name, value
    if not found and (value := _number(look.get(measure))) is not None:
        yield "dev", value


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
