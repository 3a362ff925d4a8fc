"""CSV and TSV: the same as the standard library where quotes fit, one rejected row where they do not."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.datasets.readers.delimited import read_delimited
from mulcot.datasets.readers.table import Raw
from mulcot.errors import DataError
from timed import grows_linearly


def read(path: Path, text: str, delimiter: str = ",", quotes: bool = True) -> tuple[list[list[str]], list[str]]:
    """Cells of the good rows, and `line reason` of the others."""
    path.write_bytes(text.encode("utf-8"))
    good, bad = [], []
    for record in read_delimited(path, "x", delimiter, quotes).records:
        if isinstance(record, Raw):
            good.append(list(record.values.values()))
        else:
            bad.append(f"{record.source.removeprefix('x:')} {record.reason}")
    return good, bad


CELL = st.text(alphabet=st.sampled_from("ab\",;\n \t'x\u00e9"), max_size=8)


@settings(deadline=None, max_examples=200)
@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=6), end=st.sampled_from(["\n", "\r\n"]), every=st.booleans())
def test_well_formed_files_are_read_as_by_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], end: str, every: bool
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL)
    writer.writerow(("one", "two", "three"))
    writer.writerows(rows)
    good, bad = read(tmp_path_factory.mktemp("csv") / "x", out.getvalue())
    assert bad == []
    assert (
        good == [list(row) for row in csv.reader(io.StringIO(out.getvalue(), newline=""))][1:] == list(map(list, rows))
    )


GOOD = "1,one,a"
LATER = '3,"three, with ""quotes"" and\na new line",c\n4,four,d\n'
BROKEN = {
    "never closed": '2,"two,b',
    "never opened": '2,two",b"x,',
    "in the middle": '2,"he said "two" to me",b',
    "text after it": '2,"two"x,b',
    "last cell": '2,two,"b',
    "an odd number": '2,"two""","b',
    "only a quote": '"',
    "three": '"""',
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("rest", [LATER, "3,three,c\n4,four,d\n", '3,"three",c\n4,four,"d"\n'])
def test_a_broken_quote_spoils_its_own_line_only(tmp_path: Path, line: str, rest: str) -> None:
    expected, none = read(tmp_path / "x", f"id,text,label\n{GOOD}\n{rest}")
    assert none == []
    good, bad = read(tmp_path / "x", f"id,text,label\n{GOOD}\n{line}\n{rest}")
    assert good == expected
    assert len(bad) == 1
    assert bad[0].split()[0] == "3"


def test_a_broken_quote_at_the_end_of_the_file(tmp_path: Path) -> None:
    assert read(tmp_path / "x", 'a,b\n1,2\n3,"4') == ([["1", "2"]], ["3 broken_quote"])


def test_many_broken_quotes_in_a_row(tmp_path: Path) -> None:
    good, bad = read(tmp_path / "x", 'a,b\n1,"x\n2,"y\n3,z\n4,"w\n5,v\n')
    assert good == [["3", "z"], ["5", "v"]]
    assert bad == ["2 broken_quote", "3 broken_quote", "5 broken_quote"]


def test_a_line_with_too_few_or_too_many_columns_is_rejected(tmp_path: Path) -> None:
    good, bad = read(tmp_path / "x", 'a,b\n1\n1,2\n1,2,3\n"1","2","3"\n\n3,4\n')
    assert good == [["1", "2"], ["3", "4"]]
    assert bad == ["2 bad_columns", "4 bad_columns", "5 bad_columns"]


def test_a_line_that_is_not_utf8_does_not_join_an_open_quote(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'a,b\n1,"x\n\xff\n2,"y\nz"\n')
    records = list(read_delimited(tmp_path / "x", "x", ",", True).records)
    assert [r.values if isinstance(r, Raw) else (r.source, r.reason) for r in records] == [
        ("x:2", "broken_quote"), ("x:3", "bad_encoding"), {"a": "2", "b": "y\nz"},
    ]  # fmt: skip


def test_quotes_can_be_plain_characters(tmp_path: Path) -> None:
    good, bad = read(tmp_path / "x", 'a\tb\n"x\ty"\n', "\t", quotes=False)
    assert (good, bad) == ([['"x', 'y"']], [])


def test_the_detail_says_how_to_read_plain_quotes(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('a,b\n1,"x')
    (record,) = read_delimited(tmp_path / "x", "x", ",", True).records
    assert "`quotes: false`" in record.detail  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"), [("", "it is empty"), ("a,a\n1,2", "'a' stands twice"), ('"a,b\n1,2', "cannot be read")]
)
def test_a_useless_header_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x", text)


HOSTILE = ['2,"x', '2,a",b,"c', '"""', '2,"a""', '","', 'x,"",y,"', '"']


@pytest.mark.parametrize("columns", [3, 300])
def test_reading_takes_linear_time_whatever_the_quotes(tmp_path: Path, columns: int) -> None:
    header = ",".join(f"c{number}" for number in range(columns))
    for line in HOSTILE:
        text = f"{line}\n"
        assert grows_linearly(lambda count, text=text: read(tmp_path / "x", header + "\n" + text * count), 2000), line
