"""A contact sheet of a dataset: pictures, posts and labels on one page, with filters that need no script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mulcot.datasets.base import Dataset
from mulcot.datasets.read_rows import read
from mulcot.datasets.statistics import NO_LABEL, DatasetCounter, SplitStatistics, Statistics
from mulcot.errors import DataError, MediaError
from mulcot.media import Gallery, Store, encode_jpeg
from mulcot.progress import Reporter
from mulcot.records import Example, content_id
from mulcot.report.pages.page import asset, data_uri, render, write_page
from mulcot.rundir import need_place
from mulcot.tasks.base import Task
from mulcot.version import __version__

THUMBNAIL = (480, 360)
FOLD = 240
"""Characters of a text that stand open; the rest is folded."""
LONGEST = 4000
"""Characters of a text that are on the page at all."""
MARKS = 20
TINTS = 8


@dataclass(frozen=True)
class Choice:
    """Which examples to show."""

    number: int = 48
    split: str | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PostCard:
    """One card. Texts are in parts, of which every second one is the aspect."""

    example: Example
    text: list[str]
    more: list[str]
    cut: int
    """Characters that are not shown at all."""
    context: str
    original: str
    pictures: list[str]
    alt: str
    choices: list[dict[str, Any]]
    split: int
    label: int


def write_preview(dataset: Dataset, task: Task, out: Path, choice: Choice, reporter: Reporter) -> int:
    """Reads the dataset once, draws examples evenly, writes the page, and says how many it shows."""
    need_place(out)
    counter, drawn = DatasetCounter(dataset, task), _Draw(choice)
    with Store.temporary() as store:
        with reporter.bar("preview", unit="rows") as bar:
            for record in read(dataset, task, store):
                counter.add(record)
                if isinstance(record, Example):
                    drawn.offer(record)
                bar.advance()
        statistics, examples = counter.statistics(), drawn.examples()
        if choice.split is not None and choice.split not in statistics.splits:
            hint = f"It has: {', '.join(statistics.splits) or 'none'}."
            raise DataError(f"the dataset has no split {choice.split!r}", hint=hint)
        gallery = Gallery(dataset.picture_root(), store, dataset.images_limit)
        write_page(out, preview_html(statistics, examples, gallery, choice.split))
    return len(examples)


def preview_html(statistics: Statistics, examples: list[Example], gallery: Gallery, split: str | None = None) -> str:
    """The page itself; `split` is the one that the examples were drawn from, where it was only one."""
    if not examples:
        raise DataError("there is no example to show", hint="`mulcot data stats` shows why rows were rejected.")
    splits = list(statistics.splits)
    labels = list(dict.fromkeys(label for split in statistics.splits.values() for label in split.labels))
    shown = [split] if split else splits
    filters = [{"name": "split", "values": shown}, {"name": "label", "values": labels}]
    return render(
        "preview.html",
        title=f"Dataset {statistics.dataset}",
        styles=[asset("preview.css"), _filter_rules(filters)],
        statistics=statistics,
        findings=statistics.findings(),
        labels=labels,
        bars={name: _bars(counted, labels) for name, counted in statistics.splits.items()},
        without=any(counted.without_image for counted in statistics.splits.values()),
        posts=[_post(example, gallery, shown, labels) for example in examples],
        filters=[each for each in filters if len(each["values"]) > 1],
        drawn_from=f"the labels of {split}" if split else "splits and labels",
        total=statistics.summary()["examples"],
        version=__version__,
    )


class _Draw:
    """Keeps as many examples of every split and label; which ones depends on the seed and their ids alone."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.groups: dict[tuple[str, str], list[tuple[str, int, Example]]] = {}
        self.offered = 0

    def offer(self, example: Example) -> None:
        if self.choice.split not in (None, example.split):
            return
        self.offered += 1
        group = self.groups.setdefault((example.split, example.label or ""), [])
        group.append((content_id(str(self.choice.seed), example.id), self.offered, example))
        if len(group) >= 2 * self.choice.number:
            group.sort()
            del group[self.choice.number :]

    def examples(self) -> list[Example]:
        """One of each group in turn, until there are enough."""
        queues = [iter(sorted(group)) for _, group in sorted(self.groups.items())]
        found: list[Example] = []
        while queues and len(found) < self.choice.number:
            for queue in list(queues):
                entry = next(queue, None)
                if entry is None:
                    queues.remove(queue)
                elif len(found) < self.choice.number:
                    found.append(entry[2])
        return found


def _bars(split: SplitStatistics, labels: list[str]) -> list[dict[str, float]]:
    """Where each label's share of a bar of 100 begins, and how wide it is."""
    bars, start = [], 0.0
    for tint, label in enumerate(labels):
        width = 100 * split.labels.get(label, 0) / split.count
        bars.append({"tint": tint % TINTS, "start": round(start, 2), "width": round(width, 2)})
        start += width
    return bars


def _post(example: Example, gallery: Gallery, splits: list[str], labels: list[str]) -> PostCard:
    right = example.label if example.choices else None
    start, rest = _fold(example.text)
    return PostCard(
        example=example,
        text=_marked(start, example.aspect),
        more=_marked(rest, example.aspect) if rest else [],
        cut=max(0, len(example.text) - LONGEST),
        context=_cut(example.context or ""),
        original=_cut(example.original or ""),
        pictures=list(_pictures(example, gallery)),
        alt=example.caption or "the post's picture",
        choices=[{"text": text, "right": chr(65 + index) == right} for index, text in enumerate(example.choices)],
        split=splits.index(example.split),
        label=labels.index(example.label or NO_LABEL),
    )


def _pictures(example: Example, gallery: Gallery) -> Iterator[str]:
    for image in example.images:
        try:
            yield data_uri(encode_jpeg(gallery.open(image), THUMBNAIL, 80))
        except MediaError:
            continue  # it was readable a moment ago; the card says "no picture"


def _fold(text: str) -> tuple[str, str]:
    """The part that stands open, and the rest; parted between words where there are any."""
    if len(text) <= FOLD + FOLD // 4:
        return text, ""
    space = text.rfind(" ", FOLD // 2, FOLD)
    at = space + 1 if space > 0 else FOLD
    return text[:at], text[at:LONGEST]


def _marked(text: str, aspect: str | None) -> list[str]:
    """The text in parts; every second one is the aspect."""
    return re.split(f"({re.escape(aspect)})", text, maxsplit=MARKS) if aspect else [text]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text) - LONGEST:,} more characters)"


def _filter_rules(filters: list[dict[str, Any]]) -> str:
    """A chosen value hides the cards of all others."""
    rules = [
        f"main:has(#{each['name']}-{index}:checked) .post:not(.{each['name']}-{index}) {{ display: none; }}"
        for each in filters
        for index in range(len(each["values"]))
    ]
    return "\n".join(rules)
