"""An untrusted table of posts: CSV, TSV or JSON Lines, read row by row with the readers of datasets.

    id,text,image
    p1,what a day,day.jpg

Every record becomes one `UploadRow`, in order: a post, or why it is none. A table that is too large, or has no texts at
all, is refused as a whole before anything is asked of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from pydantic import Field

from mulcot.datasets.base import Row
from mulcot.datasets.readers.delimited import read_delimited
from mulcot.datasets.readers.jsonfile import read_jsonl
from mulcot.datasets.readers.mapping import Columns, Mapper, columns_hint
from mulcot.datasets.readers.table import Raw, Table
from mulcot.errors import DataError, printable
from mulcot.media import Store
from mulcot.predict.posts import Post
from mulcot.records import Example, Rejected
from mulcot.serving.picture_zip import ArchiveLimits, UploadRefused
from mulcot.serving.request_body import MOST_PICTURES

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
PEEK = 2**16


class UploadLimits(ArchiveLimits):
    """What one upload may hold."""

    max_table_bytes: int = Field(default=50_000_000, ge=1)
    """The largest table, in bytes."""
    max_rows: int = Field(default=10_000, ge=1)
    """The most rows of one table."""
    max_row_characters: int = Field(default=20_000, ge=1)
    """The longest texts of one row, all together; a longer row is rejected alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRow:
    """One record of the table: what is to be asked, or why nothing can be."""

    number: int
    """From 1, in the order of the table."""
    id: str | None = None
    post: Post | None = None
    """Without its pictures, which are read when it is the row's turn."""
    pictures: tuple[str, ...] = ()
    """The names of its pictures in the archive."""
    rejected: Rejected | None = None


def read_table(path: Path, name: str, limits: UploadLimits) -> list[UploadRow]:
    """Every row of a table whose uploader called it `name`; the table lies at `path` under a name of our own."""
    name = PurePath(name.replace("\\", "/")).name[-100:] or "table"
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise UploadRefused(f"{name!r} is no table this page reads", hint=f"It reads {', '.join(SUFFIXES)}.")
    size = path.stat().st_size
    if size > limits.max_table_bytes:
        message = f"{name!r} has {size:,} bytes, allowed {limits.max_table_bytes:,}"
        raise UploadRefused(message, hint="Split it.", too_large=True)
    try:
        rows = list(_rows(path, name, suffix, limits))
    except DataError as error:
        # Readers name the file by its path, which is ours and none of the uploader's business.
        raise UploadRefused(error.message.replace(str(path), name), hint=error.hint) from error
    if not rows:
        raise UploadRefused(f"{name!r} has no rows", hint="The first line of a CSV names the columns.")
    return rows


def _rows(path: Path, name: str, suffix: str, limits: UploadLimits) -> Iterator[UploadRow]:
    table, columns = _open(path, name, suffix), Columns()
    if table.columns is not None and "text" not in columns.among(table.columns):
        hint = f"{columns_hint(table.columns)} Rename the one with the posts."
        raise UploadRefused(f"{name!r} has no column 'text' or 'question'", hint=hint)
    mapper = Mapper(columns, {}, (), "label", Store(path.parent / "none"))
    for number, raw in enumerate(table.records, 1):
        if number > limits.max_rows:
            message = f"{name!r} has more than {limits.max_rows:,} rows"
            raise UploadRefused(message, hint="Split it into several.", too_large=True)
        yield _row(number, raw, mapper, limits)


def _open(path: Path, name: str, suffix: str) -> Table:
    if suffix in (".jsonl", ".ndjson"):
        return read_jsonl(path, name)
    if suffix == ".tsv":
        return read_delimited(path, name, "\t", quotes=True)
    with path.open("rb") as file:
        header = file.readline(PEEK)
    # Spreadsheets write semicolons wherever the comma is the decimal sign.
    delimiter = ";" if header.count(b";") > header.count(b",") else ","
    return read_delimited(path, name, delimiter, quotes=True)


def _row(number: int, raw: Raw | Rejected, mapper: Mapper, limits: UploadLimits) -> UploadRow:
    if isinstance(raw, Rejected):
        return UploadRow(number=number, id=raw.id, rejected=raw)
    if not _plain_picture(raw.values.get("image")):
        return _rejected(number, raw.source, "bad_value", "'image' must be the name of a picture in the zip")
    made = mapper.row(_without_split(raw), "test")
    if not isinstance(made, Row):
        return UploadRow(number=number, id=made.id, rejected=made)
    example = made.example
    size = _characters(example)
    if size > limits.max_row_characters:
        detail = f"{size:,} characters of text, allowed {limits.max_row_characters:,}"
        return _rejected(number, raw.source, "too_long", detail, example.id)
    if len(example.images) > MOST_PICTURES:
        detail = f"{len(example.images)} pictures, allowed {MOST_PICTURES}"
        return _rejected(number, raw.source, "too_many_images", detail, example.id)
    post = Post(
        text=example.text,
        aspect=example.aspect,
        choices=example.choices,
        context=example.context,
        caption=example.caption,
        id=example.id,
    )
    pictures = tuple(image.path for image in example.images)
    return UploadRow(number=number, id=example.id or None, post=post, pictures=pictures)


def _rejected(number: int, source: str, reason: str, detail: str, name: str = "") -> UploadRow:
    rejected = Rejected(source=source, reason=reason, detail=printable(detail), id=name or None)
    return UploadRow(number=number, id=rejected.id, rejected=rejected)


def _plain_picture(value: Any) -> bool:
    """Whether a cell names pictures; a picture written into the table itself would be passed over unseen."""
    return not any(isinstance(one, dict) for one in (value if isinstance(value, list) else [value]))


def _without_split(raw: Raw) -> Raw:
    """The record without columns that a question to a model does not have, so that these cannot reject it."""
    return Raw(raw.source, {key: value for key, value in raw.values.items() if key not in ("split", "label")})


def _characters(example: Example) -> int:
    texts = (example.id, example.text, example.aspect, example.context, example.caption, *example.choices)
    return sum(len(text) for text in texts if text)
