"""Parquet files and the Arrow files of saved Hugging Face datasets, read in small batches with pyarrow alone.

Columns that a Hugging Face dataset marks as class labels come as their names, not as numbers. pyarrow costs 0.2 s to
import, so only the functions that need it do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mulcot.datasets.readers.table import Raw, Table
from mulcot.errors import DataError
from mulcot.records import Rejected

BATCH = 128
"""Rows in memory at once; with pictures inside, a batch is some tens of megabytes."""

Names = dict[str, tuple[str, ...]]


def read_parquet(path: Path, name: str) -> Table:
    """A Parquet file."""
    import pyarrow.parquet as pq

    with _usable(path, "a Parquet file"):
        # Neither mapped nor read ahead: memory stays at one row group whatever the size of the file.
        file = pq.ParquetFile(path, pre_buffer=False, memory_map=False)
        schema = file.schema_arrow
    return _table(schema, path, name, lambda: file.iter_batches(batch_size=BATCH, use_threads=False))


def read_arrow(path: Path, name: str) -> Table:
    """An Arrow file, as a stream (the way datasets are saved) or with random access."""
    import pyarrow as pa

    with _usable(path, "an Arrow file"):
        source = pa.OSFile(str(path), "rb")
        stream = source.read(6) != b"ARROW1"
        source.seek(0)
        reader = pa.ipc.open_stream(source) if stream else pa.ipc.open_file(source)
    return _table(reader.schema, path, name, lambda: _batches(reader, stream))


def _batches(reader: Any, stream: bool) -> Iterator[Any]:
    for batch in reader if stream else map(reader.get_batch, range(reader.num_record_batches)):
        # Arrow trusts the offsets inside its own files; a forged one would read beyond the buffer.
        batch.validate(full=True)
        yield batch


def _table(schema: Any, path: Path, name: str, batches: Callable[[], Any]) -> Table:
    columns = tuple(schema.names)
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: a column stands twice", hint=f"Columns: {', '.join(columns)}.")
    return Table(columns, _records(path, name, batches, _class_labels(schema)))


def _records(path: Path, name: str, batches: Callable[[], Any], labels: Names) -> Iterator[Raw | Rejected]:
    number = 0
    with _usable(path, "readable to its end"):
        for batch in batches():
            for start in range(0, batch.num_rows, BATCH):
                for values in _rows(batch.slice(start, BATCH)):
                    number += 1
                    source = f"{name}:{number}"
                    if isinstance(values, str):
                        yield Rejected(source=source, reason="bad_encoding", detail=values)
                    else:
                        yield Raw(source, _named(values, labels))


def _rows(batch: Any) -> Iterator[dict[str, Any] | str]:
    """The batch's rows; one text that is not UTF-8 spoils its own row only."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for index in range(batch.num_rows):
        try:
            yield batch.slice(index, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            yield f"a text is not UTF-8: {error.reason}"


def _class_labels(schema: Any) -> Names:
    """Which columns hold class labels, by the note that Hugging Face datasets leave in their files."""
    try:
        note = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = note["info"]["features"]
        marked = {key: value["names"] for key, value in features.items() if value.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {key: tuple(map(str, names)) for key, names in marked.items() if isinstance(names, list)}


def _named(values: dict[str, Any], labels: Names) -> dict[str, Any]:
    for key, names in labels.items():
        value = values.get(key)
        if isinstance(value, int):
            # -1 is how hidden labels of a test split are written.
            values[key] = names[value] if 0 <= value < len(names) else None if value == -1 else value
    return values


@contextmanager
def _usable(path: Path, what: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{path} is not {what}: {detail}", hint="The file is damaged; get it again.") from None
