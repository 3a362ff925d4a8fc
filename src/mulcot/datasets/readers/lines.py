"""The lines of an untrusted text file: UTF-8, one by one, a bad line rejected alone."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mulcot.errors import DataError
from mulcot.records import Rejected

MAX_LINE = 16 * 2**20
"""Bytes; a longer line is rejected without being held in memory."""

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Line(NamedTuple):
    """One line without its end."""

    source: str
    text: str


def read_lines(path: Path, name: str) -> Iterator[Line | Rejected]:
    """Every line, numbered from 1 as editors do; only `\\n` and `\\r\\n` end a line."""
    try:
        with path.open("rb") as file:
            if file.read(2) in UTF16:
                raise DataError(f"{path} is UTF-16", hint="Save it as UTF-8; spreadsheets call it 'CSV UTF-8'.")
            file.seek(0)
            number = 0
            while chunk := file.readline(MAX_LINE):
                number += 1
                source = f"{name}:{number}"
                if not chunk.endswith(b"\n") and len(chunk) == MAX_LINE:
                    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                        pass
                    yield Rejected(source=source, reason="line_too_long", detail=f"more than {MAX_LINE:,} bytes")
                    continue
                yield _decode(chunk, source, number)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint="Check the path.") from None


def _decode(chunk: bytes, source: str, number: int) -> Line | Rejected:
    if number == 1:
        chunk = chunk.removeprefix(codecs.BOM_UTF8)
    try:
        text = chunk.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} of the line is not UTF-8: {chunk[error.start : error.start + 1]!r}"
        return Rejected(source=source, reason="bad_encoding", detail=detail)
    return Line(source, text.removesuffix("\n").removesuffix("\r"))
