"""Twitter-2015 and Twitter-2017: posts with a picture, and the sentiment towards one target in the text.

Published in two layouts, both read here. `train.tsv` (the header's names differ from file to file; 0, 1, 2 are
negative, neutral, positive):

    index   #1 Label   #2 ImageID    #3 String                                   #3 String
    3       1          195984.jpg    $T$ September 7 - - Shut Down New York City   Millions For Trayvon

`train.txt`, four lines a row (-1, 0, 1):

    $T$ September 7 - - Shut Down New York City
    Millions For Trayvon
    0
    195984.jpg

`$T$` marks where the target stood; it is filled in, and the target is kept as the aspect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.datasets.cell_values import BadRow, shown
from mulcot.datasets.demo_files import save_picture, save_text
from mulcot.datasets.missing_layout import first_folder, found, need_folder
from mulcot.datasets.readers.lines import Line, read_lines
from mulcot.errors import DataError
from mulcot.media import Store
from mulcot.records import SPLITS, Example, ImageRef, Json, Rejected

SLOT = "$T$"
TSV_LABELS = {"0": "negative", "1": "neutral", "2": "positive"}
TXT_LABELS = {"-1": "negative", "0": "neutral", "1": "positive"}
PICTURES = ("images", "twitter2015_images", "twitter2017_images")
EXPECTED = "train.tsv, dev.tsv and test.tsv (or .txt), and the folder images."


class Cells(NamedTuple):
    """A row before it is checked, and what its layout calls the labels."""

    text: str
    target: str
    label: str
    image: str
    labels: dict[str, str]


@datasets.register("twitter")
class Twitter(Dataset):
    """Twitter-2015 or Twitter-2017, in the TSV or the four-line TXT layout."""

    default_task: ClassVar[str] = "aspect_sentiment"

    root: Path
    """The folder of train, dev and test."""
    layout: Literal["auto", "tsv", "txt"] = "auto"
    """Which files to read where both layouts lie side by side; `auto` prefers TSV."""
    images: Path | None = None
    """The picture folder; by default looked for inside and next to `root`."""

    def rows(self, store: Store) -> Iterator[Row | Rejected]:
        """Train, dev, test, each in the order of its file."""
        self.picture_root()
        for split, path in zip(SPLITS, self.sources(), strict=True):
            read = _read_tsv if path.suffix == ".tsv" else _read_txt
            yield from read(path, split)

    def sources(self) -> tuple[Path, ...]:
        """The three files."""
        need_folder(self.root, EXPECTED)
        for layout in ("tsv", "txt") if self.layout == "auto" else (self.layout,):
            paths = tuple(self.root / f"{split}.{layout}" for split in SPLITS)
            if all(path.is_file() for path in paths):
                return paths
        kind = "" if self.layout == "auto" else f".{self.layout}"
        raise DataError(
            f"{self.root}: train{kind}, dev{kind} and test{kind} are not all there",
            hint=f"{found(self.root)} Expected: {EXPECTED}",
        )

    def picture_root(self) -> Path:
        """The picture folder; TomBERT's archive has it beside the text folder."""
        if self.images is not None:
            return need_folder(self.images, "the folder of pictures.")
        inside = [self.root / name for name in PICTURES]
        return first_folder([*inside, self.root.parent / f"{self.root.name}_images"], "images", self.root, EXPECTED)

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """Three rows a split in the TSV layout; two posts have two targets."""
        for number, split in enumerate(SPLITS):
            lines = ["index\t#1 Label\t#2 ImageID\t#3 String\t#3 String"]
            posts = [
                (2, 2 * number, f'RT @ fan : "{SLOT}" was great in {split} city', "Anna Smith"),
                (1, 2 * number, f'RT @ fan : "Anna Smith" was great in {SLOT}', f"{split} city"),
                (0, 2 * number + 1, f"three hours of delays with {SLOT} , thanks # {split}", "Northern Rail"),
            ]
            for index, (label, picture, text, target) in enumerate(posts, start=1):
                lines.append(f"{index}\t{label}\t{picture}.jpg\t{text}\t{target}")
                save_picture(folder / "images" / f"{picture}.jpg", picture)
            save_text(folder / f"{split}.tsv", "\n".join(lines) + "\n")
        return cls(root=folder)


def _read_tsv(path: Path, split: str) -> Iterator[Row | Rejected]:
    for line in read_lines(path, path.name):
        if isinstance(line, Rejected):
            yield replace(line, split=split)
            continue
        # Quotes are plain characters here: tweets are full of single ones.
        cells = line.text.split("\t")
        header = line.source.endswith(":1") and cells[0].strip().lower() == "index"
        if not header and line.text.strip():
            yield _tsv_row(cells, line.source, split)


def _tsv_row(cells: list[str], source: str, split: str) -> Row | Rejected:
    if len(cells) != 5:
        return BadRow("bad_columns", f"{len(cells)} tab-separated columns, 5 are needed").rejected(source, split=split)
    index, label, image, text, target = cells
    return _row(source, split, Cells(text, target, label, image, TSV_LABELS), {"index": index})


def _read_txt(path: Path, split: str) -> Iterator[Row | Rejected]:
    """Groups of four lines. Where a line is missing or spoilt, the rest of its group is rejected and no other."""
    window: deque[Line | Rejected] = deque()
    torn: list[Line | Rejected] = []
    lines = read_lines(path, path.name)
    while True:
        while len(window) < 4 and (line := next(lines, None)) is not None:
            if window or isinstance(line, Rejected) or line.text.strip():
                window.append(line)
        group = _group(window)
        if torn and (group or not window):
            yield _torn(torn, split)
            torn = []
        if not window:
            return
        if group:
            text, target, label, image = group
            yield _row(window[0].source, split, Cells(text, target, label, image, TXT_LABELS), {})
            window.clear()
        else:
            torn.append(window.popleft())


def _group(lines: Iterable[Line | Rejected]) -> list[str]:
    """The texts of four lines that belong together, or nothing."""
    texts = [line.text for line in lines if isinstance(line, Line)]
    fits = len(texts) == 4 and texts[2].strip() in TXT_LABELS and not any(SLOT in text for text in texts[1:])
    return texts if fits else []


def _torn(lines: list[Line | Rejected], split: str) -> Rejected:
    if isinstance(lines[0], Rejected):
        return replace(lines[0], split=split)
    detail = f"{len(lines)} lines that are no group of text, target, label (-1, 0, 1) and picture"
    return BadRow("bad_record", detail).rejected(lines[0].source, split=split)


def _row(source: str, split: str, cells: Cells, meta: Json) -> Row | Rejected:
    text, target, image = cells.text.strip(), cells.target.strip(), ImageRef(path=cells.image.strip())
    try:
        if cells.label.strip() not in cells.labels:
            allowed = ", ".join(cells.labels)
            raise BadRow("unknown_label", f"label {shown(cells.label.strip())}, allowed {allowed}")
        if not target:
            raise BadRow("no_target", "the target is empty")
        if SLOT not in text and target not in text:
            raise BadRow("no_target_slot", f"the text has neither {SLOT} nor the target {shown(target)}")
    except BadRow as bad:
        return bad.rejected(source, split=split)
    label = cells.labels[cells.label.strip()]
    filled = text.replace(SLOT, target)
    return Row(source, Example(id="", split=split, text=filled, images=(image,), aspect=target, label=label, meta=meta))
