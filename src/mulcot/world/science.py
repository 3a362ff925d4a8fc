"""Drawing science questions, and finding the truth about one from what is sent: question n of a split, its answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from PIL import Image

from mulcot.records import Record
from mulcot.world.boards import Board, board_look, read_board
from mulcot.world.posts import SHARES, part_of
from mulcot.world.question_kinds import LESSONS, Question
from mulcot.world.science_vocabulary import SUBJECTS, Subject
from mulcot.world.vocabulary import HARD_STYLES

LETTERS = "ABCDE"
LOOKS = 20
"""How many looks of a picture are tried before another question is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScienceTruth(Record):
    """Everything there is to know about one question."""

    question: Question
    answer: str
    """The right choice."""
    label: str
    """Its letter."""
    challenge: str = ""
    """Why a question of the hard split is hard."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScienceTruth:
        """The truth that wrote `data`."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        question = Question.from_json(data["question"])
        if "board" in data["question"]:
            question = dataclasses.replace(question, board=Board.from_json(data["question"]["board"]))
        return cls(**{**known, "question": question})

    @property
    def subject(self) -> Subject:
        """Where the question belongs at school."""
        return SUBJECTS[self.question.lesson]


def make_question(seed: int, split: str, number: int) -> ScienceTruth:
    """The question of this number; other questions play no part in it."""
    rng = Random(f"science {seed} {split} {number}")
    lesson = LESSONS[rng.choice(tuple(LESSONS))]
    while True:
        question = lesson.ask(rng)
        answer = lesson.solve(question)
        if answer not in question.choices:
            continue
        challenge = rng.choice(("style", "noise")) if split == "hard" and question.board else ""
        for _ in range(LOOKS if question.board else 1):
            if question.board is not None:
                question = dataclasses.replace(question, board=_dressed(rng, question.board, challenge))
            if _part(question) in SHARES[split]:
                label = LETTERS[question.choices.index(answer)]
                return ScienceTruth(question=question, answer=answer, label=label, challenge=challenge)


def science_truth_of(
    text: str, context: str | None, choices: Sequence[str], image: Image.Image | None
) -> ScienceTruth | None:
    """The truth of a question as it was sent, or None where it is none of ours or its picture does not answer it."""
    board = None if image is None else read_board(image)
    return science_truth_with(text, context, choices, board)


def science_truth_with(
    text: str, context: str | None, choices: Sequence[str], board: Board | None
) -> ScienceTruth | None:
    """The same for a board that has been seen already, so that a picture need be looked at only once."""
    text = " ".join(text.split())
    for name, pattern in _patterns().items():
        match = pattern.fullmatch(text)
        lesson = LESSONS[name]
        if match is None or (board.kind if board else "") != lesson.board:
            continue
        question = Question(
            lesson=name, asked=match.groups(), context=context or "", choices=tuple(choices), board=board
        )
        try:
            answer = lesson.solve(question)
        except (ValueError, StopIteration):
            return None
        if answer in question.choices:
            return ScienceTruth(question=question, answer=answer, label=LETTERS[question.choices.index(answer)])
    return None


def _dressed(rng: Random, board: Board, challenge: str) -> Board:
    look = board_look(rng)
    if challenge == "style":
        look = dataclasses.replace(look, style=rng.choice(HARD_STYLES).name)
    elif challenge == "noise":
        look = dataclasses.replace(look, grain=rng.randrange(1, 2**31))
    return dataclasses.replace(board, look=look)


def _part(question: Question) -> int:
    """Questions with a picture are divided by their pictures, the others by their words."""
    if question.board is not None:
        return part_of(repr(question.board))
    return part_of(question.text, question.context, *sorted(question.choices))


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    return {
        name: re.compile(
            "".join("(.+)" if n % 2 else re.escape(part) for n, part in enumerate(_parts(lesson.sentence)))
        )
        for name, lesson in LESSONS.items()
    }


def _parts(sentence: str) -> list[str]:
    return re.split(r"(\{\d\})", sentence)
