"""JSON Lines and JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mulcot.datasets.readers.jsonfile import read_json, read_jsonl
from mulcot.datasets.readers.table import Raw
from mulcot.errors import DataError


def read(path: Path, data: str | bytes, reader: Any = read_jsonl) -> list[Any]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return [r.values if isinstance(r, Raw) else (r.source, r.reason) for r in reader(path, "x").records]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "bad_json"),
        (b"{'a': 1}", "bad_json"),
        (b'{"a": 1} {"a": 2}', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "bad_json"),
        (b'{"a": "\x00"}', "bad_json"),
        (b"[1, 2]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a": "\xe9"}', "bad_encoding"),
        (b'{"a": "\xed\xa0\x80"}', "bad_encoding"),
    ],
)
def test_a_bad_line_is_rejected_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    assert read(tmp_path / "x", b'{"a": 0}\n' + line + b'\n\n  \n{"a": 3}') == [{"a": 0}, ("x:2", reason), {"a": 3}]


def test_a_list_under_the_name_of_json_is_read_by_item(tmp_path: Path) -> None:
    assert read(tmp_path / "x", '\ufeff [{"a": 1}, 2, {"a": 3}]', read_json) == [
        {"a": 1}, ("x:[1]", "not_an_object"), {"a": 3},
    ]  # fmt: skip


def test_json_lines_under_the_name_of_json_are_read_by_line(tmp_path: Path) -> None:
    assert read(tmp_path / "x", '\n{"a": 1}\n{"a": 2}\n', read_json) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("data", ["", "nonsense", '[{"a": 1}, {"a": ', "3", '"x"'])
def test_a_file_that_is_no_list_is_one_error(tmp_path: Path, data: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x", data, read_json)
    assert caught.value.hint
