"""Lines of text files from strangers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulcot.datasets.readers import lines
from mulcot.datasets.readers.lines import Line, read_lines
from mulcot.errors import DataError


def read(path: Path, data: bytes) -> list[str]:
    path.write_bytes(data)
    return [line.text if isinstance(line, Line) else f"!{line.reason}" for line in read_lines(path, "x")]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    odd = "a\u2028b\x0bc\x85d\x1ce\rf"
    assert read(tmp_path / "x", f"{odd}\nsecond\r\nthird".encode()) == [odd, "second", "third"]


def test_lines_are_numbered_as_in_an_editor(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\n\n\xff\nb\n")
    assert [line.source for line in read_lines(tmp_path / "x", "posts.csv")] == [
        "posts.csv:1", "posts.csv:2", "posts.csv:3", "posts.csv:4",
    ]  # fmt: skip


def test_a_mark_at_the_beginning_is_dropped_and_elsewhere_kept(tmp_path: Path) -> None:
    assert read(tmp_path / "x", b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n") == ["a", "\ufeffb"]


def test_a_line_that_is_too_long_is_rejected_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    long = b"x" * 35
    assert read(tmp_path / "x", b"a\n" + long + b"\nb\n") == ["a", "!line_too_long", "b"]
    assert read(tmp_path / "x", b"123456789\nb\n") == ["123456789", "b"]
    assert read(tmp_path / "x", b"1234567890\nb") == ["!line_too_long", "b"]
    assert read(tmp_path / "x", long) == ["!line_too_long"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_one_error(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    with pytest.raises(DataError, match="UTF-16") as caught:
        read(tmp_path / "x", mark + "id,text\n".encode(encoding))
    assert "Save it as UTF-8" in caught.value.hint


def test_a_folder_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path, "x"))


@given(
    st.lists(st.text(alphabet=st.characters(blacklist_characters="\n\r", blacklist_categories=("Cs",)), max_size=20))
)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, written: list[str]) -> None:
    path = tmp_path_factory.mktemp("lines") / "x"
    data = "".join(f"{text}\n" for text in written).encode()
    if not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        assert read(path, data) == written


def test_a_file_without_newlines_is_not_held_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(400 * 2**20)
    start = time.process_time()
    (only,) = read_lines(tmp_path / "x", "x")
    assert not isinstance(only, Line)
    assert time.process_time() - start < 10
