"""Everything that can be said about predictions and references, in both variants, with the floors beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mulcot.metrics.bootstrap import Interval
from mulcot.metrics.chains import CHAIN_METRICS, ChainScorer, ChainScores
from mulcot.metrics.classification import classify
from mulcot.metrics.confusion import Confusion
from mulcot.metrics.floors import majority, other_references
from mulcot.metrics.reply_reading import AnswerReader
from mulcot.records import Json, Record

LABEL_METRICS = ("accuracy", "macro_f1", "weighted_f1")
NO_LABELS = "no row has a label"
NO_SET = "the label set is not known; name it with --labels"
ALONE = "no example has another one of its label"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow(Record):
    """One prediction with what it should have been."""

    id: str
    prediction: str
    """The model's whole reply."""
    reference: str
    label: str | None = None
    """The right label, spelled as in the label set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant's scores: `paper` or `standard`."""

    chains: ChainScores
    floor: ChainScores | None
    """The same metrics for a random other reference of the same label in place of each prediction."""
    labels: dict[str, float | None] = field(default_factory=dict)
    """`LABEL_METRICS`."""
    unparsed: int | None = None
    """Predictions that name no label, of all rows."""
    confusion: Confusion | None = None
    majority: dict[str, Any] | None = None
    """The same metrics for always answering the most frequent label."""
    answers: tuple[str | None, ...] = ()
    """The label read from each prediction."""
    notes: dict[str, str] = field(default_factory=dict)

    def intervals(self) -> dict[str, Interval]:
        """95 % bootstrap intervals, where the score has one."""
        return {**self.chains.intervals(), **(self.confusion.intervals() if self.confusion else {})}

    def to_json(self) -> Json:
        """Plain numbers first; what explains them after."""
        return {
            **{name: self.chains.scores.get(name) for name in CHAIN_METRICS},
            **{name: self.labels.get(name) for name in LABEL_METRICS},
            "unparsed": self.unparsed,
            **self.chains.beside,
            "intervals": {name: list(ends) for name, ends in self.intervals().items()},
            "floors": {
                "random_reference": {n: self.floor.scores.get(n) for n in CHAIN_METRICS} if self.floor else None,
                "majority_label": self.majority,
            },
            "per_label": [score._asdict() for score in self.confusion.per_label()] if self.confusion else None,
            "confusion": self.confusion.to_json() if self.confusion else None,
            "how": self.chains.how,
            "notes": {**self.chains.notes, **self.notes},
        }


def score(rows: Sequence[PredictionRow], reader: AnswerReader | None, scorer: ChainScorer) -> dict[str, Variant]:
    """Both variants. Without a reader no labels are read; rows without a label count for the chains alone."""
    chains = scorer.score([(row.prediction, row.reference) for row in rows])
    others = other_references([row.label for row in rows])
    drawn = [(rows[n].reference, row.reference) for row, n in zip(rows, others, strict=True) if n is not None]
    floors = scorer.score(drawn) if drawn else {}
    rules: dict[str, Callable[[str], str | None]] = {}
    if reader is not None:
        rules = {"paper": reader.paper, "standard": reader.standard}
    out = {}
    for name in chains:
        floor = floors.get(name)
        notes = {} if floor else {"floors": ALONE}
        common: dict[str, Any] = {"chains": chains[name], "floor": floor}
        if reader is None:
            notes |= dict.fromkeys((*LABEL_METRICS, "unparsed"), NO_SET)
            out[name] = Variant(**common, notes=notes)
        else:
            out[name] = _labelled(rows, reader.labels, rules[name], common, notes)
    return out


def _labelled(
    rows: Sequence[PredictionRow],
    labels: tuple[str, ...],
    rule: Callable[[str], str | None],
    common: dict[str, Any],
    notes: dict[str, str],
) -> Variant:
    answers = tuple(rule(row.prediction) for row in rows)
    unparsed = sum(answer is None for answer in answers)
    judged = [(answer, row.label) for answer, row in zip(answers, rows, strict=True) if row.label is not None]
    if not judged:
        notes |= dict.fromkeys(LABEL_METRICS, NO_LABELS)
        return Variant(**common, unparsed=unparsed, answers=answers, notes=notes)
    given, right = [answer for answer, _ in judged], [label for _, label in judged]
    usual = majority(right)
    if len(judged) < len(rows):
        notes["labels"] = f"{len(judged)} of {len(rows)} rows have a label; accuracy and F1 are over these"
    return Variant(
        **common,
        labels=dict(classify(given, right, labels)._asdict()),
        unparsed=unparsed,
        confusion=Confusion(given, right, labels),
        majority={"label": usual, **classify([usual] * len(right), right, labels)._asdict()},
        answers=answers,
        notes=notes,
    )
