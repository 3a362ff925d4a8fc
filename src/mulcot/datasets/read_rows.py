"""The one reader of all datasets: from rows to checked examples, or to rejections with their reason.

Identity, splits, cleaning, label and picture checks are the same for every dataset.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from mulcot.datasets.base import UNSPLIT, Dataset, Row
from mulcot.errors import MediaError
from mulcot.media import Gallery, Store
from mulcot.records import Example, ImageRef, Rejected, content_id
from mulcot.tasks.base import Task


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
