"""A contact sheet of a dataset: pictures, posts and labels on one page, with filters that need no script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mulcot.datasets.base import Dataset, read
from mulcot.errors import DataError, MediaError
from mulcot.media import Gallery, Store, encode_jpeg
from mulcot.pages.page import asset, data_uri, render, write_page
from mulcot.progress import Reporter
from mulcot.records import Example, content_id
from mulcot.statistics import Census, Statistics
from mulcot.tasks.base import Task

THUMBNAIL = (320, 240)
LONGEST = 1500
"""Characters of a text that are shown; longer ones say how much was cut."""


@dataclass(frozen=True)
class Choice:
    """Which examples to show."""

    number: int = 48
    split: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Post:
    """One card."""

    example: Example
    pictures: list[str]
    alt: str
    choices: list[dict[str, Any]]
    split: int
    label: int


def write_preview(dataset: Dataset, task: Task, out: Path, choice: Choice, reporter: Reporter) -> int:
    """Reads the dataset once, draws examples evenly, writes the page, and says how many it shows."""
    census, drawn = Census(dataset, task), _Draw(choice)
    with Store.temporary() as store:
        with reporter.bar("preview", unit="rows") as bar:
            for record in read(dataset, task, store):
                census.add(record)
                if isinstance(record, Example):
                    drawn.offer(record)
                bar.advance()
        gallery = Gallery(dataset.picture_root(), store, dataset.images_limit)
        html = preview_html(census.statistics(), drawn.examples(), gallery)
    write_page(out, html)
    return len(drawn.examples())


def preview_html(statistics: Statistics, examples: list[Example], gallery: Gallery) -> str:
    """The page itself."""
    if not examples:
        raise DataError("there is no example to show", hint="`mulcot data stats` shows why rows were rejected.")
    splits = list(statistics.splits)
    labels = list(dict.fromkeys(label for split in statistics.splits.values() for label in split.labels))
    posts = [_post(example, gallery, splits, labels) for example in examples]
    filters = [{"name": "split", "values": splits}, {"name": "label", "values": labels}]
    return render(
        "preview.html",
        title=f"Dataset {statistics.dataset}",
        styles=[asset("preview.css"), _filter_rules(filters)],
        statistics=statistics,
        findings=statistics.findings(),
        labels=labels,
        posts=posts,
        filters=filters,
        total=statistics.summary()["examples"],
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


def _post(example: Example, gallery: Gallery, splits: list[str], labels: list[str]) -> Post:
    right = example.label if example.choices else None
    choices = [{"text": text, "right": chr(65 + index) == right} for index, text in enumerate(example.choices)]
    shown = Example.from_json({**example.to_json(), "text": _cut(example.text), "context": _cut(example.context or "")})
    return Post(
        example=shown,
        pictures=list(_pictures(example, gallery)),
        alt=example.caption or "the post's picture",
        choices=choices,
        split=splits.index(example.split),
        label=labels.index(example.label or "(none)"),
    )


def _pictures(example: Example, gallery: Gallery) -> Iterator[str]:
    for image in example.images:
        try:
            yield data_uri(encode_jpeg(gallery.open(image), THUMBNAIL, 80))
        except MediaError:
            continue  # it was readable a moment ago; the card says "no picture"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text) - LONGEST} more characters)"


def _filter_rules(filters: list[dict[str, Any]]) -> str:
    """A chosen value hides the cards of all others."""
    rules = [
        f"main:has(#{each['name']}-{index}:checked) .post:not(.{each['name']}-{index}) {{ display: none; }}"
        for each in filters
        for index in range(len(each["values"]))
    ]
    return "\n".join(rules)
