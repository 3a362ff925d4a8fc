"""Which column of an untrusted table means what, and how a record becomes an example."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mulcot.datasets.base import UNSPLIT, Row
from mulcot.datasets.cell_values import BadRow, optional_text, scalar, shown, text, texts
from mulcot.datasets.readers.conversation import TURNS, is_conversation, question_and_answer
from mulcot.datasets.readers.pictures import picture
from mulcot.datasets.readers.table import Raw
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.records import SPLITS, Example, ImageRef, Rejected
from mulcot.settings import Settings
from mulcot.tasks.letter_reading import LETTERS

SPLIT_NAMES = {
    "train": "train", "training": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "testing": "test", "hard": "hard",
}  # fmt: skip
"""What others call the splits; `hard` is a second test set, reported beside the first."""

OWNERS = {"None", "", *LETTERS}

SPLIT_ORDER = (*SPLITS, "hard")

ALIASES = {"text": "question", "image": "images"}


class Columns(Settings):
    """The names of the columns; by default a column of the same name is used where there is one."""

    id: str | None = None
    """A unique name; made from the content where there is none."""
    text: str | None = None
    """The post or the question; `question` is recognised too."""
    image: str | None = None
    """A path relative to the picture folder, several of them, or the picture itself; `images` is recognised too."""
    label: str | None = None
    """A text, number or truth value."""
    aspect: str | None = None
    """What the sentiment is about."""
    context: str | None = None
    """The hint of a question."""
    choices: str | None = None
    """A list of texts; in CSV as JSON."""
    split: str | None = None
    """train, dev (or val, valid, validation), test, or hard for a second test set; rows without one are divided by
    `splits`."""
    caption: str | None = None
    """What the picture shows, in words."""
    rationale: str | None = None
    """An explanation written by a person."""

    def given(self) -> dict[str, str]:
        """The names that were set."""
        return {key: value for key in Columns.model_fields if (value := getattr(self, key))}

    def among(self, columns: Collection[str]) -> dict[str, str]:
        """The column of each field that these columns have."""
        out = {key: name for key in Columns.model_fields if (name := getattr(self, key) or key) in columns}
        for key, other in ALIASES.items():
            if key not in out and getattr(self, key) is None and other in columns:
                out[key] = other
        return out

    def check(self, columns: tuple[str, ...], place: str) -> None:
        """A header without a needed column is an error of the whole file."""
        for key, column in self.given().items():
            if column not in columns:
                raise DataError(f"{place} has no column {column!r} for the {key}", hint=columns_hint(columns))
        if "text" not in self.among(columns) and not set(TURNS) & set(columns):
            raise NoTexts(place, columns)


class NoTexts(DataError):
    """A table without a column for the texts; the hint is for a recipe."""

    def __init__(self, place: str, columns: tuple[str, ...]) -> None:
        self.there = columns_hint(columns)
        super().__init__(f"{place} has no column 'text' or 'question'", hint=f"{self.there} Set `columns.text`.")


class Mapper:
    """Makes examples of records."""

    def __init__(
        self, columns: Columns, labels: Mapping[str, str], meta: Iterable[str], answer: str, store: Store
    ) -> None:
        self._columns = columns
        self._answer = answer
        self._labels = labels
        self._meta = tuple(meta)
        self._store = store
        self.unseen = set(columns.given().values()) | set(self._meta)
        """Columns that were asked for and that no record has had so far."""
        self._keys: Collection[str] = ()
        self._names: dict[str, str] = {}

    def row(self, raw: Raw, split: str) -> Row | Rejected:
        """The example, or why there is none."""
        if self.unseen:
            self.unseen.difference_update(raw.values)
        try:
            return Row(raw.source, self._example(raw.values, split))
        except BadRow as bad:
            return bad.rejected(raw.source, split=split or None)

    def _example(self, values: Mapping[str, Any], split: str) -> Example:
        if values.keys() != self._keys:
            self._keys, self._names = values.keys(), self._columns.among(values)
        cells = {key: values[column] for key, column in self._names.items()}
        if is_conversation(values):
            # The record's own columns are more exact than its turns.
            for key, said in zip(("text", self._answer), question_and_answer(values), strict=True):
                cells[key] = said if cells.get(key) is None else cells[key]
        elif "text" not in cells:
            there = ", ".join(list(values)[:10])
            raise BadRow("missing_column", f"no {self._columns.text or 'text'!r} among the columns {there}")
        label = (scalar(cells.get("label"), "label") or "").strip()
        return Example(
            id=(scalar(cells.get("id"), "id") or "").strip(),
            split=split or _split(cells),
            text=text(cells, "text"),
            images=self._images(cells.get("image"), values.get("image_of")),
            aspect=optional_text(cells, "aspect"),
            context=optional_text(cells, "context"),
            choices=_choices(cells),
            caption=optional_text(cells, "caption"),
            label=self._labels.get(label, label) or None,
            rationale=optional_text(cells, "rationale"),
            meta={key: value for key in self._meta if (value := scalar(values.get(key), key))},
        )

    def _images(self, value: Any, owners: Any) -> tuple[ImageRef, ...]:
        """The pictures; `owners` lists the letter of the choice that each belongs to, as our own exports do."""
        several = value if isinstance(value, list | tuple) else [value]
        if owners is None or owners == []:
            owners = [None] * len(several)
        if not isinstance(owners, list) or len(owners) != len(several) or not set(map(str, owners)) <= OWNERS:
            raise BadRow("bad_value", f"'image_of' must list a choice's letter or nothing for {len(several)} pictures")
        found = (picture(item, self._store, of or "") for item, of in zip(several, owners, strict=True))
        return tuple(ref for ref in found if ref is not None)


def _split(cells: Mapping[str, Any]) -> str:
    written = scalar(cells.get("split"), "split")
    if not written:
        return UNSPLIT
    split = SPLIT_NAMES.get(written.strip().lower())
    if split is None:
        raise BadRow("unknown_split", f"split {shown(written)}, allowed {', '.join(SPLIT_NAMES)}")
    return split


def _choices(cells: Mapping[str, Any]) -> tuple[str, ...]:
    value = cells.get("choices")
    if not isinstance(value, str):
        return texts(cells, "choices")
    try:
        return texts({"choices": json.loads(value)}, "choices") if value.strip() else ()
    except (ValueError, RecursionError):
        raise BadRow("bad_value", f"choices {shown(value)} are no JSON list of texts") from None


def columns_hint(columns: tuple[str, ...]) -> str:
    """Which columns there are, in one sentence."""
    shown_columns = ", ".join(columns[:20]) or "nothing"
    return f"It has: {shown_columns}{' and more' if len(columns) > 20 else ''}."
