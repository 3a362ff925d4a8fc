"""A dataset in a form that other tools read, pictures included; the `files` dataset reads all of it back.

    jsonl      train.jsonl ... and pictures/
    sharegpt   train.json ...: conversations for LLaMA-Factory, ms-swift and others, and pictures/
    parquet    train.parquet ... with the pictures inside
    hf         a folder for `datasets.load_from_disk`

Beside them, rejected.jsonl holds every row that could not be used.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mulcot.datasets.base import Dataset, read
from mulcot.errors import MulcotError, UnknownName
from mulcot.media import Gallery, Store
from mulcot.progress import Reporter
from mulcot.records import Example, Json
from mulcot.rundir import write_json
from mulcot.tasks.base import Purpose, Task

ROWS_AT_ONCE = 256
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}

TEXTS = ("id", "text", "label", "aspect", "context", "caption", "rationale")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in TEXTS),
        ("choices", pa.list_(pa.string())),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
    ]
)
FEATURES: Json = {
    **{name: {"dtype": "string", "_type": "Value"} for name in TEXTS},
    "choices": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    "images": {"feature": {"_type": "Image"}, "_type": "List"},
}


def export_data(
    dataset: Dataset, task: Task, form: str, out: Path, reporter: Reporter, *, force: bool = False
) -> dict[str, int]:
    """Writes the dataset to the folder `out`, all of it or nothing, and returns how many rows went where."""
    if form not in FORMS:
        raise UnknownName("export format", form, FORMS)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not force:
        raise MulcotError(f"{out} is not empty", hint="Choose another folder, or add --force to replace it.")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        counts = _write(dataset, task, FORMS[form], part, reporter)
        if out.exists():
            shutil.rmtree(out) if out.is_dir() else out.unlink()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _write(dataset: Dataset, task: Task, form: type[Writer], folder: Path, reporter: Reporter) -> dict[str, int]:
    counts: dict[str, int] = {}
    writers: dict[str, Writer] = {}
    with ExitStack() as stack:
        store = stack.enter_context(Store.temporary())
        rejected = stack.enter_context((folder / "rejected.jsonl").open("wb"))
        bar = stack.enter_context(reporter.bar("export", unit="rows"))
        gallery: Gallery | None = None
        for record in read(dataset, task, store):
            bar.advance()
            if not isinstance(record, Example):
                rejected.write(record.to_line().encode("utf-8", "backslashreplace"))
                counts["rejected"] = counts.get("rejected", 0) + 1
                continue
            gallery = gallery or Gallery(dataset.picture_root(), store, dataset.images_limit)
            if record.split not in writers:
                writers[record.split] = form(folder, record.split, task, gallery)
                stack.callback(writers[record.split].close)
            writers[record.split].add(record)
            counts[record.split] = counts.get(record.split, 0) + 1
    form.finish(folder, list(writers))
    return counts


class Writer(ABC):
    """Writes the rows of one split."""

    def __init__(self, folder: Path, split: str, task: Task, gallery: Gallery) -> None:
        self.folder = folder
        self.split = split
        self.task = task
        self.gallery = gallery
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Begins."""

    @abstractmethod
    def add(self, example: Example) -> None:
        """Writes one row."""

    @abstractmethod
    def close(self) -> None:
        """Ends."""

    @classmethod
    def finish(cls, folder: Path, splits: list[str]) -> None:
        """Writes what concerns all splits; most forms have nothing of the kind."""
        return

    def copy_pictures(self, example: Example) -> list[str]:
        """The example's pictures as files below the folder; equal ones once."""
        names = []
        for image in example.images:
            data = self.gallery.bytes(image)
            name = f"pictures/{image.sha256[:2]}/{image.sha256[:32]}{_suffix(data)}"
            path = self.folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            names.append(name)
        return names


class JsonLines(Writer):
    """Our own fields, one row a line."""

    def open(self) -> None:
        """See `Writer`."""
        self.file: IO[bytes] = (self.folder / f"{self.split}.jsonl").open("wb")

    def add(self, example: Example) -> None:
        """See `Writer`."""
        row = {**_plain(example), "images": self.copy_pictures(example)}
        row = {key: value for key, value in row.items() if value}
        self.file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")

    def close(self) -> None:
        """See `Writer`."""
        self.file.close()


class ShareGpt(Writer):
    """One conversation per example: the task's own prompt, and the label as the task writes it."""

    def open(self) -> None:
        """See `Writer`."""
        self.file: IO[bytes] = (self.folder / f"{self.split}.json").open("wb")
        self.between = b"[\n"

    def add(self, example: Example) -> None:
        """See `Writer`."""
        prompt = self.task.prompt(example, Purpose.LABEL)
        images = self.copy_pictures(example)
        messages = [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": "<image>" * len(images) + prompt.user},
        ]
        if example.label is not None:
            messages.append({"role": "assistant", "content": self.task.write_label(example.label)})
        own = {key: value for key, value in _plain(example).items() if value and key not in ("text", "rationale")}
        row = {**own, "messages": messages, "images": images}
        self.file.write(self.between + json.dumps(row, ensure_ascii=False).encode("utf-8"))
        self.between = b",\n"

    def close(self) -> None:
        """See `Writer`."""
        self.file.write(b"\n]\n")
        self.file.close()


class Parquet(Writer):
    """Columns, with the pictures' bytes inside."""

    def open(self) -> None:
        """See `Writer`."""
        self.rows: list[Json] = []
        self.writer: Any = pq.ParquetWriter(self.folder / f"{self.split}.parquet", SCHEMA)

    def add(self, example: Example) -> None:
        """See `Writer`."""
        images = [{"bytes": self.gallery.bytes(image), "path": Path(image.path).name} for image in example.images]
        self.rows.append({**_plain(example), "images": images})
        if len(self.rows) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hands on the rows gathered so far."""
        self.writer.write_table(pa.Table.from_pylist(self.rows, schema=SCHEMA))
        self.rows = []

    def close(self) -> None:
        """See `Writer`."""
        if self.rows:
            self.flush()
        self.writer.close()


class HuggingFace(Parquet):
    """What `datasets.Dataset.save_to_disk` writes."""

    def open(self) -> None:
        """See `Writer`."""
        self.rows = []
        folder = self.folder / self.split
        folder.mkdir()
        data = "data-00000-of-00001.arrow"
        info = {"features": FEATURES, "description": "", "citation": "", "homepage": "", "license": ""}
        write_json(folder / "dataset_info.json", info)
        state: Json = {"_data_files": [{"filename": data}], "_fingerprint": "0" * 16, "_format_columns": None}
        state |= {"_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": self.split}
        write_json(folder / "state.json", state)
        schema = SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})
        self.writer = pa.ipc.new_stream(str(folder / data), schema)

    @classmethod
    def finish(cls, folder: Path, splits: list[str]) -> None:
        """See `Writer`."""
        write_json(folder / "dataset_dict.json", {"splits": splits})


FORMS: dict[str, type[Writer]] = {"jsonl": JsonLines, "sharegpt": ShareGpt, "parquet": Parquet, "hf": HuggingFace}


def _plain(example: Example) -> Json:
    return {**{name: getattr(example, name) for name in TEXTS}, "choices": list(example.choices)}


def _suffix(data: bytes) -> str:
    return next((suffix for start, suffix in SUFFIXES.items() if data.startswith(start)), ".bin")
