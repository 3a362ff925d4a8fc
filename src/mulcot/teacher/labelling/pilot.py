"""The pilot gate: a random sample is asked first, and below a threshold nothing more is spent.

A teacher that sees no picture, a wrong prompt or a wrong label file all show in its labels, for the price of fifty
replies. Only then is the sample asked to the end: labels can be right in chains that none of the rules lets pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import Field

from mulcot.errors import NothingUsable, printable
from mulcot.records import Json
from mulcot.settings import Settings
from mulcot.teacher.labelling.confusion import PredictionCounts
from mulcot.teacher.labelling.dialogues import DialogueOutcome
from mulcot.teacher.labelling.own_answer import own_answer
from mulcot.teacher.labelling.reply_judge import Verdict
from mulcot.teacher.labelling.yields import Yield

SHOWN = 10
EXCERPT = 400


class Pilot(Settings):
    """A random sample that goes first."""

    size: int = Field(default=50, ge=1)
    """How many examples."""
    min_stage1_accuracy: float = Field(default=0.3, ge=0, le=1)
    """The share of them whose label the teacher must find on its own; 0 only shows it."""


@dataclass
class PilotResult:
    """How the sample went."""

    settings: Pilot
    confusion: PredictionCounts = field(default_factory=PredictionCounts)
    failures: list[DialogueOutcome] = field(default_factory=list)
    unanswered: int = 0
    min_accepted: float = 0.0
    """The share of examples that must have a usable chain."""
    chains: Yield | None = None
    """What came of it in the end; None before the sample was asked to the end."""

    @classmethod
    def of(cls, settings: Pilot, outcomes: Iterable[DialogueOutcome], min_accepted: float = 0.0) -> PilotResult:
        """Counts the teacher's own answer to every example; what got no reply says nothing about the teacher."""
        result = cls(settings, min_accepted=min_accepted)
        for outcome in outcomes:
            own = own_answer(outcome.trials)
            if own is None or outcome.example.label is None:
                result.unanswered += 1
                continue
            result.confusion.add(outcome.example.label, own.judgement.prediction)
            if own.judgement.prediction != outcome.example.label:
                result.failures.append(outcome)
        return result

    def followed(self, outcomes: Iterable[DialogueOutcome]) -> PilotResult:
        """With what came of the same examples in the end; again without those that got no reply."""
        self.chains = Yield()
        for outcome in outcomes:
            if outcome.accepted is not None or outcome.reason is not None:
                self.chains.add(None if outcome.accepted is not None else str(outcome.reason))
        return self

    @property
    def finds_labels(self) -> bool:
        """Whether enough labels were found in stage 1. Without a single reply there is nothing to judge."""
        accuracy = self.confusion.accuracy
        return accuracy is None or accuracy >= self.settings.min_stage1_accuracy

    @property
    def passed(self) -> bool:
        """Whether the rest may be asked, as far as is known."""
        return self.finds_labels and (self.chains is None or self.chains.enough(self.min_accepted))

    def to_json(self) -> Json:
        """Everything that `pilot.json` shows."""
        return {
            "passed": self.passed,
            "size": self.confusion.total,
            "unanswered": self.unanswered,
            "stage1_accuracy": self.confusion.accuracy,
            "min_stage1_accuracy": self.settings.min_stage1_accuracy,
            "min_accepted": self.min_accepted,
            "chains": None if self.chains is None else self.chains.to_json(),
            "confusion": self.confusion.to_json(),
            "failures": [_failure(outcome) for outcome in self.failures[:SHOWN]],
        }

    def error(self) -> NothingUsable:
        """Why the run stops here: too few chains, or too few labels, with the confusion matrix and ten failures."""
        if self.finds_labels and self.chains is not None:
            return self.chains.error("examples of the pilot", self.min_accepted)
        accuracy, wanted = self.confusion.accuracy or 0.0, self.settings.min_stage1_accuracy
        lines = [
            f"the pilot found {self.confusion.right} of {self.confusion.total} labels ({accuracy:.0%}); "
            f"{wanted:.0%} are wanted before the rest is paid for",
            "",
            *map(printable, self.confusion.lines()),
            "",
        ]
        for number, outcome in enumerate(self.failures[:SHOWN], start=1):
            lines += _shown(number, _failure(outcome))
        hint = (
            "Check the model, the prompt, the labels and the pictures; pilot.json holds this too. "
            "Lower teacher.pilot.min_stage1_accuracy only if this is what you expect."
        )
        return NothingUsable("\n".join(lines), hint=hint)


def _failure(outcome: DialogueOutcome) -> Json:
    own = own_answer(outcome.trials)
    assert own is not None
    example = outcome.example
    return {
        "example_id": example.id,
        "text": example.text[:EXCERPT],
        **({"aspect": example.aspect} if example.aspect else {}),
        "label": example.label,
        "prediction": own.judgement.prediction,
        "verdict": str(own.verdict),
        "detail": own.judgement.detail,
        "reply": own.reply.text[:EXCERPT],
    }


def _shown(number: int, failure: Json) -> list[str]:
    got = failure["prediction"] or failure["verdict"]
    about = f" [{failure['aspect']}]" if "aspect" in failure else ""
    head = printable(f"{failure['label']}, got {got}")
    lines = [f"{number:>2}. {head}: {_short(failure['text'])}{_short(about)}"]
    if failure["verdict"] not in (Verdict.WRONG_LABEL, Verdict.COMPLETE):
        lines.append(f"    {failure['verdict']}: {_short(failure['reply']) or 'no text'}")
    return lines


def _short(text: str) -> str:
    """One harmless line for a terminal."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= 100 else line[:99] + "\u2026"
