"""The rows of a user's file as what is asked of a model: in order, none left out, labels ignored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from mulcot.datasets.base import Row
from mulcot.datasets.files import SUFFIXES, Files
from mulcot.datasets.readers.mapping import NoTexts
from mulcot.errors import DataError
from mulcot.media import Gallery, Store
from mulcot.predict.resumable_output import InputRow
from mulcot.records import Rejected, content_id
from mulcot.text import Cleaning

LOOKED_AT = 100
"""Rows that are read at once, to see whether the file can be asked about at all."""
RENAME = "Call the column with the posts `text`, or `question`."


def open_rows(path: Path, images: Path | None, store: Store) -> tuple[Iterator[Row | Rejected], Gallery]:
    """The rows of the file and its pictures, which lie beside it or in `images`; refuses what holds no texts."""
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: the format is unknown", hint=f"The name must end in {', '.join(SUFFIXES)}.")
    files = Files(path=path, images=images)
    gallery, rows = Gallery(files.picture_root(), store), files.rows(store)
    try:
        first = list(islice(rows, LOOKED_AT))
    except NoTexts as error:
        raise DataError(error.message, hint=f"{error.there} {RENAME}") from None
    if first and all(isinstance(row, Rejected) and row.reason == "missing_column" for row in first):
        assert isinstance(first[0], Rejected)
        raise DataError(f"{path}: {first[0].detail}", hint=RENAME)
    return chain(first, rows), gallery


def ask_rows(rows: Iterator[Row | Rejected], cleaning: Cleaning) -> Iterator[InputRow]:
    """Every row. Pictures are looked at when it is its turn."""
    for row in rows:
        if isinstance(row, Rejected):
            yield InputRow(row.source, dataclasses.replace(row, split=None))
            continue
        raw = row.example
        made = raw.id or content_id(raw.text, raw.aspect, raw.context, *raw.choices, *(i.path for i in raw.images))
        cleaned = cleaning.apply(dataclasses.replace(raw, id=made, split="", label=None))
        if isinstance(cleaned, str):
            reason, _, detail = cleaned.partition(":")
            yield InputRow(row.source, Rejected(source=row.source, reason=reason, detail=detail.strip(), id=made))
        else:
            yield InputRow(row.source, cleaned)
