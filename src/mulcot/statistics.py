"""What is in a dataset, counted while it streams by: labels, lengths, rejections, duplicates, leakage between splits.

Only counters and eight-byte digests are kept, so memory stays small however large the dataset is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from mulcot.datasets.base import Dataset
from mulcot.records import SPLITS, Example, Json, Record, Rejected
from mulcot.tasks.base import Task
from mulcot.text import normalise

SHOWN_PER_REASON = 5
Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths(Record):
    """How long texts are, in characters."""

    mean: float = 0.0
    median: int = 0
    p95: int = 0
    max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStatistics(Record):
    """One split."""

    count: int
    labels: Json
    images: int
    """Distinct picture files."""
    without_image: int
    aspects: int
    """Examples with an aspect."""
    text_length: Lengths
    duplicates: Json
    """Rows that repeat an earlier row of the split: `text` after normalisation, `post` with pictures and aspect too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Record):
    """Something a person should know before going on, and what to do."""

    level: Level
    message: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Record):
    """Everything `mulcot data stats` shows."""

    dataset: str
    task: str
    splits: Mapping[str, SplitStatistics]
    rejected: Json
    leakage: Json
    """For every pair of splits: how many rows of the second have a text, a picture, or both, that the first has."""
    cleaning: Json = field(default_factory=dict)
    """Rows that each kind of cleaning changed."""
    expected_labels: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """The documented JSON."""
        return {
            "dataset": self.dataset,
            "task": self.task,
            "splits": {name: _split_json(split) for name, split in self.splits.items()},
            "rejected": self.rejected,
            "leakage": self.leakage,
            "cleaning": self.cleaning,
        }

    def summary(self) -> Json:
        """The few counts worth a line."""
        per_split = {name: split.count for name, split in self.splits.items()}
        return {"examples": sum(per_split.values()), **per_split, "rejected": self.rejected["total"]}

    def findings(self) -> list[Finding]:
        """Errors first, then warnings."""
        found = [*_split_findings(self), *_rejection_findings(self), *_leakage_findings(self)]
        return sorted(found, key=lambda finding: finding.level)


class Census:
    """Counts a dataset as its records come by."""

    def __init__(self, dataset: Dataset, task: Task) -> None:
        self._dataset = dataset
        self._task = task
        self._splits: dict[str, _Split] = {}
        self._reasons: Counter[str] = Counter()
        self._shown: dict[str, list[Json]] = {}
        self._cleaning: Counter[str] = Counter()

    def add(self, record: Example | Rejected) -> None:
        """Counts one record."""
        if isinstance(record, Rejected):
            self._reasons[record.reason] += 1
            shown = self._shown.setdefault(record.reason, [])
            if len(shown) < SHOWN_PER_REASON:
                shown.append({"source": record.source, "detail": record.detail})
            return
        self._splits.setdefault(record.split, _Split()).add(record)
        if record.original is not None:
            self._cleaning.update(self._dataset.text.changes(record))

    def statistics(self) -> Statistics:
        """What was counted so far."""
        known = [name for name in SPLITS if name in self._splits]
        names = known + sorted(set(self._splits) - set(known))
        labels = self._task.labels()
        reasons = dict(self._reasons.most_common())
        return Statistics(
            dataset=self._dataset.name,
            task=self._task.name,
            splits={name: self._splits[name].statistics(labels) for name in names},
            rejected={"total": self._reasons.total(), "reasons": reasons, "examples": self._shown},
            leakage={f"{a}/{b}": _leakage(self._splits[a], self._splits[b]) for a, b in combinations(names, 2)},
            cleaning=dict(self._cleaning),
            expected_labels=labels,
        )


