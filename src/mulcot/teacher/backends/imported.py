"""Chains that exist already, as JSON or JSONL. Nothing is asked; they pass the same checks as fresh replies.

teacher:
  backend: {name: imported, path: chains.json}

The published form has the columns text, label, aspect, image_id, id, image_path and cot; others are named in `columns`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

from mulcot.errors import TeacherError
from mulcot.records import Json
from mulcot.settings import Settings
from mulcot.teacher.base import Observer, Session, Teacher, teachers


class ChainColumns(Settings):
    """The names of the columns; one that a file does not have is passed over, except `chain`."""

    chain: str = "cot"
    """The chain: a text, or an object of its fields."""
    id: str = "id"
    """Compared with the example's id."""
    text: str = "text"
    """Compared with the example's text."""
    aspect: str = "aspect"
    """Compared with the example's aspect."""
    image: str = "image_path"
    """Compared with the file name of the example's picture."""
    stage: str | None = None
    """1 where the chain was found without the label, 2 where the label was given; unknown where there is no column."""
    model: str | None = None
    """Who wrote it."""


@teachers.register("imported")
class Imported(Teacher):
    """Existing chains from a file."""

    path: Path
    """A JSON list or JSONL."""
    columns: ChainColumns = ChainColumns()
    """Which column is what."""
    match: Literal["auto", "id", "content"] = "auto"
    """How a row finds its example: by its id, by text, aspect and picture, or (`auto`) by an id whose text agrees and
    otherwise by content."""

    @property
    def title(self) -> str:
        """The file's name."""
        return self.path.name

    def identity(self) -> Json:
        """Where the file lies does not matter; what it holds is hashed by the stage."""
        return super().identity() | {"path": self.path.name}

    def answers_as(self) -> Json:
        """The file by name."""
        return {"backend": self.name, "path": self.path.name}

    def session(self, observer: Observer | None = None) -> AbstractAsyncContextManager[Session]:
        """A file cannot be asked; the stage reads it."""
        raise TeacherError(f"{self.path} holds existing chains and answers no questions")
