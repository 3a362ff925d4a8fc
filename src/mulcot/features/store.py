"""Features of pictures, each picture once, in one memory-mapped file; numpy only, no torch.

    features.json   what they are: width, dtype, the extractor and its hash
    index.jsonl     one line per picture: its key, where its patches begin, how many they are, their checksum
    patches.bin     the patches themselves, one after the other, little-endian

Patches are appended and on disk before their lines are, so after a kill at any moment the lines tell what is whole;
whatever lies behind is written again. A picture without a line costs nothing.
"""

from __future__ import annotations

import json
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mulcot.errors import DataError
from mulcot.records import Json
from mulcot.rundir import write_json

DType = Literal["fp16", "bf16", "fp32"]
NUMPY: dict[str, Any] = {"fp16": np.dtype("<f2"), "bf16": np.dtype("<u2"), "fp32": np.dtype("<f4")}
"""bf16 is unknown to numpy and is kept as the upper half of fp32."""

FEATURES = "features"
"""The folder of a stage in which a store lies."""
HEADER, INDEX, PATCHES = "features.json", "index.jsonl", "patches.bin"
FORMAT = 1
AGAIN = "Delete the features stage's folder and run the same command again."

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FeatureKind:
    """What a store's features are."""

    extractor: Json
    """The extractor's settings, its name among them; empty for features made elsewhere."""
    extractor_hash: str
    """Of its weights and preprocessing."""
    width: int
    """Values per patch."""
    dtype: DType

    def to_json(self) -> Json:
        """The header file."""
        return {
            "format": FORMAT,
            "extractor": self.extractor,
            "extractor_hash": self.extractor_hash,
            "width": self.width,
            "dtype": self.dtype,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one picture's patches lie."""

    start: int
    patches: int
    checksum: int


class FeatureStore:
    """Finished features, read where they lie."""

    def __init__(self, folder: Path, kind: FeatureKind, entries: dict[str, Entry], data: mmap.mmap | bytes) -> None:
        self.folder = folder
        self.kind = kind
        self.entries = entries
        self._data = data

    @classmethod
    def open(cls, folder: Path, extractor_hash: str | None = None) -> FeatureStore:
        """The store in `folder`; with `extractor_hash`, features of any other extractor are refused."""
        kind = read_kind(folder)
        if extractor_hash is not None and kind.extractor_hash != extractor_hash:
            raise other_extractor(folder, kind.extractor_hash, extractor_hash)
        entries = dict(_entries(folder, kind))
        with _readable(folder, PATCHES), (folder / PATCHES).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            needed = max((_end(entry, kind) for entry in entries.values()), default=0)
            if size < needed:
                message = f"{folder / PATCHES} has {size:,} bytes, its index needs {needed:,}"
                raise DataError(message, hint=AGAIN)
            # Read-only pages of the file: they belong to the system's cache, not to this process.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        return cls(folder, kind, entries, data)

    @property
    def width(self) -> int:
        """Values per patch."""
        return self.kind.width

    @property
    def extractor_hash(self) -> str:
        """Of the extractor's weights and preprocessing."""
        return self.kind.extractor_hash

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, key: str) -> Array:
        """The patches of a picture, as patches x width: fp16 and fp32 as they lie, bf16 as fp32."""
        entry = self.entries.get(key)
        if entry is None:
            message = f"{self.folder} has no features of the picture {key[:16]!r}"
            raise DataError(message, hint="Run the features stage again: the dataset has changed since.")
        part = memoryview(self._data)[entry.start : _end(entry, self.kind)]
        if zlib.crc32(part) != entry.checksum:
            raise DataError(f"{self.folder / PATCHES}: the features of {key[:16]!r} are damaged", hint=AGAIN)
        stored: Array = np.frombuffer(part, NUMPY[self.kind.dtype]).reshape(entry.patches, self.width)
        return _wide(stored) if self.kind.dtype == "bf16" else stored


