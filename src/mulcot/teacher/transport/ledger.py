"""The ledger: every attempt, paid or failed, in one SQLite file that survives `kill -9`.

A reply counts when it is committed; from then on its request is never sent again. The same kind of file can be a cache
that several runs share. Readers have a connection of their own and see committed rows only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mulcot.records import Json, Record
from mulcot.teacher.base import Finish, Reply, Usage
from mulcot.teacher.transport.ledger_database import COLUMNS, DatabaseErrors, LedgerWriter, Row, connect

REPLY_COLUMNS = "text, reasoning, finish, model, prompt_tokens, completion_tokens, cached_tokens, latency"
FIND = f"SELECT {REPLY_COLUMNS} FROM attempts WHERE key = ? AND error IS NULL"
TOTALS = """
SELECT count(*) FILTER (WHERE error IS NULL AND origin = 'asked'),
       count(*) FILTER (WHERE error IS NULL AND origin != 'asked'),
       count(*) FILTER (WHERE error IS NOT NULL),
       coalesce(sum(prompt_tokens) FILTER (WHERE origin = 'asked'), 0),
       coalesce(sum(completion_tokens) FILTER (WHERE origin = 'asked'), 0),
       coalesce(sum(cached_tokens) FILTER (WHERE origin = 'asked'), 0),
       count(*) FILTER (WHERE error IS NULL AND origin = 'asked'
                        AND (prompt_tokens IS NULL OR completion_tokens IS NULL))
FROM attempts
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Record):
    """One row: a reply, or the error that came instead."""

    key: str
    example_id: str = ""
    purpose: str = ""
    attempt: int = 1
    teacher: str = ""
    """Its title, for people; the key holds the exact identity."""
    sampling: Json = field(default_factory=dict)
    prompt: str = ""
    """The hash of what was shown."""
    reply: Reply | None = None
    error: str = ""
    detail: str = ""
    origin: str = "asked"
    """`asked`, or `cache` where another run has paid for the reply."""
    created_at: str = ""
    """UTC; set when it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Record):
    """What was asked so far; replies from the cache are counted apart and cost nothing."""

    replies: int = 0
    from_cache: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    unknown_usage: int = 0
    """Paid replies whose tokens the server did not tell: with any, the sums are lower bounds."""


class Ledger:
    """An opened ledger. It belongs to the thread that opened it."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._reader = connect(path, read_only=read_only)
        self._finder = self._reader.cursor()
        self._explained = DatabaseErrors(path)
        self._writer = None if read_only else LedgerWriter(path)

    def reply(self, key: str) -> Reply | None:
        """The committed reply to a request, marked as remembered."""
        with self._explained:
            row = self._finder.execute(FIND, (key,)).fetchone()
        return None if row is None else _reply(row)

    def commit(self, attempt: Attempt) -> asyncio.Future[None]:
        """Done when the attempt is on disk; fails with `RunError` where it cannot be."""
        assert self._writer is not None
        return self._writer.commit(_row(attempt))

    def note(self, attempt: Attempt) -> None:
        """Written with the next batch. Nobody waits for it, but a ledger that cannot write refuses to go on."""
        assert self._writer is not None
        self._writer.note(_row(attempt))

    def attempts(self, example_id: str | None = None) -> Iterator[Attempt]:
        """Every attempt in the order of the commits, of one example or of all."""
        where = "" if example_id is None else " WHERE example = ?"
        given = () if example_id is None else (example_id,)
        with DatabaseErrors(self.path):
            for row in self._reader.execute(f"SELECT {', '.join(COLUMNS)} FROM attempts{where} ORDER BY id", given):
                yield _attempt(row)

    def totals(self) -> Totals:
        """Replies, failures and tokens so far."""
        with DatabaseErrors(self.path):
            row = self._reader.execute(TOTALS).fetchone()
        return Totals(**dict(zip((known.name for known in fields(Totals)), row, strict=True)))

    def failures(self) -> dict[str, int]:
        """How many tries failed, by kind."""
        with DatabaseErrors(self.path):
            found = self._reader.execute("SELECT error, count(*) FROM attempts WHERE error IS NOT NULL GROUP BY error")
            return dict(found.fetchall())

    def close(self) -> None:
        """Writes what is left."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(attempt: Attempt) -> Row:
    reply = attempt.reply
    answer: tuple[Any, ...] = (None,) * 8
    if reply is not None:
        usage = reply.usage
        answer = (_storable(reply.text), _storable(reply.reasoning), str(reply.finish), _storable(reply.model))
        answer += (usage.prompt, usage.completion, usage.cached, reply.latency)
    return (
        attempt.key,
        _storable(attempt.example_id),
        attempt.purpose,
        attempt.attempt,
        attempt.teacher,
        json.dumps(attempt.sampling, separators=(",", ":")),
        attempt.prompt,
        attempt.origin,
        attempt.error or None,
        _storable(attempt.detail) or None,
        *answer,
        attempt.created_at or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _attempt(row: Row) -> Attempt:
    key, example, purpose, attempt, teacher, sampling, prompt, origin, error, detail, *answer, created = row
    return Attempt(
        key=key,
        example_id=example,
        purpose=purpose,
        attempt=attempt,
        teacher=teacher,
        sampling=json.loads(sampling),
        prompt=prompt,
        reply=None if error else _reply(tuple(answer)),
        error=error or "",
        detail=detail or "",
        origin=origin,
        created_at=created,
    )


def _reply(row: Row) -> Reply:
    text, reasoning, finish, model, prompt, completion, cached, latency = row
    return Reply(
        text=text,
        reasoning=reasoning,
        finish=Finish(finish),
        model=model,
        usage=Usage(prompt=prompt, completion=completion, cached=cached),
        latency=latency,
        remembered=True,
    )


def _storable(text: str) -> str:
    """SQLite takes no lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
