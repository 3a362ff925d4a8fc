"""Judging a reply: what kind of answer it is, by rules that every backend shares.

The order matters: a reply is called by the first thing that is wrong with it, so that the next move fits the cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from mulcot.records import Example
from mulcot.tasks.base import Reading, Task
from mulcot.teacher.base import Finish, Reply
from mulcot.teacher.labelling import filters
from mulcot.teacher.labelling.filters import NO_FILTERS, PREDICTION, Filters
from mulcot.text import defuse

Preset = Literal["checked", "published"]
LABEL_GIVEN, LABEL_HIDDEN, UNKNOWN = 2, 1, 0
"""Whether the label was given to the teacher; unknown for chains that somebody else collected."""

_REFUSAL = re.compile(
    r"\bi(?:'m| am) (?:sorry|unable|not able|not comfortable)\b"
    r"|\bi (?:can(?:no|')t|can not|won't|will not|must decline)(?: to)? "
    r"(?:help|assist|comply|analy[sz]e|provide|process|fulfil|discuss|answer|respond|engage|continue|determine|identify)"
    r"|\bas an ai\b|\bagainst (?:my|our|the) (?:polic|guideline|content)",
    re.IGNORECASE,
)
_REFUSAL_REACH = 400


class Verdict(StrEnum):
    """What a reply is, or why there is none."""

    COMPLETE = "complete"
    """Accepted."""
    EMPTY = "empty"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    """Declined by the model, in its own words or by its finish reason."""
    FILTERED = "filtered"
    """Withheld by the provider."""
    MISSING_FIELDS = "missing_fields"
    UNPARSABLE = "unparsable"
    """All fields are there, but the prediction names no label, or several."""
    WRONG_LABEL = "wrong_label"
    LABEL_LEAK = "label_leak"
    LENGTH = "length"
    REPETITION = "repetition"
    CONTRADICTION = "contradiction"
    NEAR_DUPLICATE = "near_duplicate"
    """Decided over all chains, after everything has been asked."""
    UNANSWERED = "unanswered"
    """No reply, after every try that could help."""
    NO_LABEL = "no_label"
    """The example has no label to compare with; nothing was asked."""
    NO_CHAIN = "no_chain"
    """Imported chains: none belongs to this example."""


STRUCTURE = frozenset({
    Verdict.EMPTY, Verdict.TRUNCATED, Verdict.REFUSED, Verdict.FILTERED, Verdict.MISSING_FIELDS, Verdict.UNPARSABLE,
})  # fmt: skip
"""The reply is not a whole chain, whatever it says."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reply as read and judged."""

    verdict: Verdict
    detail: str = ""
    prediction: str | None = None
    problem: str = ""
    """Why there is no prediction; empty where there is one."""
    missing: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """The chain as it may be kept: harmless to tokenizers, the prediction spelled as the label."""


class ReplyJudge:
    """The rules of one run."""

    def __init__(self, task: Task, preset: Preset = "checked", chosen: Filters | None = None) -> None:
        self.task = task
        self.preset = preset
        self.filters = chosen or (Filters() if preset == "checked" else NO_FILTERS)

    def __call__(self, reply: Reply, example: Example, stage: int) -> Judgement:
        """What this reply to this example is."""
        reading = self.task.read(reply.text, example)
        verdict, detail = (
            self._broken(reply, reading) or self._wrong(reading, example, stage) or self._held(reading, example, stage)
        )
        return Judgement(
            verdict=verdict,
            detail=detail,
            prediction=reading.prediction,
            problem=reading.problem if reading.prediction is None else "",
            missing=reading.missing,
            fields=_kept(reading),
        )

    def _broken(self, reply: Reply, reading: Reading) -> tuple[Verdict, str] | None:
        """Not a whole chain."""
        if reply.finish == Finish.FILTERED:
            return Verdict.FILTERED, reply.text[:200]
        if reply.finish == Finish.REFUSED or (not reading.fields and _refuses(reply.text)):
            return Verdict.REFUSED, reply.text.strip()[:200]
        whole = not reading.missing
        if reply.finish == Finish.LENGTH and not whole:
            return Verdict.TRUNCATED, f"without {', '.join(reading.missing)}"
        if not reply.text.strip() or reading.problem == "empty":
            return Verdict.EMPTY, ""
        if not whole:
            return Verdict.MISSING_FIELDS, ", ".join(reading.missing)
        if reading.prediction is None and self.preset == "checked":
            return Verdict.UNPARSABLE, f"{reading.problem}: {reading.fields.get(PREDICTION, '')[:120]}"
        return None

    def _wrong(self, reading: Reading, example: Example, stage: int) -> tuple[Verdict, str] | None:
        """The published pipeline compares in stage 1 alone."""
        if reading.prediction == example.label or (self.preset == "published" and stage != LABEL_HIDDEN):
            return None
        return Verdict.WRONG_LABEL, f"{reading.prediction} for {example.label}"

    def _held(self, reading: Reading, example: Example, stage: int) -> tuple[Verdict, str]:
        chosen, fields, labels = self.filters, reading.fields, self.task.labels(example)
        checks: list[tuple[Verdict, Callable[[], str | None]]] = []
        if chosen.leak and stage != LABEL_HIDDEN:
            checks.append((Verdict.LABEL_LEAK, lambda: filters.leak(fields, labels)))
        if (bounds := chosen.length) is not None:
            checks.append((Verdict.LENGTH, lambda: filters.length(fields, bounds)))
        if (limit := chosen.repetition) is not None:
            checks.append((Verdict.REPETITION, lambda: filters.repetition(fields, limit)))
        if chosen.contradiction:
            checks.append((Verdict.CONTRADICTION, lambda: filters.contradiction(fields, labels)))
        for verdict, check in checks:
            found = check()
            if found is not None:
                return verdict, found
        return Verdict.COMPLETE, ""


def _refuses(text: str) -> bool:
    return _REFUSAL.search(text[:_REFUSAL_REACH].replace("\u2019", "'")) is not None


def _kept(reading: Reading) -> dict[str, str]:
    fields = {name: defuse(value) for name, value in reading.fields.items()}
    if reading.prediction is not None:
        fields[PREDICTION] = reading.prediction
    return fields
