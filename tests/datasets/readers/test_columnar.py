"""Parquet and Arrow files, also forged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mulcot.datasets.readers.columnar import BATCH, read_arrow, read_parquet
from mulcot.datasets.readers.table import Raw
from mulcot.errors import DataError


def write(path: Path, table: Any, kind: str) -> Path:
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=50)
    else:
        options = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with options(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=50)
    return path


def reader(kind: str) -> Any:
    return read_parquet if kind == "parquet" else read_arrow


KINDS = pytest.mark.parametrize("kind", ["parquet", "stream", "file"])


@KINDS
def test_rows_come_in_order_with_their_numbers(tmp_path: Path, kind: str) -> None:
    count = BATCH * 2 + 7
    table = pa.table({"n": list(range(count)), "t": [f"t{n}" for n in range(count)]})
    columns, records = reader(kind)(write(tmp_path / "x", table, kind), "posts")
    rows = list(records)
    assert columns == ("n", "t")
    assert [row.source for row in rows] == [f"posts:{n}" for n in range(1, count + 1)]
    assert [row.values for row in rows if isinstance(row, Raw)] == [{"n": n, "t": f"t{n}"} for n in range(count)]


@KINDS
def test_class_labels_come_by_name(tmp_path: Path, kind: str) -> None:
    features = {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}, "t": {"dtype": "string", "_type": "Value"}}
    note = json.dumps({"info": {"features": features}})
    table = pa.table({"label": pa.array([1, 0, -1, 7, None]), "t": list("abcde")})
    marked = table.replace_schema_metadata({"huggingface": note})
    _, records = reader(kind)(write(tmp_path / "x", marked, kind), "x")
    assert [row.values["label"] for row in records] == ["good", "bad", None, 7, None]


@pytest.mark.parametrize("note", [b"\xff", b"[1]", b"{}", b'{"info": {"features": [1]}}', b"[" * 100_000])
def test_a_nonsense_note_is_ignored(tmp_path: Path, note: bytes) -> None:
    table = pa.table({"label": [1]}).replace_schema_metadata({b"huggingface": note})
    _, records = read_arrow(write(tmp_path / "x", table, "stream"), "x")
    assert [row.values for row in records if isinstance(row, Raw)] == [{"label": 1}]


def test_a_text_that_is_not_utf8_rejects_its_own_row(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.binary(), 3, pa.array([b"a", b"\xff", b"c"]).buffers()).cast(pa.binary())
    texts = pa.StringArray.from_buffers(3, bad.buffers()[1], bad.buffers()[2])
    _, records = read_parquet(write(tmp_path / "x", pa.table({"t": texts}), "parquet"), "x")
    assert [r.values if isinstance(r, Raw) else (r.source, r.reason) for r in records] == [
        {"t": "a"}, ("x:2", "bad_encoding"), {"t": "c"},
    ]  # fmt: skip


def test_forged_offsets_are_one_error_and_no_crash(tmp_path: Path) -> None:
    path = write(tmp_path / "x", pa.table({"t": ["a" * 7, "b" * 11]}), "stream")
    offsets = (0).to_bytes(4, "little") + (7).to_bytes(4, "little")
    data = path.read_bytes()
    assert data.count(offsets + (18).to_bytes(4, "little")) == 1
    path.write_bytes(data.replace(offsets + (18).to_bytes(4, "little"), offsets + (2**30).to_bytes(4, "little")))
    _, records = read_arrow(path, "x")
    with pytest.raises(DataError, match="not readable to its end"):
        list(records)


@KINDS
@pytest.mark.parametrize("damage", ["empty", "text", "half"])
def test_a_damaged_file_is_one_error(tmp_path: Path, kind: str, damage: str) -> None:
    path = write(tmp_path / "x", pa.table({"t": [f"{n}" for n in range(500)]}), kind)
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"id,text\n1,a\n" * 9, "half": data[: len(data) // 2]}[damage])
    with pytest.raises(DataError) as caught:
        list(reader(kind)(path, "x").records)
    assert str(path) in caught.value.message


def test_a_column_that_stands_twice_is_one_error(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(DataError, match="a column stands twice"):
        read_parquet(write(tmp_path / "x", table, "parquet"), "x")
