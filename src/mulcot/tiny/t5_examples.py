"""What the tiny T5 learns from: drawn questions to read, boards to look at; never which choice is right.

A lesson asks for what is written or shown, about things drawn at random: it is no closer to the right choice than to
any other. What it asks for can be written in one way only; an example that may be answered in any order teaches a model
this small not to listen to what is asked. Where it asks about one thing, the last sentence says the found value again,
as a rationale ends with what it found. Facts are what words of a question should know, wherever they stand: the words
of a choice its letter, the name of a thing what the board shows of it, an animal what the hint says that it eats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from mulcot.multimodal_cot.formats import rationale_source
from mulcot.multimodal_cot.lettered_question import LetteredQuestion
from mulcot.world.boards import VALUES, Board
from mulcot.world.question_kinds import Question
from mulcot.world.science import LETTERS, make_question
from mulcot.world.science_vocabulary import BEAKERS, CELLS, DAYS, FOODS, MEANINGS, PLACES, THINGS

FACTS: dict[str, tuple[str, ...]] = {
    "letter": tuple(LETTERS),
    "shelf": tuple(str(count) for count in range(len(CELLS) + 1)),
    "chart": VALUES["chart"][0],
    "beakers": VALUES["beakers"][0],
    "map": CELLS,
    "flag": VALUES["flag"][0],
    "food": FOODS,
    "rule": MEANINGS,
}
"""Every question about words, and its choices: which letter, how many, how high, where, which colour, what an animal
eats, what a colour allows."""
POINTED = {"map": 50.0, "shelf": 4.0}
"""How many times as hard to look at the cells where a thing is as at others. Not much harder where things are counted:
attention sums to one, so it is by what is left for the others that it tells one from many."""
HINTS = {"food": r"(\w+) eat (\w+)\.", "rule": r"A (\w+) flag means that people may ([^.]+)\."}
"""What hints say: about which word, and what."""
MOST_LOOKS = 4
"""How many things of a board one lesson asks about at most."""
SOLUTIONS = ("{choice}.", "It is {choice}.", "So it is {choice}.", "The answer is {choice}.")
"""In what words a lesson names the choice whose letter it asks for."""


@dataclass(frozen=True, slots=True)
class SpanFact:
    """What the words at `begin` to `end` of a source should know."""

    begin: int
    end: int
    name: str
    value: int
    """The number of the right choice of the question `name`."""
    cells: tuple[int, ...] | None = None
    """Where the picture shows it, by number; None where that is not a matter of cells."""


@dataclass(frozen=True, slots=True)
class BoardLesson:
    """One question, what is asked about it instead, and what there is to know."""

    question: Question
    kind: str
    """What is asked for: `letter`, `option`, `repeat`, `hint`, `look`."""
    source: str
    target: str
    """What is to be written."""
    facts: tuple[SpanFact, ...] = ()


def board_lesson(seed: int, number: int, split: str = "train") -> BoardLesson:
    """The lesson of this number, about a question of the split."""
    rng = Random(f"boards {seed} {split} {number}")
    question = make_question(seed + 1, split, number).question
    kind = _kind(rng, question)
    ask, target = _asked(rng, question, kind)
    source = source_of(question, ask)
    return BoardLesson(question, kind, source, target, tuple(facts(question, source)))


def source_of(question: Question, ask: str) -> str:
    """The question as the T5 is given it, with another last line."""
    letters = tuple(LETTERS[: len(question.choices)])
    asked = LetteredQuestion(question=question.text, context=question.context, options=question.choices, labels=letters)
    return "".join(rationale_source(asked)[:-1]) + ask


def facts(question: Question, source: str) -> Iterator[SpanFact]:
    """What the words of a source should know."""
    for letter, choice in enumerate(question.choices):
        yield from _wherever(choice, source, "letter", letter)
    for name, sentence in HINTS.items():
        for word, said in re.findall(sentence, question.context):
            yield from _wherever(word, source, name, FACTS[name].index(said))
    board = question.board
    if board is not None and board.kind == "flag":
        yield SpanFact(0, len(source), "flag", FACTS["flag"].index(board.cells[0]))
    elif board is not None:
        for name, value in shown(board).items():
            cells = [number for number, cell in enumerate(board.cells) if cell == name]
            number = FACTS[board.kind].index(value)
            known = tuple(cells) if board.kind in POINTED else None
            yield from _wherever(THINGS.get(name, name), source, board.kind, number, known)


def _wherever(
    words: str, source: str, name: str, value: int, cells: tuple[int, ...] | None = None
) -> Iterator[SpanFact]:
    for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", source, re.IGNORECASE):
        yield SpanFact(*match.span(), name, value, cells)


def shown(board: Board) -> dict[str, str]:
    """What a board shows of each of its things."""
    if board.kind == "shelf":
        return {thing: str(board.count(thing)) for thing in THINGS}
    if board.kind == "map":
        return {place: CELLS[board.cells.index(place)] for place in PLACES}
    names = {"chart": DAYS, "beakers": BEAKERS, "flag": ("flag",)}[board.kind]
    return dict(zip(names, board.cells, strict=True))


def _kind(rng: Random, question: Question) -> str:
    kinds = ["letter"] * 3 + ["option", "repeat"]
    if question.board:
        kinds += ["look"] * 5
    if question.context:
        kinds += ["hint"] * 5
    return rng.choice(kinds)


def _asked(rng: Random, question: Question, kind: str) -> tuple[str, str]:
    """The last line, and what is to be written."""
    if kind == "repeat":
        return "Repeat:", question.text
    if kind == "hint":
        sentence = rng.choice(re.findall(r"[^.\s][^.]*\.", question.context))
        found = next(filter(None, (re.match(said, sentence) for said in HINTS.values())), None)
        if found is None:
            return f"Hint: {sentence.split()[0].lower()}", sentence
        return f"Hint: {found[1].lower()}", f"{sentence} So it is {found[2]}."
    if kind == "look" and question.board is not None:
        seen = shown(question.board)
        names = rng.sample(list(seen), min(len(seen), rng.randint(1, MOST_LOOKS)))
        listed = ", ".join(THINGS.get(name, name) for name in names)
        said = " ".join(_said(name, seen[name]) for name in names)
        return f"Picture: {listed}", said if len(names) > 1 else f"{said} So it is {seen[names[0]]}."
    letter, choice = rng.choice(list(zip(LETTERS, question.choices, strict=False)))
    if kind == "letter":
        return f"Solution: {rng.choice(SOLUTIONS).format(choice=choice)}\nAnswer:", f"The answer is ({letter})."
    return f"Option: ({letter})", f"Option ({letter}) {choice}."


def _said(name: str, value: str) -> str:
    if name in THINGS:
        return f"{value} {name if value == '1' else THINGS[name]}."
    return f"{name} at {value}." if name in PLACES else f"{name} {value}."
