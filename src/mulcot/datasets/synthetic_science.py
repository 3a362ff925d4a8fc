"""Science questions of the synthetic world: drawn charts, maps and counts, hints and words. See docs/world.md.

One row: `How many apples are in the picture?` with the choices 1, 2, 3, a picture of a shelf, the label `B`, the
rationale `The picture shows 2 apples. The answer is 2.`, subject, topic, category, skill, grade and lecture in `meta`,
and in `truth` what the picture shows. About a quarter of the questions have no picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from mulcot.datasets.base import Dataset, Row, datasets
from mulcot.media import Store
from mulcot.records import Example
from mulcot.world.boards import paint_board
from mulcot.world.picture import png
from mulcot.world.posts import EDITION
from mulcot.world.science import ScienceTruth, make_question
from mulcot.world.science_chains import explain
from mulcot.world.science_vocabulary import CAPTIONS


@datasets.register("synthetic_science")
class SyntheticScience(Dataset):
    """Drawn multiple-choice questions; nothing is downloaded."""

    default_task: ClassVar[str] = "multiple_choice"

    train: int = Field(default=1200, ge=0)
    """How many questions for training."""
    dev: int = Field(default=200, ge=0)
    """How many questions for choosing checkpoints."""
    test: int = Field(default=400, ge=0)
    """How many questions for testing."""
    hard: int = Field(default=0, ge=0)
    """How many questions of the hard split: unseen styles and noisy pictures."""
    seed: int = 0
    """Another seed, other questions."""
    picture_size: int = Field(default=84, ge=56, le=1024)
    """Width and height of the pictures in pixels."""
    rationale: Literal["solution", "lecture_and_solution"] = "solution"
    """What is taught as the explanation; the lecture is kept in `meta` in either case."""

    def rows(self, store: Store) -> Iterator[Row]:
        """Train, dev, test, hard; question number n is the same however many are drawn."""
        sizes = {"train": self.train, "dev": self.dev, "test": self.test, "hard": self.hard}
        for split, size in sizes.items():
            for number in range(size):
                truth = make_question(self.seed, split, number)
                yield Row(f"{split}[{number}]", self._example(truth, split, number, store))

    def sources(self) -> tuple[Path, ...]:
        """None: questions are drawn."""
        return ()

    def identity(self) -> dict[str, Any]:
        """The options and the world's edition."""
        return {**super().identity(), "edition": EDITION}

    @classmethod
    def demo(cls, folder: Path) -> Self:
        """A few questions of every split."""
        return cls(train=8, dev=2, test=2, hard=2)

    def _example(self, truth: ScienceTruth, split: str, number: int, store: Store) -> Example:
        question, board = truth.question, truth.question.board
        solution = explain(truth, number)
        if self.rationale == "lecture_and_solution":
            solution = f"{truth.subject.lecture}\n{solution}"
        groups = {**dataclasses.asdict(truth.subject), "challenge": truth.challenge}
        return Example(
            id="",
            split=split,
            text=question.text,
            images=(store.put(png(paint_board(board, self.picture_size)), ".png"),) if board else (),
            context=question.context or None,
            choices=question.choices,
            caption=CAPTIONS[board.kind] if board else None,
            label=truth.label,
            rationale=solution,
            truth=truth.to_json(),
            meta={key: value for key, value in groups.items() if value},
        )
