"""Where the chains of a run come from, what became of them, and what all of it cost."""

from __future__ import annotations

from typing import NamedTuple

from mulcot.records import Json
from mulcot.report.run import Run

OUTCOMES = {
    "stage1": ("found alone", "the teacher named the right label without the label given"),
    "stage2": ("with the label given", "the teacher explained the label it was told"),
    "imported": ("imported", "collected elsewhere"),
}
REFUSED = "rejected_"
"""Begins the names under which annotate counts why chains were refused."""


class FlowShare(NamedTuple):
    """A share of a whole, with what it means."""

    name: str
    number: int
    share: float
    note: str
    tint: int
    """Which colour; 2 is for what was lost."""


class ChainAuthor(NamedTuple):
    """One writer of chains."""

    title: str
    whole: int
    unit: str
    parts: list[FlowShare]


class Cost(NamedTuple):
    """What a stage took."""

    stage: str
    seconds: float | None
    """None where it is not finished."""
    share: float
    what: str


def sources(run: Run) -> list[ChainAuthor]:
    """Teacher and assistant, where they have written."""
    found = [_teacher(run.teacher)] if run.teacher else []
    counts = run.stages["annotate"].counts if "annotate" in run.stages else {}
    if counts.get("sampled"):
        found.append(_assistant(counts))
    return found


def learned(run: Run) -> list[tuple[str, int]]:
    """How many training items each training had."""
    views = ((name, view.counts.get("lessons")) for name, view in run.stages.items() if name != "annotate")
    return [(name, count) for name, count in views if isinstance(count, int)]


def costs(run: Run) -> list[Cost]:
    """Stage by stage."""
    whole = sum(view.record.seconds for view in run.stages.values() if view.record) or 1.0
    out = []
    for name, view in run.stages.items():
        seconds = view.record.seconds if view.record else None
        out.append(Cost(name, seconds, (seconds or 0.0) / whole, _counted(view.counts)))
    return out


def spent(run: Run) -> Json:
    """Requests, tokens and money of the teacher; empty where nothing was asked."""
    found = (run.teacher or {}).get("spent")
    return found if isinstance(found, dict) else {}


def _teacher(summary: Json) -> ChainAuthor:
    whole = summary["examples"]
    parts = [
        _part(OUTCOMES[key][0], count, whole, OUTCOMES[key][1], tint)
        for tint, key in enumerate(OUTCOMES)
        if (count := summary["accepted"].get(key)) is not None
    ]
    reasons = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in summary.get("reasons", {}).items())
    return ChainAuthor(
        "Teacher", whole, "examples asked about", [*parts, _lost("given up", summary["failed"], whole, reasons)]
    )


def _assistant(counts: Json) -> ChainAuthor:
    whole, kept = counts["sampled"], counts.get("accepted", 0)
    reasons = {key.removeprefix(REFUSED): count for key, count in counts.items() if key.startswith(REFUSED) and count}
    note = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in reasons.items())
    right = _part("right and whole", kept, whole, "its chains that end with the right label", 0)
    return ChainAuthor("Assistant", whole, "chains sampled", [right, _lost("refused", whole - kept, whole, note)])


def _part(name: str, count: int, whole: int, note: str, tint: int) -> FlowShare:
    return FlowShare(name, count, count / whole if whole else 0.0, note, 5 if tint == 1 else tint)


def _lost(name: str, count: int, whole: int, note: str) -> FlowShare:
    return FlowShare(name, count, count / whole if whole else 0.0, note, 2)


def _counted(counts: Json) -> str:
    plain = {key: value for key, value in counts.items() if isinstance(value, int | float | str) and value != ""}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in list(plain.items())[:6])
