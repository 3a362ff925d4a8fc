"""The rows of a user's file as what is asked of a model: in order, none left out, labels ignored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from mulcot.datasets.files import Files
from mulcot.media import Gallery, Store
from mulcot.predicting.tape import Asked
from mulcot.records import Rejected, content_id
from mulcot.text import Cleaning


def open_rows(path: Path, images: Path | None, store: Store) -> tuple[Files, Gallery]:
    """The file and its pictures, which lie beside it or in `images`."""
    files = Files(path=path, images=images)
    return files, Gallery(files.picture_root(), store)


def ask_rows(files: Files, cleaning: Cleaning, store: Store) -> Iterator[Asked]:
    """Every row. Pictures are looked at when it is its turn."""
    for row in files.rows(store):
        if isinstance(row, Rejected):
            yield Asked(row.source, dataclasses.replace(row, split=None))
            continue
        raw = row.example
        made = raw.id or content_id(raw.text, raw.aspect, raw.context, *raw.choices, *(i.path for i in raw.images))
        cleaned = cleaning.apply(dataclasses.replace(raw, id=made, split="", label=None))
        if isinstance(cleaned, str):
            reason, _, detail = cleaned.partition(":")
            yield Asked(row.source, Rejected(source=row.source, reason=reason, detail=detail.strip(), id=made))
        else:
            yield Asked(row.source, cleaned)
