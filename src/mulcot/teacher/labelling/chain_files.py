"""The two files at the end: a chain for every example that has one, and every reason for those that have none.

Written from committed replies in the order of the dataset, without times or addresses: an interrupted run and an
undisturbed one give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mulcot.records import Json, Rationale, Record
from mulcot.teacher.labelling.dialogues import DialogueOutcome
from mulcot.teacher.labelling.filters import words
from mulcot.teacher.labelling.near_duplicates import NearDuplicates
from mulcot.teacher.labelling.reply_judge import Verdict
from mulcot.teacher.labelling.retry import Trial

KEPT_TEXT = 4000
"""Characters of a rejected reply that are kept beside its reason; all of it is in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Record):
    """One reply that was not accepted."""

    stage: int
    attempt: int
    verdict: str
    detail: str = ""
    prediction: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Record):
    """One example without a chain."""

    example_id: str
    reason: str
    """The verdict on the last reply, or why there was none."""
    detail: str = ""
    label: str | None = None
    trials: tuple[Rejection, ...] = ()
    """Every reply with its reason, in order."""

    @classmethod
    def from_json(cls, data: Json) -> Failure:  # type: ignore[override]
        """The failure that wrote `data`."""
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        known["trials"] = tuple(Rejection.from_json(trial) for trial in data.get("trials", ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class RationaleWriter:
    """What is the same for all chains of a run."""

    source: str
    simulated: bool = False
    duplicates: NearDuplicates | None = None
    unanswered: dict[str, str] | None = None
    """Why there is no reply, by example."""

    def finish(self, outcomes: Iterable[DialogueOutcome]) -> Iterator[tuple[DialogueOutcome, Rationale | Failure]]:
        """A record per example, in order."""
        for outcome in outcomes:
            yield outcome, self._record(outcome)

    def _record(self, outcome: DialogueOutcome) -> Rationale | Failure:
        accepted = outcome.accepted
        if accepted is None:
            if outcome.open is None:
                assert outcome.reason is not None
                detail = outcome.trials[-1].judgement.detail if outcome.trials else ""
                return _failure(outcome, outcome.reason, detail)
            why = (self.unanswered or {}).get(outcome.example.id, "")
            return _failure(outcome, Verdict.UNANSWERED, why)
        if self.duplicates is not None:
            twin = self.duplicates.find(outcome.example.id, words(accepted.judgement.fields))
            if twin is not None:
                return _failure(outcome, Verdict.NEAR_DUPLICATE, f"{twin[1]:.0%} like the chain of {twin[0]}")
        return Rationale(
            example_id=outcome.example.id,
            source=self.source,
            stage=accepted.ask.stage,
            fields=accepted.judgement.fields,
            prediction=accepted.judgement.prediction,
            attempts=len(outcome.trials),
            model=accepted.reply.model,
            simulated=self.simulated,
            usage=_usage(outcome.trials),
        )


def _failure(outcome: DialogueOutcome, reason: Verdict, detail: str) -> Failure:
    rejections = tuple(
        Rejection(
            stage=trial.ask.stage,
            attempt=trial.ask.attempt,
            verdict=str(trial.verdict),
            detail=trial.judgement.detail,
            prediction=trial.judgement.prediction,
            text=trial.reply.text[:KEPT_TEXT],
        )
        for trial in outcome.trials
    )
    example = outcome.example
    return Failure(example_id=example.id, reason=str(reason), detail=detail, label=example.label, trials=rejections)


def _usage(trials: tuple[Trial, ...]) -> Json:
    """Tokens of all replies; unknown as soon as one of them is."""
    usage: Json = {}
    for name in ("prompt", "completion"):
        counts = [getattr(trial.reply.usage, name) for trial in trials]
        usage[name] = None if None in counts else sum(counts)
    return {} if set(usage.values()) == {None} else usage
