"""MVSA-Single and MVSA-Multiple: posts whose text and picture were labelled separately.

`data/<id>.txt` and `data/<id>.jpg` are the post, `labelResultAll.txt` the labels as text,image. Single has one
annotator, Multiple three:

    ID      text,image              ID   text,image          text,image          text,image
    1       positive,negative       3    neutral,positive    positive,positive   neutral,positive

The field's rule makes one label of it. For Multiple, two of three annotators decide each modality first. Equal labels
stay; a polar label beats a neutral one; positive against negative, or three different votes, makes the post invalid.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from mulcot.datasets.base import UNSPLIT, Dataset, Row, datasets
from mulcot.datasets.cell_values import BadRow, shown
from mulcot.datasets.demo_files import save_json, save_picture, save_text
from mulcot.datasets.missing_layout import found, need_file, need_folder
from mulcot.datasets.readers.jsonfile import load_json
from mulcot.datasets.readers.lines import Line, read_lines
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.records import Example, ImageRef, Rejected
from mulcot.text import read_text

LABEL_FILE = "labelResultAll.txt"
POLAR = ("positive", "negative")
LABELS = (*POLAR, "neutral")
PUBLISHED = {0: "positive", 1: "neutral", 2: "negative"}
SPLIT_FILES = {"train": ("train",), "dev": ("dev", "valid", "val"), "test": ("test",)}
ANNOTATORS = {"single": 1, "multiple": 3}

EXPECTED = f"{LABEL_FILE} and the folder data with <id>.txt and <id>.jpg."

Vote = tuple[str, str]
"""One annotator's labels of text and picture."""

Division = dict[str, tuple[str, str]]
"""Split and label by post."""


@datasets.register("mvsa")
class Mvsa(Dataset):
    """MVSA-Single or MVSA-Multiple in the raw published layout."""

    root: Path
    """The folder that holds `labelResultAll.txt` and `data`."""
    variant: Literal["auto", "single", "multiple"] = "auto"
    """How many annotators; `auto` looks at the header of the label file."""
    split_files: Path | None = None
    """A folder with a published division: train.json, dev.json (or valid, val), test.json, each a list of
    `{"id": "1", "emotion_label": 0}` with 0, 1, 2 = positive, neutral, negative. It decides split and label. Without
    it the rows are divided by `splits`."""

    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """In the order of the label file."""
        need_folder(self.root / "data", EXPECTED)
        lines = read_lines(need_file(self.root / LABEL_FILE, EXPECTED), LABEL_FILE)
        annotators = self._annotators(next(lines, None))
        division = None if self.split_files is None else _read_division(self.split_files)
        missing = dict(division or {})
        for line in lines:
            if isinstance(line, Rejected):
                yield line
            elif line.text.strip():
                post, *columns = line.text.strip().split("\t")
                missing.pop(post, None)
                yield self._row(line.source, post, columns, annotators, division)
        for post, (split, _) in missing.items():
            detail = f"post {shown(post)} of the division has no line in {LABEL_FILE}"
            yield BadRow("no_label", detail).rejected(LABEL_FILE, post, split)

    def sources(self) -> tuple[Path, ...]:
        """The label file, the texts and the division."""
        need_folder(self.root, EXPECTED)
        texts = sorted(need_folder(self.root / "data", EXPECTED).glob("*.txt"))
        division = [] if self.split_files is None else list(_division_files(self.split_files).values())
        return (need_file(self.root / LABEL_FILE, EXPECTED), *division, *texts)

    def picture_root(self) -> Path:
        """The folder of the posts."""
        return self.root / "data"

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """Six posts of MVSA-Multiple with a published division; one is invalid."""
        votes = {
            "1": "positive,positive\tneutral,positive\tpositive,neutral",
            "2": "neutral,negative\tneutral,negative\tpositive,neutral",
            "3": "neutral,neutral\tneutral,neutral\tneutral,neutral",
            "4": "positive,negative\tpositive,negative\tpositive,negative",
            "5": "negative,neutral\tnegative,negative\tneutral,negative",
            "6": "neutral,positive\tneutral,positive\tneutral,positive",
        }
        lines = ["ID\ttext,image\ttext,image\ttext,image", *(f"{post}\t{vote}" for post, vote in votes.items())]
        save_text(folder / LABEL_FILE, "\n".join(lines) + "\n")
        for post in votes:
            save_picture(folder / "data" / f"{post}.jpg", int(post))
            save_text(
                folder / "data" / f"{post}.txt", f"RT @friend: day {post} in town #caf\u00e9 http://t.co/x{post}\n"
            )
        # Some of the published texts are not UTF-8.
        (folder / "data" / "2.txt").write_bytes("so much for the caf\u00e9 #closed".encode("cp1252"))
        save_json(folder / "splits" / "train.json", [{"id": p, "emotion_label": n} for p, n in (("1", 0), ("2", 2))])
        save_json(folder / "splits" / "dev.json", [{"id": "3", "emotion_label": 1}])
        save_json(folder / "splits" / "test.json", [{"id": "5", "emotion_label": 2}, {"id": "6", "emotion_label": 0}])
        return cls(root=folder, split_files=folder / "splits")

    def _annotators(self, header: Line | Rejected | None) -> int:
        columns = header.text.strip().split("\t")[1:] if isinstance(header, Line) else []
        known = {count: variant for variant, count in ANNOTATORS.items()}
        if len(columns) not in known or any(column.strip() != "text,image" for column in columns):
            hint = f"Expected the header 'ID<tab>text,image', once for single, three times for multiple: {EXPECTED}"
            raise DataError(f"{self.root / LABEL_FILE} has no known header", hint=hint)
        if self.variant not in ("auto", known[len(columns)]):
            hint = f"Set `variant: {known[len(columns)]}` or another `root`."
            raise DataError(f"{self.root} is MVSA-{known[len(columns)]}, not {self.variant}", hint=hint)
        return len(columns)

    def _row(
        self, source: str, post: str, columns: list[str], annotators: int, division: Division | None
    ) -> Row | Rejected:
        split, label = (division or {}).get(post, (UNSPLIT, ""))
        try:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", post):
                raise BadRow("bad_id", f"{shown(post)} is no id of a post")
            meta = _decide(columns, annotators) if not label else _decide_if_possible(columns, annotators)
            label = label or merge(**meta)
            if division is not None and not split:
                raise BadRow("not_in_division", f"post {post} is in none of the files of `split_files`")
            text = self._text(post)
        except BadRow as bad:
            return bad.rejected(source, post, split or None)
        picture = ImageRef(path=f"{post}.jpg")
        return Row(source, Example(id=post, split=split, text=text, images=(picture,), label=label, meta=meta))

    def _text(self, post: str) -> str:
        data = self.root / "data"
        path = data / f"{post}.txt"
        if not path.is_file():
            raise BadRow("missing_text", f"data/{post}.txt does not exist")
        if path.is_symlink() and not path.resolve().is_relative_to(data.resolve()):
            raise BadRow("outside_root", f"data/{post}.txt leads outside the folder")
        try:
            return read_text(path)[0].strip()
        except (DataError, OSError) as error:
            raise BadRow("unreadable_text", f"data/{post}.txt: {error}") from None


