"""Existing chains and the examples they belong to.

The rows of the file go into a temporary database on disk, keyed by id and by content, and are looked up example by
example: the file may be in any order and of any size. A JSON list has to be read whole; JSONL is streamed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from mulcot.datasets.readers.jsonfile import read_json, read_jsonl
from mulcot.datasets.readers.table import Raw
from mulcot.errors import DataError
from mulcot.records import Example, Rejected, content_id
from mulcot.teacher.backends.imported import ChainColumns, Imported
from mulcot.teacher.base import Finish, Reply, Sampling
from mulcot.teacher.labelling.dialogues import DialogueOutcome
from mulcot.teacher.labelling.reply_judge import UNKNOWN, ReplyJudge, Verdict
from mulcot.teacher.labelling.retry import Ask, Trial
from mulcot.text import normalise

EXCERPT = 120
_SCHEMA = """
CREATE TABLE chains (
    number INTEGER PRIMARY KEY, source TEXT, id TEXT, content TEXT, picture TEXT, chain TEXT, stage INTEGER,
    model TEXT, excerpt TEXT, used INTEGER DEFAULT 0
);
CREATE INDEX by_id ON chains (id);
CREATE INDEX by_content ON chains (content)
"""
_FIND = "SELECT number, id, content, picture, chain, stage, model FROM chains WHERE {} = ? ORDER BY number"


@dataclass(frozen=True, slots=True)
class ImportedChain:
    """One chain of the file."""

    number: int
    id: str
    content: str
    picture: str
    chain: str
    stage: int
    model: str


class Chains:
    """The rows of one file."""

    def __init__(self, settings: Imported) -> None:
        self.settings = settings
        self.rejected: list[Rejected] = []
        self._database = sqlite3.connect("")
        for statement in _SCHEMA.split(";"):
            self._database.execute(statement)
        self._database.executemany(
            "INSERT INTO chains (source, id, content, picture, chain, stage, model, excerpt) VALUES (?,?,?,?,?,?,?,?)",
            self._rows(),
        )
        self.count: int = self._database.execute("SELECT count(*) FROM chains").fetchone()[0]
        if not self.count:
            first = f" The first of {len(self.rejected)}: {self.rejected[0].detail}." if self.rejected else ""
            hint = f"Name the chain's column in `columns: {{chain: ...}}`.{first}"
            raise DataError(f"{settings.path} holds no chain", hint=hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def outcome(self, example: Example, judge: ReplyJudge) -> DialogueOutcome:
        """The first chain of this example that passes, or why none does."""
        if example.label is None:
            return DialogueOutcome(example, reason=Verdict.NO_LABEL)
        trials: list[Trial] = []
        for row in self.of(example):
            attempt = 1 + sum(trial.ask.stage == row.stage for trial in trials)
            reply = Reply(text=row.chain, finish=Finish.UNKNOWN, model=row.model)
            trials.append(Trial(Ask(row.stage, attempt, Sampling()), reply, judge(reply, example, row.stage)))
            if trials[-1].verdict is Verdict.COMPLETE:
                return DialogueOutcome(example, tuple(trials), accepted=trials[-1])
        return DialogueOutcome(example, tuple(trials), reason=trials[-1].verdict if trials else Verdict.NO_CHAIN)

    def of(self, example: Example) -> list[ImportedChain]:
        """The rows that belong to an example, in the order of the file; marks them as used."""
        found = {row.number: row for row in self._candidates(example)}
        self._database.executemany("UPDATE chains SET used = 1 WHERE number = ?", [(number,) for number in found])
        return [found[number] for number in sorted(found)]

    @property
    def matched(self) -> bool:
        """Whether any row has found its example so far."""
        return self._database.execute("SELECT 1 FROM chains WHERE used LIMIT 1").fetchone() is not None

    def unused(self) -> Iterator[Rejected]:
        """Every row that belongs to none of the examples, after those that could not be read."""
        yield from self.rejected
        with closing(self._database.execute("SELECT source, id, excerpt FROM chains WHERE NOT used")) as cursor:
            for source, name, excerpt in cursor:
                yield Rejected(source=source, reason="no_example", detail=excerpt, id=name or None)

    def _candidates(self, example: Example) -> Iterator[ImportedChain]:
        contents = {_content(text, example.aspect) for text in (example.text, example.original) if text is not None}
        if self.settings.match != "content":
            for row in self._find("id", example.id):
                if self.settings.match == "id" or not row.content or row.content in contents:
                    yield row
        if self.settings.match != "id":
            for content in contents:
                yield from (row for row in self._find("content", content) if _fits(row, example))

    def _find(self, column: str, value: str) -> list[ImportedChain]:
        return [ImportedChain(*found) for found in self._database.execute(_FIND.format(column), (value,))]

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        path, columns = self.settings.path, self.settings.columns
        read = read_jsonl if path.suffix == ".jsonl" else read_json
        for record in read(path, path.name).records:
            row = _row(record, columns) if isinstance(record, Raw) else record
            if isinstance(row, Rejected):
                self.rejected.append(row)
            else:
                yield row


def _row(record: Raw, columns: ChainColumns) -> tuple[Any, ...] | Rejected:
    values = record.values
    chain = values.get(columns.chain)
    if isinstance(chain, dict):
        chain = json.dumps(chain, ensure_ascii=False)
    if not isinstance(chain, str) or not chain.strip():
        found = "is empty" if columns.chain in values else f"is missing; there are {', '.join(map(str, values))[:200]}"
        return Rejected(source=record.source, reason="no_chain", detail=f"the column {columns.chain!r} {found}")
    text = _text(values.get(columns.text))
    stage = values.get(columns.stage, UNKNOWN) if columns.stage else UNKNOWN
    if str(stage) not in ("0", "1", "2"):
        detail = f"stage {str(stage)[:20]!r}, allowed 1 and 2"
        return Rejected(source=record.source, reason="bad_stage", detail=detail)
    content = _content(text, _text(values.get(columns.aspect)) or None) if text else ""
    picture = PurePosixPath(_text(values.get(columns.image)).replace("\\", "/")).stem
    model = _text(values.get(columns.model)) if columns.model else ""
    made = (record.source, _text(values.get(columns.id)), content, picture, chain, int(stage), model, text[:EXCERPT])
    return tuple(_storable(value) if isinstance(value, str) else value for value in made)


def _fits(row: ImportedChain, example: Example) -> bool:
    """Equal posts with different pictures are different posts; stored pictures have lost their names."""
    picture = example.picture
    if not row.picture or picture is None or picture.stored:
        return True
    return PurePosixPath(picture.path).stem == row.picture


def _content(text: str, aspect: str | None) -> str:
    return content_id(normalise(text), None if aspect is None else normalise(aspect))


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _storable(text: str) -> str:
    """SQLite takes no lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
