"""JSON Lines, one record a line, and whole JSON files.

    {"id": "p1", "text": "what a day", "image": "p1.jpg", "label": "positive"}

A line that is no JSON object is rejected alone; a whole file that is damaged is one error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mulcot.datasets.cell_values import shown
from mulcot.datasets.readers.lines import Line, read_lines
from mulcot.datasets.readers.table import Raw, Table
from mulcot.errors import DataError
from mulcot.records import Rejected


def read_jsonl(path: Path, name: str) -> Table:
    """A JSONL file; blank lines are no records."""
    return Table(None, _records(path, name))


def read_json(path: Path, name: str) -> Table:
    """A JSON file that is one list of records; JSONL under the name of JSON is read as such."""
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"{":
        return read_jsonl(path, name)
    data = load_json(path)
    if not isinstance(data, list):
        raise DataError(f"{path} holds {shown(data)}, a list of records is needed", hint="Or give JSONL.")
    return Table(None, (_record(item, f"{name}:[{index}]") for index, item in enumerate(data)))


def load_json(path: Path) -> Any:
    """A whole JSON file; a damaged one is one clear error that says where."""
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint="Check the path.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 at byte {error.start + 1:,}", hint="Save it as UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno:,}, column {error.colno:,} (character {error.pos:,} of {len(error.doc):,})"
        hint = "The file is damaged or incomplete; get it again." if error.pos else "It is empty or not JSON."
        raise DataError(f"{path} is not JSON from {where} on: {error.msg}", hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not usable JSON: {_reason(error)}", hint="Get the file again.") from None


def _records(path: Path, name: str) -> Iterator[Raw | Rejected]:
    for line in read_lines(path, name):
        if isinstance(line, Rejected):
            yield line
        elif line.text and not line.text.isspace():
            yield _parse(line)


def _parse(line: Line) -> Raw | Rejected:
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        return Rejected(source=line.source, reason="bad_json", detail=_reason(error))
    return _record(value, line.source)


def _record(value: Any, source: str) -> Raw | Rejected:
    if isinstance(value, dict):
        return Raw(source, value)
    return Rejected(source=source, reason="not_an_object", detail=f"{shown(value)} where an object is needed")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    return f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)
