"""The forms a dataset can be written in, one writer for the rows of each split."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mulcot.media import Gallery
from mulcot.records import Example, Json
from mulcot.rundir import write_json
from mulcot.tasks.base import Purpose, Task

BATCH_ROWS, BATCH_BYTES = 256, 64 * 2**20
"""Rows are handed on in batches of either size, so memory stays small whatever the pictures weigh."""
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}

TEXTS = ("id", "text", "label", "aspect", "context", "caption", "rationale", "original")
LISTS = ("choices", "image_of")
NESTED = ("meta", "truth")
"""As JSON text in columns, as objects in JSON."""

FEATURES: Json = {
    **{name: {"dtype": "string", "_type": "Value"} for name in (*TEXTS, *NESTED)},
    # `List` of today's `datasets` is `Sequence` in the versions before 4; both read this spelling.
    **{name: {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"} for name in LISTS},
    "images": {"feature": {"_type": "Image"}, "_type": "Sequence"},
}
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*TEXTS, *NESTED)),
        *((name, pa.list_(pa.string())) for name in LISTS),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
)


class SplitWriter(ABC):
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
            suffix = next((suffix for start, suffix in SUFFIXES.items() if data.startswith(start)), ".bin")
            name = f"pictures/{image.sha256[:2]}/{image.sha256[:32]}{suffix}"
            path = self.folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            names.append(name)
        return names


class JsonLines(SplitWriter):
    """Our own fields, one row a line."""

    def open(self) -> None:
        """See `SplitWriter`."""
        self.file: IO[bytes] = (self.folder / f"{self.split}.jsonl").open("wb")

    def add(self, example: Example) -> None:
        """See `SplitWriter`."""
        self.file.write(_line({**_plain(example), "images": self.copy_pictures(example)}) + b"\n")

    def close(self) -> None:
        """See `SplitWriter`."""
        self.file.close()


class ShareGpt(SplitWriter):
    """One conversation per example: the task's own prompt, the label as the task writes it; our fields beside it."""

    def open(self) -> None:
        """See `SplitWriter`."""
        self.file: IO[bytes] = (self.folder / f"{self.split}.json").open("wb")
        self.between = b"[\n"

    def add(self, example: Example) -> None:
        """See `SplitWriter`."""
        prompt = self.task.prompt(example, Purpose.LABEL)
        images = self.copy_pictures(example)
        messages = [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": "<image>" * len(images) + prompt.user},
        ]
        if example.label is not None:
            messages.append({"role": "assistant", "content": self.task.write_label(example.label)})
        self.file.write(self.between + _line({"messages": messages, "images": images, **_plain(example)}))
        self.between = b",\n"

    def close(self) -> None:
        """See `SplitWriter`."""
        self.file.write(b"\n]\n")
        self.file.close()


class Parquet(SplitWriter):
    """Columns, with the pictures' bytes inside."""

    def open(self) -> None:
        """See `SplitWriter`."""
        self.rows: list[Json] = []
        self.held = 0
        self.writer: Any = pq.ParquetWriter(self.folder / f"{self.split}.parquet", SCHEMA)

    def add(self, example: Example) -> None:
        """See `SplitWriter`."""
        row = _plain(example)
        row |= {name: json.dumps(row[name], ensure_ascii=False) if row[name] else None for name in NESTED}
        row["images"] = [
            {"bytes": self.gallery.bytes(image), "path": Path(image.path).name} for image in example.images
        ]
        self.rows.append(row)
        self.held += sum(len(image["bytes"]) for image in row["images"])
        if len(self.rows) >= BATCH_ROWS or self.held >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hands on the rows gathered so far."""
        self.writer.write_table(pa.Table.from_pylist(self.rows, schema=SCHEMA))
        self.rows, self.held = [], 0

    def close(self) -> None:
        """See `SplitWriter`."""
        if self.rows:
            self.flush()
        self.writer.close()


class HuggingFace(Parquet):
    """What `datasets.Dataset.save_to_disk` writes."""

    data = "data-00000-of-00001.arrow"

    def open(self) -> None:
        """See `SplitWriter`."""
        self.rows, self.held = [], 0
        self.content = hashlib.sha256()
        (self.folder / self.split).mkdir()
        self.writer = pa.ipc.new_stream(str(self.folder / self.split / self.data), SCHEMA)

    def add(self, example: Example) -> None:
        """See `SplitWriter`."""
        self.content.update(example.to_line().encode("utf-8", "surrogatepass"))
        super().add(example)

    def close(self) -> None:
        """See `SplitWriter`."""
        super().close()
        info = {"features": FEATURES, "description": "", "citation": "", "homepage": "", "license": ""}
        write_json(self.folder / self.split / "dataset_info.json", info)
        # The library caches what it computes under the fingerprint: other rows must have another one.
        state: Json = {"_data_files": [{"filename": self.data}], "_fingerprint": self.content.hexdigest()[:16]}
        state |= {"_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False}
        write_json(self.folder / self.split / "state.json", {**state, "_split": self.split})

    @classmethod
    def finish(cls, folder: Path, splits: list[str]) -> None:
        """See `SplitWriter`."""
        write_json(folder / "dataset_dict.json", {"splits": splits})


FORMS: dict[str, type[SplitWriter]] = {"jsonl": JsonLines, "sharegpt": ShareGpt, "parquet": Parquet, "hf": HuggingFace}


def _plain(example: Example) -> Json:
    """Every field but split and pictures; `image_of` names the choices that pictures belong to, where some do."""
    owners = [image.of for image in example.images]
    lists = {"choices": list(example.choices), "image_of": owners if any(owners) else []}
    return {name: getattr(example, name) for name in (*TEXTS, *NESTED)} | lists


def _line(row: Json) -> bytes:
    return json.dumps({key: value for key, value in row.items() if value}, ensure_ascii=False).encode("utf-8")
