"""What every reader gives: records with their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mulcot.records import Rejected


class Raw(NamedTuple):
    """One record as its file says it."""

    source: str
    """File and place, such as `posts.jsonl:17`."""
    values: Mapping[str, Any]


class Table(NamedTuple):
    """A file's records in order."""

    columns: tuple[str, ...] | None
    """The columns that every record has; None where each record names its own."""
    records: Iterator[Raw | Rejected]
