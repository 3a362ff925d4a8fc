"""CSV and TSV whose quotes may be broken.

    id,text,image,label
    p1,"What a day, friends",p1.jpg,positive

Python's own reader lets one forgotten quote swallow every row up to the next quote. This one notices: a record whose
quotes do not fit, or that runs over several lines into a wrong number of columns, is rejected with its first line
alone, and reading goes on with the very next line. Well-formed files are read exactly as by the standard library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mulcot.datasets.cell_values import BadRow
from mulcot.datasets.readers.lines import Line, read_lines
from mulcot.datasets.readers.table import Raw, Table
from mulcot.errors import DataError
from mulcot.records import Rejected

QUOTE = '"'
MAX_RECORD = 2**22
"""Characters; a quote that has not closed by then is broken."""
MAX_COLUMNS = 10_000


def read_delimited(path: Path, name: str, delimiter: str, quotes: bool) -> Table:
    """A file with a header line; with `quotes` off, a quote is a character like any other."""
    lines = _RewindableLines(read_lines(path, name))
    header = _record(lines, delimiter, quotes, None)
    if not isinstance(header, _Record):
        what = f"the first line cannot be read: {header.detail}" if header else "it is empty"
        raise DataError(f"{path}: {what}", hint="The first line must name the columns.")
    columns = tuple(column.strip() for column in header.fields)
    twice = sorted({column for column in columns if columns.count(column) > 1}) if len(columns) < 1000 else []
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} stands twice", hint="Rename one of them.")
    return Table(columns, _records(lines, columns, delimiter, quotes))


def _records(
    lines: _RewindableLines, columns: tuple[str, ...], delimiter: str, quotes: bool
) -> Iterator[Raw | Rejected]:
    while (record := _record(lines, delimiter, quotes, len(columns))) is not None:
        if isinstance(record, Rejected):
            yield record
        else:
            yield Raw(record.source, dict(zip(columns, record.fields, strict=True)))


class _RewindableLines:
    """Lines that can be put back."""

    def __init__(self, lines: Iterator[Line | Rejected]) -> None:
        self._lines = lines
        self._back: deque[Line | Rejected] = deque()

    def next(self) -> Line | Rejected | None:
        return self._back.popleft() if self._back else next(self._lines, None)

    def put_back(self, lines: list[Line | Rejected]) -> None:
        self._back.extendleft(reversed(lines))


class _Record:
    """One record, fed line by line until its quotes are closed."""

    def __init__(self, source: str, delimiter: str, width: int | None) -> None:
        self.source = source
        self.fields: list[str] = []
        self._delimiter = delimiter
        self._limit = MAX_COLUMNS if width is None else width
        self._open: list[str] | None = None
        self.size = 0

    def feed(self, line: str) -> bool:
        """Whether the record is complete; raises `BadRow` where it cannot be."""
        self.size += len(line) + 1
        at = 0
        while True:
            if self._open is None:
                if not line.startswith(QUOTE, at):
                    end = line.find(self._delimiter, at)
                    self._add(line[at:] if end < 0 else line[at:end])
                    if end < 0:
                        return True
                    at = end + 1
                    continue
                self._open = []
                at += 1
            end = line.find(QUOTE, at)
            if end < 0:
                self._open.append(line[at:] + "\n")
                return False
            self._open.append(line[at:end])
            at = end + 1
            if line.startswith(QUOTE, at):
                self._open.append(QUOTE)
                at += 1
                continue
            self._add("".join(self._open))
            self._open = None
            if at == len(line):
                return True
            if not line.startswith(self._delimiter, at):
                raise BadRow("broken_quote", f"a quote closes before {line[at : at + 10]!r}")
            at += 1

    def _add(self, field: str) -> None:
        self.fields.append(field)
        if len(self.fields) > self._limit:
            raise BadRow("bad_columns", f"more than {self._limit} columns")


def _record(lines: _RewindableLines, delimiter: str, quotes: bool, width: int | None) -> _Record | Rejected | None:
    """The next record, or the rejection of the line where it began; None at the end."""
    first = lines.next()
    while isinstance(first, Line) and not first.text:
        first = lines.next()
    if not isinstance(first, Line):
        return first
    record = _Record(first.source, delimiter, width)
    more: list[Line | Rejected] = []
    try:
        if not quotes or QUOTE not in first.text:
            record.fields = first.text.split(delimiter)
        elif not record.feed(first.text):
            _complete(record, lines, more)
        if width is not None and len(record.fields) != width:
            raise BadRow("bad_columns", f"{len(record.fields)} columns, the header has {width}")
    except BadRow as bad:
        lines.put_back(more)
        if more or bad.reason == "broken_quote":
            detail = f"{bad.detail}; set `quotes: false` where quotes are plain text"
            return Rejected(source=first.source, reason="broken_quote", detail=detail)
        return bad.rejected(first.source)
    return record


def _complete(record: _Record, lines: _RewindableLines, taken: list[Line | Rejected]) -> None:
    """Feeds further lines until the record is complete; `taken` holds every line used."""
    while (line := lines.next()) is not None:
        taken.append(line)
        if isinstance(line, Rejected) or record.size > MAX_RECORD:
            break
        if record.feed(line.text):
            return
    raise BadRow("broken_quote", "a quote opens and never closes")
