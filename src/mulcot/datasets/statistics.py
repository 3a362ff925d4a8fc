"""What is in a dataset, counted while it streams by: labels, lengths, rejections, duplicates, leakage between splits.

Only counters and eight-byte digests are kept, so memory stays small however large the dataset is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from mulcot.datasets.base import Dataset
from mulcot.records import SPLITS, Example, Json, Record, Rejected
from mulcot.tasks.base import Task
from mulcot.text import normalise

SHOWN_PER_REASON = 5
FEW = 30
"""Examples of dev or test below which a score says little."""
NO_LABEL = "(none)"
DIGEST = 8
"""Bytes; among a million texts, two share a digest with a chance of one in 40 million."""

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths(Record):
    """How long texts are."""

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
    captions: int
    """Examples with a caption."""
    rationales: int
    """Examples with an explanation that came with the data."""
    text_length: Lengths
    """In characters."""
    text_words: Lengths
    """In words, as whitespace separates them."""
    duplicates: Json
    """Rows that repeat an earlier row of the split: its normalised `text`; its pictures (`image`); all of it but the
    label (`post`), and of these, those with another label (`contradicting`)."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SplitStatistics:
        """The split of a `statistics.json`."""
        lengths = {key: Lengths.from_json(data[key]) for key in ("text_length", "text_words")}
        return cls(**{key: lengths.get(key, value) for key, value in data.items() if key in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFinding(Record):
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
    """For every pair of splits: rows of the second whose normalised text, one of whose pictures, or whose text together
    with all its pictures stands in the first."""
    cleaning: Json = field(default_factory=dict)
    """Rows that each kind of cleaning changed."""
    expected_labels: tuple[str, ...] = ()
    """The task's labels; empty where every example brings its own."""

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

    def findings(self) -> list[DataFinding]:
        """Errors first, then warnings."""
        kinds = (_split_findings, _picture_findings, _rejection_findings, _duplicate_findings, _leakage_findings)
        return sorted((found for kind in kinds for found in kind(self)), key=lambda finding: finding.level)


class DatasetCounter:
    """Counts a dataset as its records come by."""

    def __init__(self, dataset: Dataset, task: Task) -> None:
        self._dataset = dataset
        self._task = task
        self._splits: dict[str, _Split] = {}
        self._reasons: Counter[str] = Counter()
        self._shown: dict[str, list[Json]] = {}
        self._cleaning: Counter[str] = Counter()
        self._labels = task.labels()
        self._own_labels = False

    def add(self, record: Example | Rejected) -> None:
        """Counts one record."""
        if isinstance(record, Rejected):
            self._reasons[record.reason] += 1
            shown = self._shown.setdefault(record.reason, [])
            if len(shown) < SHOWN_PER_REASON:
                shown.append({"source": record.source, "detail": record.detail})
            return
        if record.split not in self._splits:
            self._splits[record.split] = _Split()
        self._splits[record.split].add(record)
        self._own_labels = self._own_labels or self._task.labels(record) != self._labels
        if record.original is not None:
            self._cleaning.update(self._dataset.text.changes(record))

    def statistics(self) -> Statistics:
        """What was counted so far."""
        known = [name for name in SPLITS if name in self._splits]
        names = known + sorted(set(self._splits) - set(known))
        reasons = dict(self._reasons.most_common())
        return Statistics(
            dataset=self._dataset.name,
            task=self._task.name,
            splits={name: self._splits[name].statistics(self._labels) for name in names},
            rejected={"total": self._reasons.total(), "reasons": reasons, "examples": self._shown},
            leakage={f"{a}/{b}": _leakage(self._splits[a], self._splits[b]) for a, b in combinations(names, 2)},
            cleaning=dict(self._cleaning),
            expected_labels=() if self._own_labels else self._labels,
        )


class _Split:
    """The counters of one split."""

    def __init__(self) -> None:
        self.count = self.without_image = self.aspects = self.captions = self.rationales = self.contradicting = 0
        self.labels: Counter[str] = Counter()
        self.characters: Counter[int] = Counter()
        self.words: Counter[int] = Counter()
        self.files: set[bytes] = set()
        self.pairs: Counter[bytes] = Counter()
        """Rows by the digest of their text, followed by those of their pictures."""
        self.posts: dict[bytes, str | None] = {}
        """The first label of each distinct post; aspect, context and choices tell posts apart too."""

    def add(self, example: Example) -> None:
        self.count += 1
        self.labels[example.label or NO_LABEL] += 1
        self.characters[len(example.text)] += 1
        self.words[len(example.text.split())] += 1
        self.aspects += example.aspect is not None
        self.captions += bool(example.caption)
        self.rationales += bool(example.rationale)
        self.without_image += not example.images
        self.files.update(_digest(image.path) for image in example.images)
        pictures = sorted({bytes.fromhex(image.sha256[: 2 * DIGEST]) for image in example.images})
        pair = _digest(_said(example)) + b"".join(pictures)
        self.pairs[pair] += 1
        rest = "\x1f".join((example.aspect or "", example.context or "", *example.choices))
        first = self.posts.setdefault(_digest(rest) + pair if rest else pair, example.label)
        self.contradicting += None not in (first, example.label) and first != example.label

    def statistics(self, order: tuple[str, ...]) -> SplitStatistics:
        names = [name for name in order if name in self.labels] + sorted(set(self.labels) - set(order))
        galleries = {_gallery(pair) for pair in self.pairs} - {b""}
        return SplitStatistics(
            count=self.count,
            labels={name: self.labels[name] for name in names},
            images=len(self.files),
            without_image=self.without_image,
            aspects=self.aspects,
            captions=self.captions,
            rationales=self.rationales,
            text_length=_lengths(self.characters),
            text_words=_lengths(self.words),
            duplicates={
                "text": self.count - len({_text(pair) for pair in self.pairs}),
                "image": self.count - self.without_image - len(galleries),
                "post": self.count - len(self.posts),
                "contradicting": self.contradicting,
            },
        )


def _said(example: Example) -> str:
    """The words by which posts are alike. Many questions share theirs; the choices, the hint and the picture ask."""
    if not example.choices:
        return normalise(example.text)
    shown = sorted(image.sha256 or image.path for image in example.images)
    return "\x1f".join((normalise(example.text), example.context or "", *example.choices, *shown))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()


def _text(pair: bytes) -> bytes:
    return pair[:DIGEST]


def _gallery(pair: bytes) -> bytes:
    return pair[DIGEST:]


def _pictures(pair: bytes) -> list[bytes]:
    return [pair[start : start + DIGEST] for start in range(DIGEST, len(pair), DIGEST)]


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
    texts = {_text(pair) for pair in first.pairs}
    pictures = {picture for pair in first.pairs for picture in _pictures(pair)}
    rows = {"text": 0, "image": 0, "both": 0}
    for pair, number in second.pairs.items():
        rows["text"] += number * (_text(pair) in texts)
        rows["image"] += number * any(picture in pictures for picture in _pictures(pair))
        rows["both"] += number * (pair in first.pairs and _gallery(pair) != b"")
    return rows


def _split_json(split: SplitStatistics) -> Json:
    out = split.to_json()
    for key, lengths in (("text_length", split.text_length), ("text_words", split.text_words)):
        out[key] = {name: getattr(lengths, name) for name in ("mean", "median", "p95", "max")}
    return out


def _split_findings(statistics: Statistics) -> Iterable[DataFinding]:
    splits = statistics.splits
    if not splits:
        yield _finding("error", "there is no usable example", "Look at the rejected rows' reasons.")
    for name in SPLITS:
        if splits and name not in splits:
            advice = "Training needs train, choosing the best state needs dev, scores need test; see `splits`."
            yield _finding("warning", f"split {name} is empty", advice)
        elif name != "train" and name in splits and splits[name].count < FEW:
            advice = (
                "One answer moves a score by points. Get more rows, or other `splits`; rows of one picture go together."
            )
            yield _finding("warning", f"split {name} has only {splits[name].count} examples", advice)
    for name, split in splits.items():
        missing = [label for label in statistics.expected_labels if label not in split.labels]
        if missing and name in SPLITS:
            advice = "Check the label mapping, or add rows; scores per class will be undefined."
            yield _finding("warning", f"split {name} has no row labelled {', '.join(missing)}", advice)
        if NO_LABEL in split.labels and name != "test":
            advice = "Rows without a label can be predicted but not learned from."
            yield _finding("warning", f"rows of {name} without a label: {split.labels[NO_LABEL]}", advice)
        largest = max(split.labels.values(), default=0)
        if name == "train" and len(statistics.expected_labels) > 1 and largest > 0.9 * split.count:
            advice = "Report macro F1 beside accuracy; always answering the largest class scores as much."
            yield _finding("warning", f"{100 * largest / split.count:.0f} % of train has one label", advice)


def _duplicate_findings(statistics: Statistics) -> Iterable[DataFinding]:
    def rows(kind: str) -> str:
        numbers = {name: split.duplicates[kind] for name, split in statistics.splits.items()}
        return ", ".join(f"{name} {number}" for name, number in numbers.items() if number)

    if repeated := rows("post"):
        advice = "They weigh double in training and in scores; keep them only if that is meant."
        yield _finding("warning", f"rows that repeat an earlier post: {repeated}", advice)
    if contradicting := rows("contradicting"):
        advice = "Decide on one label; a model cannot learn both, and scores stay below 100 %."
        yield _finding("warning", f"rows that repeat an earlier post under another label: {contradicting}", advice)


def _picture_findings(statistics: Statistics) -> Iterable[DataFinding]:
    if statistics.splits and not any(split.images for split in statistics.splits.values()):
        advice = "If there should be pictures, check the option that names their folder or column."
        yield _finding("warning", "no example has a picture", advice)


def _rejection_findings(statistics: Statistics) -> Iterable[DataFinding]:
    total = int(statistics.rejected["total"])
    if not total:
        return
    usable = sum(split.count for split in statistics.splits.values())
    reasons = ", ".join(f"{reason} {number}" for reason, number in statistics.rejected["reasons"].items())
    level: Level = "error" if total > usable else "warning"
    share = 100 * total / (total + usable)
    advice = "`mulcot data stats --json` shows where; the run keeps them all in rejected.jsonl."
    message = f"rejected rows: {total} of {total + usable} ({share:.1f} %): {reasons}"
    yield _finding(level, message, advice)


def _leakage_findings(statistics: Statistics) -> Iterable[DataFinding]:
    found = []
    for pair, rows in statistics.leakage.items():
        shared = [f"{rows[kind]} by {name}" for kind, name in (("text", "text"), ("image", "picture")) if rows[kind]]
        if shared:
            found.append(f"{pair} {', '.join(shared)}")
    if found:
        advice = "Scores on them overstate; published splits often have this, so say so beside the scores."
        yield _finding("warning", f"rows of one split known from another: {'; '.join(found)}", advice)


def _finding(level: Level, message: str, advice: str) -> DataFinding:
    return DataFinding(level=level, message=message, advice=advice)
