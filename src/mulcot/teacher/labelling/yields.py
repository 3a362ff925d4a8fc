"""The yield of asking: how many examples have a chain that may be learned from, and why the others have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mulcot.errors import NothingUsable
from mulcot.records import Json
from mulcot.teacher.labelling.reply_judge import Verdict

SHOWN = 5
_READ = "Read the replies: `mulcot teacher review` and failures.jsonl show them with their reasons."
_FORM = "It does not keep to the form: take a stronger model, or backend.structured where the server knows it."
_DECLINES = "Model or provider decline: take another teacher, or other task.templates."
NEXT = {
    Verdict.EMPTY: "It says nothing: check the server's chat template, and backend.sampling.max_tokens.",
    Verdict.TRUNCATED: "Replies are cut off: raise backend.sampling.max_tokens and retry.most_tokens.",
    Verdict.REFUSED: _DECLINES,
    Verdict.FILTERED: _DECLINES,
    Verdict.MISSING_FIELDS: _FORM,
    Verdict.UNPARSABLE: _FORM,
    Verdict.WRONG_LABEL: "It names other labels even when told: check what labels and prompts say.",
    Verdict.LABEL_LEAK: "Chains tell that the label was given: see teacher.filters.leak.",
    Verdict.LENGTH: "A filter holds chains back: see teacher.filters.length.",
    Verdict.REPETITION: "A filter holds chains back: see teacher.filters.repetition.",
    Verdict.CONTRADICTION: "A filter holds chains back: see teacher.filters.contradiction.",
    Verdict.NEAR_DUPLICATE: "A filter holds chains back: see teacher.filters.near_duplicates.",
    Verdict.UNANSWERED: "Check the teacher's server; the same command asks again.",
    Verdict.NO_CHAIN: "Most examples have no row in the file: see unmatched.jsonl, backend.columns and backend.match.",
}
"""What to do about the most frequent reason."""


@dataclass
class Yield:
    """Counts labelled examples; one without a label is not asked about."""

    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str | None) -> None:
        """One example; None where its chain was accepted."""
        if reason is None:
            self.accepted += 1
        elif reason != Verdict.NO_LABEL:
            self.reasons[reason] += 1

    @classmethod
    def of(cls, parts: Iterable[Yield]) -> Yield:
        """Several, added up."""
        whole = cls()
        for part in parts:
            whole.accepted += part.accepted
            whole.reasons.update(part.reasons)
        return whole

    @property
    def total(self) -> int:
        """All of them."""
        return self.accepted + self.reasons.total()

    def enough(self, least: float) -> bool:
        """Whether this share of them has a chain."""
        return self.accepted >= least * self.total

    def sentence(self, examples: str) -> str:
        """What came out; `examples` names what was asked about."""
        share = f" ({self.accepted / self.total:.0%})" if self.total else ""
        why = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(SHOWN))
        found = f"usable chains for {self.accepted:,} of {self.total:,} {examples}{share}"
        return f"{found}; the others: {why}" if why else found

    def error(self, examples: str, least: float) -> NothingUsable:
        """Why this is too little to go on with."""
        first = self.reasons.most_common(1)
        advice = NEXT.get(Verdict(first[0][0]), "") if first else ""
        hint = (
            f"{advice} {_READ} Paid replies are kept: after a change the same command continues. "
            f"teacher.min_accepted (now {least:g}) is the share that is wanted; 0 goes on with any."
        ).lstrip()
        return NothingUsable(f"the teacher has {self.sentence(examples)}", hint=hint)

    def to_json(self) -> Json:
        """Counts."""
        return {"examples": self.total, "accepted": self.accepted, "reasons": dict(self.reasons.most_common())}
