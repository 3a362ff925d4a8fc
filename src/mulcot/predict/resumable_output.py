"""A file of answers that grows batch by batch and can be continued after any interruption.

Line n answers row n. What is there is verified, not believed: every line must belong to its row, and the file must have
been begun with the same model and settings. A batch that was cut off is answered again as a whole, so that a continued
file equals one that was never interrupted.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from mulcot.errors import MulcotError, RunLocked
from mulcot.records import Example, Json, Prediction, Rejected
from mulcot.rundir import write_json
from mulcot.settings import fingerprint

Answer = Callable[[Sequence[Example]], list[Prediction | Rejected]]
HINT = "Choose another output file, or overwrite it with --force."


class InputRow(NamedTuple):
    """One row of the input: where it stands, and what is asked, or why nothing can be."""

    source: str
    item: Example | Rejected


@dataclass
class OutputCounts:
    """What an output file holds."""

    answered: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, line: Json) -> None:
        """Counts one line."""
        if "reason" in line:
            self.rejected[line["reason"]] += 1
        else:
            self.answered += 1
            self.labels[line.get("label", "none")] += 1

    @property
    def rows(self) -> int:
        """All lines."""
        return self.answered + sum(self.rejected.values())

    def to_json(self) -> Json:
        """For reports."""
        return {
            "rows": self.rows,
            "answered": self.answered,
            "labels": dict(sorted(self.labels.items())),
            "rejected": dict(sorted(self.rejected.items())),
        }


class ResumableOutput:
    """One output file, held by one process."""

    def __init__(self, path: Path, identity: Json, *, hint: str = HINT) -> None:
        self.path = path
        self.hint = hint
        """What to do about a file that was made otherwise."""
        self.mark = fingerprint(identity)
        self.count = OutputCounts()

    @property
    def beside(self) -> Path:
        """The small file that says what the answers were made with."""
        return self.path.with_name(f"{self.path.name}.made.json")

    def run(self, rows: Iterator[InputRow], answer: Answer, size: int, *, force: bool = False) -> Iterator[int]:
        """Answers every row that has no answer yet; yields how many rows are done after each batch."""
        with self._held(force) as file:
            while batch := list(islice(rows, size)):
                if not self._verified(file, batch):
                    lines = [self._line(asked, said) for asked, said in _answered(batch, answer)]
                    file.write(b"".join(lines))
                    file.flush()
                    os.fsync(file.fileno())
                yield self.count.rows
            if file.readline():
                raise MulcotError(f"{self.path} has more lines than there are rows", hint=self.hint)

    @contextmanager
    def _held(self, force: bool) -> Iterator[IO[bytes]]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunLocked(f"{self.path} is being written by another process", hint="Wait for it.") from None
            if force:
                file.truncate(0)
                file.seek(0)
            if not file.tell():
                write_json(self.beside, {"fingerprint": self.mark})
            elif self._made_with() != self.mark:
                raise MulcotError(f"{self.path} was made with another model, other settings or by hand", hint=self.hint)
            file.seek(0)
            yield file

    def _made_with(self) -> str | None:
        try:
            found = json.loads(self.beside.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found.get("fingerprint") if isinstance(found, dict) else None

    def _verified(self, file: IO[bytes], batch: Sequence[InputRow]) -> bool:
        """Whether the file holds this whole batch; what it holds of an incomplete one is cut off."""
        start = file.tell()
        lines = [line for line in islice(file, len(batch)) if line.endswith(b"\n")]
        if len(lines) < len(batch):
            file.truncate(start)
            file.seek(start)
            return False
        for asked, line in zip(batch, lines, strict=True):
            self.count.add(self._checked(asked, line))
        return True

    def _checked(self, asked: InputRow, line: bytes) -> Json:
        try:
            found: Json = json.loads(line)
            same = found["source"] == asked.source and found.get("id") in (asked.item.id, None)
        except (ValueError, TypeError, KeyError, AttributeError):
            same = False
        if not same:
            raise MulcotError(f"{self.path}: what stands for {asked.source} is no answer to it", hint=self.hint)
        return found

    def _line(self, asked: InputRow, said: Prediction | Rejected) -> bytes:
        value = {**said.to_json(), "source": asked.source}
        value = {"source": value.pop("source"), **value}
        self.count.add(value)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
        return text.encode("utf-8", "backslashreplace")


def _answered(batch: Sequence[InputRow], answer: Answer) -> Iterator[tuple[InputRow, Prediction | Rejected]]:
    examples = [asked.item for asked in batch if isinstance(asked.item, Example)]
    answers = iter(answer(examples) if examples else [])
    for asked in batch:
        yield asked, asked.item if isinstance(asked.item, Rejected) else next(answers)
