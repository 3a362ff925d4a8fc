"""Ratings by hand, as the review page saves them: means, and how far several raters agree.

Agreement is Krippendorff's alpha for ordinal values: 1 is perfect, 0 is what chance would give, below 0 is worse. It
allows any number of raters, and missing ratings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mulcot.errors import DataError, printable
from mulcot.records import Json, Record

QUESTIONS = {
    "correctness": "Does the reasoning hold, and does it lead to the right label?",
    "grounding": "Does every statement rest on what the post says or shows?",
    "coherence": "Does it read as one clear line of thought?",
}
SCALE = (1, 2, 3, 4, 5)
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating(Record):
    """One rater's values for one chain."""

    rater: str
    chain: str
    """The chain's hash: a rewritten chain counts as a new one."""
    stage: int = 0
    label: str = ""
    values: Json = field(default_factory=dict)


def read_ratings(paths: Iterable[Path]) -> list[Rating]:
    """All ratings of all files; a file counts as one rater, named in it or by the file's name."""
    ratings: list[Rating] = []
    raters: set[str] = set()
    for path in paths:
        found = _read(path)
        rater = str(found.get("rater") or path.stem)
        while rater in raters:
            rater += "'"
        raters.add(rater)
        for row in found["ratings"]:
            values = {name: value for name, value in row["values"].items() if value is not None}
            ratings.append(
                Rating(
                    rater=rater,
                    chain=f"{row['example_id']}:{row.get('chain', '')}",
                    stage=int(row.get("stage") or 0),
                    label=str(row.get("label") or ""),
                    values=values,
                )
            )
    return ratings


def summarise(ratings: Sequence[Rating]) -> Json:
    """Per question: mean, counts, means by rater, stage and label, and alpha."""
    questions: Json = {}
    for name in QUESTIONS:
        rated = [(rating, rating.values[name]) for rating in ratings if name in rating.values]
        units: dict[str, list[int]] = {}
        for rating, value in rated:
            units.setdefault(rating.chain, []).append(value)
        counts = Counter(value for _, value in rated)
        questions[name] = {
            "count": len(rated),
            "mean": _mean([value for _, value in rated]),
            "counts": {str(value): counts[value] for value in SCALE},
            "by_rater": _means((rating.rater, value) for rating, value in rated),
            "by_stage": _means((str(rating.stage), value) for rating, value in rated),
            "by_label": _means((rating.label, value) for rating, value in rated),
            "rated_by_several": sum(len(values) > 1 for values in units.values()),
            "alpha": krippendorff_alpha(list(units.values()), SCALE),
        }
    return {
        "raters": sorted({rating.rater for rating in ratings}),
        "chains": len({rating.chain for rating in ratings}),
        "questions": questions,
    }


def krippendorff_alpha(units: Sequence[Sequence[int]], scale: Sequence[int]) -> float | None:
    """Ordinal alpha over units of ratings; None where nobody can be compared or all values are the same.

    Krippendorff, Content Analysis (4th edition), chapter 12: one minus observed over expected disagreement, with the
    ordinal distance between two values made of how many ratings lie between them.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    totals = Counter(value for unit in pairable for value in unit)
    number = totals.total()
    if not number:
        return None

    def distance(one: int, other: int) -> float:
        low, high = sorted((scale.index(one), scale.index(other)))
        between = sum(totals[value] for value in scale[low : high + 1])
        return (between - (totals[one] + totals[other]) / 2) ** 2

    observed = sum(sum(distance(one, other) for one in unit for other in unit) / (len(unit) - 1) for unit in pairable)
    expected = sum(
        totals[one] * totals[other] * distance(one, other) for one in totals for other in totals
    ) / (number - 1)  # fmt: skip
    return 1 - observed / expected if expected else None


def summary_lines(found: Json) -> list[str]:
    """For the terminal."""
    lines = [f"{found['chains']:,} chains rated by {len(found['raters'])}: {', '.join(found['raters'])}"]
    for name, result in found["questions"].items():
        if not result["count"]:
            lines.append(f"{name}: not rated")
            continue
        spread = "  ".join(f"{value}: {count}" for value, count in result["counts"].items())
        lines.append(f"{name}: mean {result['mean']:.2f} of {result['count']:,} ratings   {spread}")
        for group in ("by_rater", "by_stage", "by_label"):
            means = "  ".join(f"{key} {mean:.2f}" for key, mean in result[group].items() if key)
            if len(result[group]) > 1 and means:
                lines.append(f"  {group.replace('_', ' ')}: {means}")
        alpha = result["alpha"]
        several = result["rated_by_several"]
        shown = "unknown" if alpha is None else f"{alpha:.3f}"
        lines.append(f"  agreement (Krippendorff's alpha, ordinal): {shown}, over {several:,} chains rated by several")
    return [printable(line) for line in lines]


def _read(path: Path) -> Json:
    hint = "It is the file that the review page saves with its button."
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise DataError(f"{path} is not JSON", hint=hint) from None
    if not isinstance(data, dict) or not isinstance(data.get("ratings"), list):
        raise DataError(f"{path} holds no ratings", hint=hint)
    if data.get("format") != FORMAT:
        raise DataError(f"{path} has the format {data.get('format')!r}, known is {FORMAT}", hint=hint)
    for number, row in enumerate(data["ratings"], start=1):
        problem = _problem(row)
        if problem:
            raise DataError(f"{path}, rating {number}: {problem}", hint=hint)
    if not any(value is not None for row in data["ratings"] for value in row["values"].values()):
        raise DataError(f"{path} holds no ratings: nothing was rated before it was saved", hint=hint)
    return data


def _problem(row: Any) -> str:
    if not isinstance(row, dict) or not isinstance(row.get("values"), dict) or not row.get("example_id"):
        return "example_id and values are needed"
    for name, value in row["values"].items():
        if name not in QUESTIONS:
            return f"unknown question {str(name)[:40]!r}, known are {', '.join(QUESTIONS)}"
        if value is not None and (isinstance(value, bool) or value not in SCALE):
            return f"{name} is {str(value)[:20]!r}, allowed are 1 to 5"
    return ""


def _mean(values: Sequence[int]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _means(pairs: Iterable[tuple[str, int]]) -> dict[str, float | None]:
    groups: dict[str, list[int]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: _mean(groups[key]) for key in sorted(groups)}