class _Split:
    """The counters of one split."""

    def __init__(self) -> None:
        self.count = self.without_image = self.aspects = 0
        self.labels: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.texts: Counter[bytes] = Counter()
        self.files: set[bytes] = set()
        self.images: Counter[bytes] = Counter()
        self.both: Counter[bytes] = Counter()
        self.posts: Counter[bytes] = Counter()

    def add(self, example: Example) -> None:
        self.count += 1
        self.labels[example.label or ""] += 1
        self.lengths[len(example.text)] += 1
        self.aspects += example.aspect is not None
        text = _digest(normalise(example.text))
        images = [bytes.fromhex(image.sha256[:16]) for image in example.images]
        self.texts[text] += 1
        self.images.update(set(images))
        self.files.update(_digest(image.path) for image in example.images)
        picture = b"".join(images)
        if picture:
            self.both[text + picture] += 1
        else:
            self.without_image += 1
        rest = "\x1f".join((example.aspect or "", example.context or "", *example.choices))
        self.posts[_digest(rest) + text + picture if rest else text + picture] += 1

    def statistics(self, order: tuple[str, ...]) -> SplitStatistics:
        names = [name for name in order if name in self.labels] + sorted(set(self.labels) - set(order))
        return SplitStatistics(
            count=self.count,
            labels={name or "(none)": self.labels[name] for name in names},
            images=len(self.files),
            without_image=self.without_image,
            aspects=self.aspects,
            text_length=_lengths(self.lengths),
            duplicates={"text": self.count - len(self.texts), "post": self.count - len(self.posts)},
        )


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _lengths(counts: Counter[int]) -> Lengths:
    total = counts.total()
    if not total:
        return Lengths()
    mean = sum(length * number for length, number in counts.items()) / total
    return Lengths(mean=round(mean, 1), median=_at(counts, 0.5), p95=_at(counts, 0.95), max=max(counts))


def _at(counts: Counter[int], share: float) -> int:
    """The smallest length that this share of the texts does not exceed."""
    reached, needed = 0, share * counts.total()
    for length in sorted(counts):
        reached += counts[length]
        if reached >= needed:
            return length
    raise AssertionError("the counts add up to their total")


def _leakage(first: _Split, second: _Split) -> Json:
    def rows(of: Counter[bytes], seen: Counter[bytes]) -> int:
        return sum(number for digest, number in of.items() if digest in seen)

    return {
        "text": rows(second.texts, first.texts),
        "image": rows(second.images, first.images),
        "both": rows(second.both, first.both),
    }


def _split_json(split: SplitStatistics) -> Json:
    out = split.to_json()
    out["text_length"] = {name: getattr(split.text_length, name) for name in ("mean", "median", "p95", "max")}
    return out


def _split_findings(statistics: Statistics) -> Iterable[Finding]:
    splits = statistics.splits
    if not splits:
        yield _finding("error", "there is no usable example", "Look at the rejected rows' reasons.")
    for name in SPLITS:
        if splits and name not in splits:
            advice = "Training needs train, choosing the best state needs dev, scores need test; see `splits`."
            yield _finding("warning", f"split {name} is empty", advice)
    for name, split in splits.items():
        missing = [label for label in statistics.expected_labels if label not in split.labels]
        if missing and name in SPLITS:
            advice = "Check the label mapping, or add rows; scores per class will be undefined."
            yield _finding("warning", f"split {name} has no row labelled {', '.join(missing)}", advice)
        if "(none)" in split.labels and name != "test":
            advice = "Rows without a label can be predicted but not learned from."
            yield _finding("warning", f"split {name} has {split.labels['(none)']} rows without a label", advice)
        largest = max(split.labels.values(), default=0)
        if name == "train" and len(statistics.expected_labels) > 1 and largest > 0.9 * split.count:
            advice = "Report macro F1 beside accuracy; always answering the largest class scores as much."
            yield _finding("warning", f"{100 * largest / split.count:.0f} % of train has one label", advice)
    repeated = [f"{name} {split.duplicates['post']}" for name, split in splits.items() if split.duplicates["post"]]
    if repeated:
        advice = "They weigh double in training and in scores; keep them only if that is meant."
        yield _finding("warning", f"rows that repeat an earlier one exactly: {', '.join(repeated)}", advice)


def _rejection_findings(statistics: Statistics) -> Iterable[Finding]:
    total = int(statistics.rejected["total"])
    if not total:
        return
    usable = sum(split.count for split in statistics.splits.values())
    reasons = ", ".join(f"{reason} {number}" for reason, number in statistics.rejected["reasons"].items())
    level: Level = "error" if total > usable else "warning"
    share = 100 * total / (total + usable)
    advice = "`mulcot data stats --json` shows where; the run keeps them all in rejected.jsonl."
    yield _finding(level, f"{total} rows ({share:.1f} %) were rejected: {reasons}", advice)


def _leakage_findings(statistics: Statistics) -> Iterable[Finding]:
    found = []
    for pair, kinds in statistics.leakage.items():
        first, second = pair.split("/")
        shared = [f"{number} by {kind}" for kind, number in kinds.items() if number]
        if shared:
            found.append(f"{second} from {first} {', '.join(shared)}")
    if found:
        advice = "Scores on them overstate; published splits often have this, so say so beside the scores."
        yield _finding("warning", f"rows that an earlier split has too: {'; '.join(found)}", advice)


def _finding(level: Level, message: str, advice: str) -> Finding:
    return Finding(level=level, message=message, advice=advice)
