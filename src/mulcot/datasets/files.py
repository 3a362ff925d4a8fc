"""Your own posts: JSON Lines, CSV, TSV, Parquet, a saved Hugging Face dataset, or ShareGPT.

    {"id": "p1", "text": "what a day", "image": "p1.jpg", "label": "positive", "split": "train"}

`path` is one file, a folder saved with `save_to_disk`, or a folder with one file (or several) for each split, named
such as `train.jsonl`, `validation-00000-of-00002.parquet`, `test.csv`. Columns whose names are ours are found by
themselves; `columns` names the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field

from mulcot.datasets.base import UNSPLIT, Dataset, Row, datasets
from mulcot.datasets.demo_files import save_picture, save_text
from mulcot.datasets.missing_layout import found, need_folder
from mulcot.datasets.readers import saved
from mulcot.datasets.readers.columnar import read_arrow, read_parquet
from mulcot.datasets.readers.delimited import read_delimited
from mulcot.datasets.readers.jsonfile import read_json, read_jsonl
from mulcot.datasets.readers.mapping import SPLIT_NAMES, SPLIT_ORDER, Columns, Mapper
from mulcot.datasets.readers.table import Table
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.records import Rejected
from mulcot.settings import Settings

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow"]

SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".arrow": "arrow",
}  # fmt: skip

EXPECTED = (
    f"a file ({', '.join(SUFFIXES)}), a folder with files such as train.jsonl and test.jsonl, "
    "or a folder saved by Hugging Face datasets."
)


class SplitFile(NamedTuple):
    """One file and the split of its rows."""

    path: Path
    name: str
    split: str


class SplitFiles(Settings):
    """Which files belong to which split, as patterns inside `path`."""

    train: str | None = None
    """Such as `2023-*.jsonl`."""
    dev: str | None = None
    """Likewise."""
    test: str | None = None
    """Likewise."""
    hard: str | None = None
    """Likewise, for a second test set."""


@datasets.register("files")
class Files(Dataset):
    """Your own rows in a common file format."""

    path: Path
    """A file or a folder."""
    format: Literal["auto"] | Format = "auto"
    """How to read the files; `auto` goes by the suffix. ShareGPT records are recognised in all of them."""
    columns: Columns = Columns()
    """Which column means what."""
    labels: dict[str, str] = Field(default_factory=dict)
    """The task's label for each label as written, such as `{"0": negative, "1": positive}`; others stay as written."""
    meta: tuple[str, ...] = ()
    """Further columns to keep, for grouping in reports."""
    answer: Literal["label", "rationale"] = "label"
    """What the assistant's reply is in ShareGPT records; a column of the record's own goes first."""
    images: Path | None = None
    """The picture folder; by default the folder of the files."""
    split_files: SplitFiles = SplitFiles()
    """Where `path` is a folder whose files are not named after their splits."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """What separates the columns of CSV and TSV; by default a comma and a tab."""
    quotes: bool = True
    """Whether a double quote in CSV and TSV encloses a cell; off, it is a character like any other."""

    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """File by file, in the order of train, dev, test, hard."""
        mapper = Mapper(self.columns, self.labels, self.meta, self.answer, store)
        for part in self._parts():
            table = self._open(part)
            if table.columns is not None:
                self.columns.check(table.columns, part.name)
            for record in table.records:
                if isinstance(record, Rejected):
                    yield replace(record, split=part.split or None)
                else:
                    yield mapper.row(record, part.split)
        if mapper.unseen:
            hint = "Correct `columns` and `meta`."
            raise DataError(f"{self.path}: no row has {', '.join(map(repr, sorted(mapper.unseen)))}", hint=hint)

    def sources(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(part.path for part in self._parts())

    def picture_root(self) -> Path:
        """The picture folder."""
        if self.images is not None:
            return need_folder(self.images, "the folder of pictures.")
        return self.path if self.path.is_dir() else self.path.parent

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """Six rows of JSON Lines with one picture each."""
        lines = []
        for number, split in enumerate(("train", "train", "train", "train", "dev", "test")):
            image, label = f"pictures/{number}.png", ("positive", "neutral", "negative")[number % 3]
            row = {"id": f"post-{number}", "text": f"day {number} by the sea", "image": image, "label": label}
            lines.append(json.dumps({**row, "split": split}))
            save_picture(folder / image, number)
        save_text(folder / "posts.jsonl", "\n".join(lines) + "\n")
        return cls(path=folder / "posts.jsonl")

    def _open(self, part: SplitFile) -> Table:
        kind = SUFFIXES.get(part.path.suffix.lower()) if self.format == "auto" else self.format
        if kind == "csv" or kind == "tsv":
            delimiter = self.delimiter or {"csv": ",", "tsv": "\t"}[kind]
            return read_delimited(part.path, part.name, delimiter, self.quotes)
        if kind is None:
            raise DataError(f"{part.path}: the format is unknown", hint=f"Set `format`. Known: {', '.join(SUFFIXES)}.")
        return READERS[kind](part.path, part.name)

    def _parts(self) -> list[SplitFile]:
        """The files to read, in a fixed order."""
        if self.path.is_file():
            return [SplitFile(self.path, self.path.name, UNSPLIT)]
        folder = need_folder(self.path, EXPECTED)
        patterns = {split: pattern for split in SPLIT_ORDER if (pattern := getattr(self.split_files, split))}
        if patterns:
            parts = [part for split, pattern in patterns.items() for part in self._matching(pattern, split)]
        elif saved.is_saved(folder):
            parts = [SplitFile(path, path.relative_to(folder).as_posix(), split) for path, split in saved.files(folder)]
        else:
            parts = [part for path in sorted(folder.iterdir()) if (part := self._named(path))]
            parts.sort(key=lambda part: (SPLIT_ORDER.index(part.split), part.name))
        if not parts:
            raise DataError(f"{folder} has no files named after splits", hint=f"{found(folder)} Expected: {EXPECTED}")
        return parts

    def _matching(self, pattern: str, split: str) -> list[SplitFile]:
        try:
            paths = sorted(path for path in self.path.glob(pattern) if path.is_file())
        except (ValueError, NotImplementedError):
            raise DataError(f"split_files.{split}: {pattern!r} is no pattern inside {self.path}") from None
        if not paths:
            raise DataError(f"split_files.{split}: no file matches {pattern!r}", hint=found(self.path))
        return [SplitFile(path, path.relative_to(self.path).as_posix(), split) for path in paths]

    def _named(self, path: Path) -> SplitFile | None:
        """A file whose name begins with a split's."""
        split = SPLIT_NAMES.get(re.split(r"[^a-z]", path.name.lower())[0])
        known = path.suffix.lower() in SUFFIXES or self.format != "auto"
        return SplitFile(path, path.name, split) if split and known and path.is_file() else None


READERS = {"jsonl": read_jsonl, "json": read_json, "parquet": read_parquet, "arrow": read_arrow}
