"""What a stage has to tell at the end: yields, attempts, reasons, confusion, tokens, and four histograms.

Only counters are kept, so it costs the same for a hundred examples and for a million.
"""

from __future__ import annotations

from collections import Counter

from mulcot.records import Json, Rationale
from mulcot.teacher.labelling.chain_files import Failure
from mulcot.teacher.labelling.confusion import PredictionCounts
from mulcot.teacher.labelling.dialogues import DialogueOutcome
from mulcot.teacher.labelling.filters import words
from mulcot.teacher.labelling.own_answer import is_unknown, own_answer
from mulcot.teacher.labelling.reply_judge import LABEL_GIVEN, LABEL_HIDDEN, STRUCTURE, UNKNOWN, Verdict
from mulcot.teacher.labelling.yields import Yield

STAGES = {LABEL_HIDDEN: "stage1", LABEL_GIVEN: "stage2", UNKNOWN: "imported"}
NEARLY_ALL = 0.99
STILL_HELPS = 0.1


class Tally:
    """Counts outcomes as they are written."""

    def __init__(self) -> None:
        self.examples = 0
        self.accepted: Counter[int] = Counter()
        self.reasons: Counter[str] = Counter()
        self.labels: dict[str, Counter[str]] = {}
        self.verdicts: Counter[tuple[int, Verdict]] = Counter()
        self.confusion = PredictionCounts()
        self.unknown = 0
        """Examples whose answer without the label nobody kept: then the others say nothing about the teacher."""
        self.yields: dict[str, Yield] = {}
        """By split."""
        self.attempts = {stage: Attempts() for stage in STAGES}
        self.histograms = {
            "replies_per_example": Histogram(1),
            "words_per_chain": Histogram(25),
            "completion_tokens": Histogram(50),
            "latency_seconds": Histogram(0.5),
        }

    def add(self, outcome: DialogueOutcome, record: Rationale | Failure) -> None:
        """One example."""
        self.examples += 1
        per_label = self.labels.setdefault(outcome.example.label or "no label", Counter())
        per_label["examples"] += 1
        if isinstance(record, Rationale):
            self.accepted[record.stage] += 1
            per_label[STAGES[record.stage]] += 1
            self.histograms["words_per_chain"].add(len(words(record.fields)))
        else:
            self.reasons[record.reason] += 1
            per_label["failed"] += 1
        of_split = self.yields.setdefault(outcome.example.split, Yield())
        of_split.add(None if isinstance(record, Rationale) else record.reason)
        self._add_trials(outcome)

    def learned_from(self) -> Yield:
        """The yield of train; of everything where train was not asked about."""
        return self.yields.get("train") or Yield.of(self.yields.values())

    def _add_trials(self, outcome: DialogueOutcome) -> None:
        own = own_answer(outcome.trials)
        if own is not None and outcome.example.label is not None:
            self.confusion.add(outcome.example.label, own.judgement.prediction)
        self.unknown += is_unknown(outcome)
        if outcome.trials:
            self.histograms["replies_per_example"].add(len(outcome.trials))
        whole: set[int] = set()
        for trial in outcome.trials:
            stage = trial.ask.stage
            self.verdicts[stage, trial.verdict] += 1
            new = trial.verdict not in STRUCTURE and stage not in whole
            if new:
                whole.add(stage)
            self.attempts[stage].add(trial.ask.attempt, whole=new, accepted=trial.verdict is Verdict.COMPLETE)
            if trial.reply.usage.completion is not None:
                self.histograms["completion_tokens"].add(trial.reply.usage.completion)
            if trial.reply.latency:
                self.histograms["latency_seconds"].add(trial.reply.latency)

    def to_json(self, limits: dict[int, int]) -> Json:
        """The part of the summary that comes from the outcomes; `limits` are the attempts allowed per stage."""
        verdicts: dict[str, dict[str, int]] = {}
        for (stage, verdict), count in sorted(self.verdicts.items()):
            verdicts.setdefault(STAGES[stage], {})[str(verdict)] = count
        return {
            "examples": self.examples,
            "accepted": {STAGES[stage]: self.accepted[stage] for stage in sorted(self.accepted)},
            "failed": sum(self.reasons.values()),
            "reasons": dict(self.reasons.most_common()),
            "verdicts": verdicts,
            "attempts": {
                STAGES[stage]: attempts.to_json(limits.get(stage))
                for stage, attempts in self.attempts.items()
                if attempts.asked
            },
            "stage1_accuracy": None if self.unknown else self.confusion.accuracy,
            "confusion": {} if self.unknown else self.confusion.to_json(),
            "labels": {label: dict(counts) for label, counts in sorted(self.labels.items())},
            "histograms": {name: histogram.to_json() for name, histogram in self.histograms.items() if histogram.count},
        }


class Attempts:
    """Success per attempt number of one stage."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.whole: Counter[int] = Counter()
        self.accepted: Counter[int] = Counter()

    def add(self, attempt: int, *, whole: bool, accepted: bool) -> None:
        """One reply. `whole`: the first of its example and stage whose structure was complete."""
        self.asked[attempt] += 1
        self.whole[attempt] += whole
        self.accepted[attempt] += accepted

    def enough(self, share: float) -> int:
        """The lowest limit that would have given this share of what was accepted; 0 where nothing was."""
        wanted, reached = share * self.accepted.total(), 0
        for attempt in sorted(self.accepted):
            reached += self.accepted[attempt]
            if reached and reached >= wanted:
                return attempt
        return 0

    def to_json(self, limit: int | None) -> Json:
        """Per attempt number: asked, whole for the first time, accepted; and what follows for the limit."""
        numbers = sorted(self.asked)
        out: Json = {
            "limit": limit,
            "asked": [self.asked[number] for number in numbers],
            "whole": [self.whole[number] for number in numbers],
            "accepted": [self.accepted[number] for number in numbers],
            "enough_for_all": self.enough(1.0),
            "enough_for_99_percent": self.enough(NEARLY_ALL),
        }
        if limit is not None:
            last = self.asked[limit]
            out["more_may_help"] = bool(last) and self.accepted[limit] / last >= STILL_HELPS
        return out


class Histogram:
    """Counts per interval of equal width."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.bins: Counter[int] = Counter()
        self.count, self.sum = 0, 0.0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, value: float) -> None:
        """One value."""
        self.bins[int(value // self.step)] += 1
        self.count += 1
        self.sum += value
        self.low, self.high = min(self.low, value), max(self.high, value)

    def to_json(self) -> Json:
        """Count, mean, extremes and `{lower bound: count}`."""
        bins = {f"{number * self.step:g}": count for number, count in sorted(self.bins.items())}
        mean = round(self.sum / self.count, 3)
        low, high = round(self.low, 3), round(self.high, 3)
        return {"count": self.count, "mean": mean, "min": low, "max": high, "step": self.step, "bins": bins}
