"""MMMU: college-level questions about diagrams, charts, photographs and notes; for evaluation without training.

Published as Parquet, one folder a subject, `Accounting/validation-00000-of-00001.parquet`:

    id                     validation_Accounting_1
    question               <image 1> Baxter Company has a relevant range of production between 15,000 and 30,000 ...
    options                ['$6', '$7', '$8', '$9']          (a list written as text)
    answer                 B
    image_1 ... image_7    {bytes, path} or null
    img_type               ['Tables']
    question_type          multiple-choice, or open
    subfield, topic_difficulty, explanation

`<image 1>` becomes `(image 1)`, numbered by the pictures that are there; an option that is nothing but a picture owns
that picture. Open questions have no choices and are rejected as `open_question`. The published scores are those of
validation, so validation is read as test; dev (five questions a subject, with explanations) stays dev.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.datasets.cell_values import BadRow, letter, optional_text, shown, text
from mulcot.datasets.demo_files import png
from mulcot.datasets.missing_layout import found, need_folder
from mulcot.datasets.readers.columnar import read_parquet
from mulcot.datasets.readers.pictures import picture
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.records import Example, ImageRef, Json, Rejected
from mulcot.tasks.letter_reading import LETTERS

MARKER = re.compile(r"<image (\d)>")
GROUPS = ("subfield", "topic_difficulty", "img_type")
COLUMNS = ("id", "question", "options", "answer", "question_type")
PICTURES = tuple(f"image_{number}" for number in range(1, 8))
MAX_OPTIONS = 20_000

EXPECTED = "<subject>/dev-*.parquet and <subject>/validation-*.parquet (or all in one folder)."


@datasets.register("mmmu")
class Mmmu(Dataset):
    """MMMU in the published Parquet layout."""

    default_task: ClassVar[str] = "multiple_choice"

    root: Path
    """The folder of the Parquet files, or of one folder for each subject."""
    evaluate: Literal["validation", "test"] = "validation"
    """What is read as test: `validation`, as in published comparisons, or `test`, which has no labels."""

    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """Dev, then what is evaluated, subject by subject."""
        for path in self.sources():
            name = path.relative_to(self.root).as_posix()
            split = "dev" if path.name.startswith("dev-") else "test"
            columns, records = read_parquet(path, name)
            missing = [column for column in COLUMNS if column not in (columns or ())]
            if missing:
                hint = f"It has: {', '.join(columns or ())}."
                raise DataError(f"{path} has no column {', '.join(missing)}", hint=hint)
            for record in records:
                if isinstance(record, Rejected):
                    yield record
                    continue
                item = dict(record.values)
                try:
                    yield Row(record.source, _example(item, split, store, hidden=self.evaluate == "test"))
                except BadRow as bad:
                    id = item["id"] if isinstance(item["id"], str) else None  # noqa: A001
                    yield bad.rejected(record.source, id, split)

    def sources(self) -> tuple[Path, ...]:
        """The Parquet files."""
        need_folder(self.root, EXPECTED)
        parts = [sorted(self.root.rglob(f"{part}-*.parquet")) for part in ("dev", self.evaluate)]
        if not all(parts):
            missing = "dev" if not parts[0] else self.evaluate
            hint = f"{found(self.root)} Expected: {EXPECTED}"
            raise DataError(f"{self.root} has no {missing}-*.parquet", hint=hint)
        return tuple(path for part in parts for path in part)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """One subject: a question with a picture, one whose choices are pictures, an open one."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        base = {
            "explanation": "", "img_type": "['Diagrams']", "topic_difficulty": "Easy",
            "question_type": "multiple-choice", "subfield": "Optics", **dict.fromkeys(PICTURES),
        }  # fmt: skip
        questions: list[dict[str, Any]] = [
            {"question": "What colour is the disc in <image 1>?", "options": "['red', 'blue']", "answer": "A"},
            {"question": "Which shows number 1?", "options": "['<image 1>', '<image 2>']", "answer": "B"},
            {"question": "How wide is <image 1>?", "options": "[]", "answer": "48", "question_type": "open"},
        ]
        (folder / "Physics").mkdir(parents=True, exist_ok=True)
        for part in ("dev", "validation"):
            items = []
            for number, question in enumerate(questions, start=1):
                count = 2 if "<image 2>" in question["options"] else 1
                there = {PICTURES[i]: {"bytes": png(i), "path": f"{part}_{number}_{i}.png"} for i in range(count)}
                items.append({**base, "id": f"{part}_Physics_{number}", **question, **there})
            image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            schema = pa.schema([(key, image if key in PICTURES else pa.string()) for key in items[0]])
            table = pa.Table.from_pylist(items, schema=schema)
            pq.write_table(table, folder / "Physics" / f"{part}-00000-of-00001.parquet")
        return cls(root=folder)


def _example(item: Json, split: str, store: Store, hidden: bool) -> Example:
    kind = text(item, "question_type")
    if kind != "multiple-choice":
        reason = "open_question" if kind == "open" else "bad_value"
        raise BadRow(reason, f"the question is of type {shown(kind)}, which has no choices")
    choices = _options(text(item, "options"))
    images, numbers = _images(item, choices, store)
    answer = text(item, "answer").strip()
    if not (hidden and answer == "?"):
        letter(LETTERS.index(answer) if answer in LETTERS else -1, choices)
    meta = {key: value for key in GROUPS if (value := optional_text(item, key))}
    name = text(item, "id")
    return Example(
        id=name,
        split=split,
        text=_numbered(text(item, "question"), numbers),
        images=images,
        choices=tuple(_numbered(choice, numbers) for choice in choices),
        label=None if hidden and answer == "?" else answer,
        rationale=_numbered(optional_text(item, "explanation") or "", numbers) or None,
        meta={"subject": "_".join(name.split("_")[1:-1]), **meta},
    )


def _options(written: str) -> tuple[str, ...]:
    """A list of texts as Python writes it; read as a literal, never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about backslashes, of which formulas are full
            value = ast.literal_eval(written) if len(written) <= MAX_OPTIONS else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        raise BadRow("bad_options", f"options {shown(written)} are no list of texts")
    return tuple(value)


def _images(item: Json, choices: tuple[str, ...], store: Store) -> tuple[tuple[ImageRef, ...], dict[str, int]]:
    """The pictures that are there, and what number each published number becomes."""
    owners = {}
    for index, choice in enumerate(choices):
        match = MARKER.fullmatch(choice.strip())
        if match:
            owners[match[1]] = letter(index, choices)
    images: list[ImageRef] = []
    numbers = {}
    for name in PICTURES:
        published = name.removeprefix("image_")
        ref = picture(item.get(name), store, owners.get(published, ""))
        if ref is not None:
            images.append(ref)
            numbers[published] = len(images)
    for marker in MARKER.findall(" ".join((str(item["question"]), *choices))):
        if marker not in numbers:
            raise BadRow("missing_image", f"the question speaks of <image {marker}>, which is not there")
    return tuple(images), numbers


def _numbered(written: str, numbers: dict[str, int]) -> str:
    return MARKER.sub(lambda match: f"(image {numbers.get(match[1], match[1])})", written)