class FeatureWriter:
    """A store that is being filled; after an interruption it continues after the last complete picture."""

    def __init__(self, folder: Path, kind: FeatureKind) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / HEADER).exists():
            if (found := read_kind(folder)) != kind:
                raise other_extractor(folder, found.extractor_hash, kind.extractor_hash)
        else:
            write_json(folder / HEADER, kind.to_json())
        self.folder = folder
        self.kind = kind
        self._index = (folder / INDEX).open("a+b")
        self._patches = (folder / PATCHES).open("a+b")
        self.done = self._recover()

    def add(self, features: Iterable[tuple[str, Array]]) -> None:
        """Appends some pictures; when this returns they are on disk. Keys that are there already are passed over."""
        lines = b""
        start = self._patches.tell()
        for key, patches in features:
            if key in self.done:
                continue
            data = self._stored(key, patches).tobytes()
            line = [key, start, len(patches), zlib.crc32(data)]
            self._patches.write(data)
            start += len(data)
            lines += json.dumps(line).encode() + b"\n"
            self.done.add(key)
        for file, part in ((self._patches, b""), (self._index, lines)):
            file.write(part)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Closes the files."""
        self._index.close()
        self._patches.close()

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recover(self) -> set[str]:
        """The keys that are whole; what lies behind them, from a kill in the middle of `add`, is cut off."""
        self._index.seek(0)
        size = os.fstat(self._patches.fileno()).st_size
        whole, end, done = 0, 0, set()
        for line in self._index:
            try:
                key, entry = _parse(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or entry.start != end or _end(entry, self.kind) > size:
                break
            whole, end = whole + len(line), _end(entry, self.kind)
            done.add(key)
        self._index.truncate(whole)
        self._patches.truncate(end)
        self._index.seek(0, os.SEEK_END)
        self._patches.seek(0, os.SEEK_END)
        return done

    def _stored(self, key: str, patches: Array) -> Array:
        if patches.ndim != 2 or patches.shape[1] != self.kind.width:
            shape = " x ".join(map(str, patches.shape))
            raise DataError(f"the features of {key[:16]!r} are {shape}; patches x {self.kind.width} were expected")
        if self.kind.dtype == "bf16":
            return _narrow(patches)
        with np.errstate(over="ignore"):
            stored = patches.astype(NUMPY[self.kind.dtype])
        if not np.isfinite(stored).all():
            hint = "Set features.dtype to bf16 or fp32." if np.isfinite(patches).all() else ""
            raise DataError(f"the features of {key[:16]!r} are no finite {self.kind.dtype} numbers", hint=hint)
        return stored


def read_kind(folder: Path) -> FeatureKind:
    """The header of a store."""
    with _readable(folder, HEADER):
        data = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("dtype") not in NUMPY:
            raise ValueError("this version of mulcot knows no such header")
        return FeatureKind(dict(data["extractor"]), str(data["extractor_hash"]), int(data["width"]), data["dtype"])


def other_extractor(where: Path | str, found: str, wanted: str) -> DataError:
    """Features that were not made by the extractor that was expected."""
    message = f"{where} holds features of another extractor: found {found[:12]}, expected {wanted[:12]}"
    hint = "Use the extractor the model was trained with, or extract and train again."
    return DataError(message, hint=hint)


def _entries(folder: Path, kind: FeatureKind) -> Iterator[tuple[str, Entry]]:
    with _readable(folder, INDEX), (folder / INDEX).open("rb") as file:
        end = 0
        for line in file:
            key, entry = _parse(line)
            if entry.start != end:
                raise ValueError(f"{key[:16]!r} begins at {entry.start:,}, expected {end:,}")
            end = _end(entry, kind)
            yield key, entry


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[None]:
    """Says which file is missing or damaged."""
    try:
        yield
    except FileNotFoundError:
        hint = "Run the features stage first: `mulcot run RECIPE --to features`."
        raise DataError(f"{folder} holds no features: {name} is missing", hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / name} is damaged: {error}", hint=AGAIN) from None


def _parse(line: bytes) -> tuple[str, Entry]:
    row = json.loads(line)
    if not isinstance(row, list) or len(row) != 4 or not isinstance(row[0], str):
        raise ValueError(f"{line[:60]!r} is no entry")
    numbers = row[1:]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError(f"{line[:60]!r} is no entry")
    return row[0], Entry(*numbers)


def _end(entry: Entry, kind: FeatureKind) -> int:
    size: int = entry.patches * kind.width * NUMPY[kind.dtype].itemsize
    return entry.start + size


def _narrow(patches: Array) -> Array:
    """fp32 to bf16, to the nearest, ties to even."""
    wide = np.ascontiguousarray(patches, dtype="<f4")
    if not np.isfinite(wide).all():
        raise DataError("features are not finite")
    bits: Array = wide.view("<u4")
    nearest: Array = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return nearest


def _wide(stored: Array) -> Array:
    wide: Array = np.left_shift(stored.astype("<u4"), 16).view("<f4")
    return wide
