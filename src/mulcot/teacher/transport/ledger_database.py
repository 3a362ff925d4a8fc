"""The SQLite file under a ledger: opening it with care, one writing thread, and plain words for what can go wrong.

Commits are flushed (`synchronous=FULL`): what counted before a power cut counts after it, not only after `kill -9`. The
writer gathers rows for a few milliseconds, so a flush is paid per batch and not per reply.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from mulcot.errors import RunError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x6D756C63
"""`mulc`: tells our files from any other SQLite database."""
BUSY_SECONDS = 30.0
LINGER_SECONDS = 0.01
BATCH = 256
SCHEMA = """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    example TEXT NOT NULL,
    purpose TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    teacher TEXT NOT NULL,
    sampling TEXT NOT NULL,
    prompt TEXT NOT NULL,
    origin TEXT NOT NULL,
    error TEXT,
    detail TEXT,
    text TEXT,
    reasoning TEXT,
    finish TEXT,
    model TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    latency REAL,
    created_at TEXT NOT NULL
);
CREATE UNIQUE INDEX one_reply_per_key ON attempts (key) WHERE error IS NULL;
CREATE INDEX by_example ON attempts (example)
"""
COLUMNS = (
    *("key", "example", "purpose", "attempt", "teacher", "sampling", "prompt", "origin", "error", "detail"),
    *("text", "reasoning", "finish", "model", "prompt_tokens", "completion_tokens", "cached_tokens", "latency"),
    "created_at",
)
INSERT = (
    f"INSERT INTO attempts ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    "ON CONFLICT (key) WHERE error IS NULL DO NOTHING"
)

Row = tuple[Any, ...]


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a ledger of ours, made where there is none."""
    with DatabaseErrors(path):
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        where = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(where, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if not read_only:
                _use_wal(connection)
                connection.execute("PRAGMA synchronous = FULL")
            _check(connection, path, read_only)
        except BaseException:
            connection.close()
            raise
    return connection


class DatabaseErrors:
    """A context that turns what SQLite and the file system say into `RunError`; it can be entered again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _explain(self.path, error) from error
        if isinstance(error, OSError):
            hint = "The ledger needs a folder that can be written."
            raise RunError(f"{self.path}: {error.strerror}", hint=hint) from error


class LedgerWriter:
    """The one thread that writes to a ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: SimpleQueue[tuple[Row, asyncio.Future[None] | None] | None] = SimpleQueue()
        self._failure: RunError | None = None
        self._told = False
        self._thread = threading.Thread(target=self._work, name="mulcot-ledger", daemon=True)
        self._thread.start()

    def commit(self, row: Row) -> asyncio.Future[None]:
        """Done when the row is on disk."""
        self._refuse_after_failure()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((row, done))
        return done

    def note(self, row: Row) -> None:
        """Goes with the next batch."""
        self._refuse_after_failure()
        self._queue.put((row, None))

    def close(self) -> None:
        """Writes what is left. Raises a failure that nobody has been told."""
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None and not self._told:
            raise self._failure

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            self._told = True
            raise self._failure

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        closing = False
        while not closing:
            batch, closing = self._gather()
            if batch and self._failure is None:
                try:
                    connection = connection or connect(self.path)
                    write(connection, self.path, [row for row, _ in batch])
                except RunError as error:
                    self._failure = error
            self._tell([done for _, done in batch if done is not None])
        if connection is not None:
            connection.close()

    def _gather(self) -> tuple[list[tuple[Row, asyncio.Future[None] | None]], bool]:
        item = self._queue.get()
        if item is None:
            return [], True
        batch = [item]
        time.sleep(LINGER_SECONDS)
        with suppress(Empty):
            while len(batch) < BATCH:
                item = self._queue.get_nowait()
                if item is None:
                    return batch, True
                batch.append(item)
        return batch, False

    def _tell(self, waiting: list[asyncio.Future[None]]) -> None:
        if waiting:
            with suppress(RuntimeError):  # the event loop is gone: nobody waits any more
                waiting[0].get_loop().call_soon_threadsafe(self._resolve, waiting)

    def _resolve(self, waiting: list[asyncio.Future[None]]) -> None:
        for done in waiting:
            if done.done():
                continue
            if self._failure is None:
                done.set_result(None)
            else:
                self._told = True
                done.set_exception(self._failure)


def write(connection: sqlite3.Connection, path: Path, rows: list[Row]) -> None:
    """All rows in one transaction, or none."""
    with DatabaseErrors(path):
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, rows)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """Two processes that make the same file at once can be told `busy` without any waiting."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _check(connection: sqlite3.Connection, path: Path, read_only: bool) -> None:
    if not read_only:
        connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0 and version == 0 and not read_only:
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application != APPLICATION_ID:
            raise RunError(f"{path} is not a ledger of mulcot", hint="Choose another path.")
        elif version > SCHEMA_VERSION:
            found = f"format {version}, known {SCHEMA_VERSION}"
            raise RunError(f"{path} was made by a later version ({found})", hint="Use that version, or another path.")
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _explain(path: Path, error: sqlite3.Error) -> RunError:
    code = getattr(error, "sqlite_errorcode", None)
    base = None if code is None else code & 0xFF
    if base == sqlite3.SQLITE_FULL:
        return RunError(
            f"the disk is full: {path} cannot grow",
            hint="Everything committed before is safe. Make room; the same command continues.",
        )
    if base in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return RunError(f"{path} cannot be opened for writing: {error}", hint="Check the folder's permissions.")
    if base in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return RunError(
            f"another process has kept {path} locked for {BUSY_SECONDS:.0f} s", hint="Wait for it, or end it."
        )
    if base in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return RunError(
            f"{path} is damaged: {error}",
            hint=f"`sqlite3 {path.name} .recover` can save its rows. Keep the file: it holds paid replies.",
        )
    return RunError(
        f"{path} cannot be used: {error}", hint="Everything committed before is safe; the same command continues."
    )