def _decide_if_possible(columns: list[str], annotators: int) -> dict[str, str]:
    """A published division has settled the label, so what the annotators say is only kept for reports."""
    try:
        return _decide(columns, annotators)
    except BadRow:
        return {}


def _decide(columns: list[str], annotators: int) -> dict[str, str]:
    """What the annotators say about the text and about the picture."""
    texts, images = zip(*_votes(columns, annotators), strict=True)
    return {"text_label": majority(texts, "text"), "image_label": majority(images, "picture")}


def majority(votes: tuple[str, ...], modality: str) -> str:
    """The label that more than half of the annotators gave."""
    label, count = Counter(votes).most_common(1)[0]
    if count * 2 <= len(votes):
        raise BadRow("no_majority", f"the {modality} was called {', '.join(votes)}; two of three must agree")
    return label


def merge(text_label: str, image_label: str) -> str:
    """One label of both; they must not contradict each other."""
    if text_label == image_label or image_label == "neutral":
        return text_label
    if text_label == "neutral":
        return image_label
    detail = f"the text is {text_label} and the picture {image_label}; such posts are left out"
    raise BadRow("conflicting_labels", detail)


def _votes(columns: list[str], annotators: int) -> list[Vote]:
    if len(columns) != annotators:
        raise BadRow("bad_columns", f"{len(columns)} columns of labels, the header has {annotators}")
    votes = []
    for column in columns:
        text, _, image = (part.strip() for part in column.partition(","))
        if text not in LABELS or image not in LABELS:
            detail = f"labels {shown(column)}, allowed {', '.join(LABELS)} on each side of a comma"
            raise BadRow("unknown_label", detail)
        votes.append((text, image))
    return votes


def _division_files(folder: Path) -> dict[str, Path]:
    expected = "train.json, dev.json (or valid.json, val.json) and test.json."
    need_folder(folder, expected)
    out = {}
    for split, names in SPLIT_FILES.items():
        there = [folder / f"{name}.json" for name in names if (folder / f"{name}.json").is_file()]
        if not there:
            raise DataError(f"{folder} has no {names[0]}.json", hint=f"{found(folder)} Expected: {expected}")
        out[split] = there[0]
    return out


def _read_division(folder: Path) -> Division:
    division: Division = {}
    for split, path in _division_files(folder).items():
        items = load_json(path)
        if not isinstance(items, list):
            raise DataError(f"{path} is not a list", hint='Expected: [{"id": "1", "emotion_label": 0}, ...]')
        for number, item in enumerate(items):
            try:
                post, label = str(item["id"]), PUBLISHED[item["emotion_label"]]
            except (KeyError, TypeError):
                raise DataError(
                    f"{path}: item {number} has no `id` or no `emotion_label` of 0, 1, 2",
                    hint='Expected: [{"id": "1", "emotion_label": 0}, ...]',
                ) from None
            if post in division:
                raise DataError(f"{path}: post {shown(post)} stands twice in the division", hint="Remove one of them.")
            division[post] = (split, label)
    return division
