"""What every dataset promises, and the one reader that makes examples of its rows.

A dataset file only knows its layout: it yields rows in the order of the source, or a `Rejected` for what it cannot
read. `read` does the rest for all of them: identity, splits, cleaning, label and picture checks.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from mulcot.errors import MediaError
from mulcot.media import Gallery, ImageLimits, Store
from mulcot.records import Example, ImageRef, Rejected, content_id
from mulcot.registry import Registry
from mulcot.settings import Settings
from mulcot.tasks.base import Task
from mulcot.text import Cleaning

UNSPLIT = ""
"""The split of a row whose source has none; `read` gives it one."""


class Row(NamedTuple):
    """An example as its source tells it, and where it stood."""

    source: str
    """File and place, such as `train.tsv:17`; relative, never a machine's own path."""
    example: Example
    """`id` may be empty: then it is made of the content. Texts are raw. Pictures are not yet opened."""


class SplitShares(Settings):
    """How rows without a split of their own are divided, by their content and a seed."""

    dev: float = Field(default=0.1, ge=0, lt=1)
    """Share of the rows that becomes dev."""
    test: float = Field(default=0.1, ge=0, lt=1)
    """Share of the rows that becomes test."""
    seed: int = 0
    """Another seed, another division."""

    @model_validator(mode="after")
    def _check_rest(self) -> Self:
        if self.dev + self.test >= 1:
            raise ValueError(f"dev and test together must stay below 1 (got {self.dev:g} + {self.test:g})")
        return self

    def split_of(self, example: Example) -> str:
        """Posts with one picture stay together, and so do equal texts without one; others can be added beside them."""
        pictures = "|".join(image.sha256 or image.path for image in example.images)
        place = int(content_id(str(self.seed), pictures or example.text), 16) / 2**64
        if place < self.test:
            return "test"
        return "dev" if place < self.test + self.dev else "train"


class Dataset(Settings):
    """The base class of all datasets."""

    default_task: ClassVar[str] = "sentiment"
    """The task that a recipe without a `task` section gets."""

    limit: int | None = Field(default=None, ge=1)
    """At most this many examples per split, the first ones of the source."""
    text: Cleaning = Cleaning()
    """Cleaning of texts; off by default."""
    splits: SplitShares = SplitShares()
    """Used only for rows whose source has no split."""
    images_limit: ImageLimits = ImageLimits()
    """Pictures beyond these limits are rejected before they are decoded."""

    @abstractmethod
    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """Every row of the source in its order. Raises `DataError` only where the source itself is unusable."""

    @abstractmethod
    def sources(self) -> tuple[Path, ...]:
        """The files whose content decides the rows (not the pictures); none for a generated dataset."""

    def picture_root(self) -> Path | None:
        """The folder that `ImageRef.path` is relative to; None where all pictures are stored."""
        return None

    @classmethod
    @abstractmethod
    def demo(cls, folder: Path) -> Self:
        """A tiny copy of the layout, made in code inside `folder`; contract tests and docs use it."""


datasets: Registry[Dataset] = Registry("dataset", "mulcot.datasets", Dataset)  # type: ignore[type-abstract]


def read(dataset: Dataset, task: Task, store: Store) -> Iterator[Example | Rejected]:
    """Every row of the dataset, in order, as a checked example or as a rejection with its reason."""
    gallery = Gallery(dataset.picture_root(), store, dataset.images_limit)
    ids = _Ids()
    counts: dict[str, int] = {}
    for row in dataset.rows(store):
        if dataset.limit is not None and isinstance(row, Row) and counts.get(row.example.split, 0) >= dataset.limit:
            continue  # its split is known and full: no need to open its picture
        result = row if isinstance(row, Rejected) else _finish(row, dataset, task, gallery, ids)
        if isinstance(result, Example):
            counts[result.split] = counts.get(result.split, 0) + 1
            if dataset.limit is not None and counts[result.split] > dataset.limit:
                continue
        yield result


def _finish(row: Row, dataset: Dataset, task: Task, gallery: Gallery, ids: _Ids) -> Example | Rejected:
    example = row.example

    def reject(reason: str, detail: str) -> Rejected:
        split = example.split or None
        return Rejected(source=row.source, id=example.id or None, split=split, reason=reason, detail=detail)

    cleaned = dataset.text.apply(example)
    if isinstance(cleaned, str):
        return reject(cleaned.partition(":")[0], cleaned.partition(":")[2].strip())
    try:
        images = tuple(gallery.check(image) for image in cleaned.images)
    except MediaError as error:
        return reject(error.reason, error.message)
    checked = dataclasses.replace(cleaned, images=images) if images else cleaned
    if checked.split == UNSPLIT:
        checked = dataclasses.replace(checked, split=dataset.splits.split_of(checked))
    problem = task.problem(checked)
    if problem is not None:
        return reject(*problem)
    return ids.identify(checked, row)


class _Ids:
    """Given ids must be unique; made ids are, by numbering rows of equal content in their order."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self._copies: dict[str, int] = {}

    def identify(self, example: Example, row: Row) -> Example | Rejected:
        """The example with its id, or the rejection of an id that stands twice."""
        if example.id:
            if example.id in self._places:
                detail = f"id {example.id!r} already stands at {self._places[example.id]}"
                split = example.split or None
                return Rejected(source=row.source, id=example.id, split=split, reason="duplicate_id", detail=detail)
            self._places[example.id] = row.source
            return example
        raw = row.example
        made = base = content_id(raw.text, raw.aspect, raw.context, *raw.choices, *map(_picture_name, raw.images))
        while made in self._places:
            # Counted, not searched for: one text a hundred thousand times must not cost the square of it.
            self._copies[base] = self._copies.get(base, 1) + 1
            made = f"{base}-{self._copies[base]}"
        self._places[made] = row.source
        return dataclasses.replace(example, id=made)


def _picture_name(image: ImageRef) -> str:
    return Path(image.path).name
