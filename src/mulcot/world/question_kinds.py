"""The kinds of questions: how each asks, solves and explains. Data: `science_vocabulary.py`; pictures: `boards.py`."""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mulcot.records import Record
from mulcot.world.boards import EMPTY, Board, random_board
from mulcot.world.science_vocabulary import (
    BEAKERS,
    CELLS,
    DAYS,
    DIRECTIONS,
    EATERS,
    FLAGS,
    FOODS,
    HIGHEST,
    MEANINGS,
    PLACES,
    RHYMES,
    THINGS,
    WORDS,
)

SAME = "both have the same number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Record):
    """What is asked, and everything that decides the answer but the order of the choices."""

    lesson: str
    asked: tuple[str, ...] = ()
    """What fills the lesson's sentence."""
    context: str = ""
    choices: tuple[str, ...] = ()
    board: Board | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """What the picture's cells hold."""
        return self.board.cells if self.board else ()

    @property
    def text(self) -> str:
        """The question as it is asked."""
        return LESSONS[self.lesson].sentence.format(*self.asked)


class QuestionKind(ABC):
    """One kind of question."""

    name: ClassVar[str]
    board: ClassVar[str] = ""
    """The kind of picture; empty for questions without one."""
    sentence: ClassVar[str]

    @abstractmethod
    def ask(self, rng: Random) -> Question:
        """A question that has exactly one answer, or now and then one that `solve` refuses."""

    @abstractmethod
    def solve(self, question: Question) -> str:
        """The right choice; empty where the picture or the context does not decide."""

    @abstractmethod
    def explain(self, question: Question, answer: str) -> list[str]:
        """The steps to the answer, each a sentence without its full stop."""

    def mistake(self, rng: Random, question: Question, answer: str) -> Question:
        """The question as somebody misreads it who arrives at this other answer."""
        for _ in range(5000):
            board = random_board(rng, self.board)
            misread = dataclasses.replace(question, board=board)
            if self.solve(misread) == answer:
                return misread
        raise AssertionError(f"no picture leads {question} to {answer!r}")

    def make(self, rng: Random, asked: tuple[str, ...], choices: tuple[str, ...], context: str = "") -> Question:
        """The question with a random picture of its kind."""
        board = random_board(rng, self.board) if self.board else None
        return Question(lesson=self.name, asked=asked, context=context, choices=choices, board=board)


def numbers(rng: Random, least: int, most: int) -> tuple[str, ...]:
    """Three to five numbers in a row."""
    size = rng.randint(3, 5)
    first = rng.randint(least, most - size + 1)
    return tuple(str(number) for number in range(first, first + size))


def some(number: int, thing: str) -> str:
    """`1 apple`, `2 apples`, `0 apples`."""
    return f"{number} {thing if number == 1 else THINGS[thing]}"


def initial(name: str) -> int:
    """The place of a day among the bars."""
    return DAYS.index(name)


class _Count(QuestionKind):
    """How many of one thing."""

    name = "count"
    board = "shelf"
    sentence = "How many {0} are in the picture?"

    def ask(self, rng: Random) -> Question:
        return self.make(rng, (rng.choice(tuple(THINGS.values())),), numbers(rng, 0, 6))

    def solve(self, question: Question) -> str:
        return str(question.cells.count(_singular(question.asked[0])))

    def explain(self, question: Question, answer: str) -> list[str]:
        thing = _singular(question.asked[0])
        return [f"The picture shows {some(question.cells.count(thing), thing)}"]


class _Compare(QuestionKind):
    """More of one thing or of another."""

    name = "compare"
    board = "shelf"
    sentence = "Are there more {0} or more {1} in the picture?"

    def ask(self, rng: Random) -> Question:
        first, second = rng.sample(tuple(THINGS.values()), 2)
        return self.make(rng, (first, second), (first, second, SAME))

    def solve(self, question: Question) -> str:
        first, second = (question.cells.count(_singular(thing)) for thing in question.asked)
        return SAME if first == second else question.asked[first < second]

    def explain(self, question: Question, answer: str) -> list[str]:
        things = [_singular(thing) for thing in question.asked]
        first, second = (question.cells.count(thing) for thing in things)
        shown = f"The picture shows {some(first, things[0])} and {some(second, things[1])}"
        return [shown, _comparison(first, second)]


class _Extreme(QuestionKind):
    """The highest or lowest bar."""

    name = "extreme"
    board = "chart"
    sentence = "On which day was there the {0} rain?"

    def ask(self, rng: Random) -> Question:
        return self.make(rng, (rng.choice(("most", "least")),), DAYS)

    def solve(self, question: Question) -> str:
        heights = [int(cell) for cell in question.cells]
        best = max(heights) if question.asked[0] == "most" else min(heights)
        return DAYS[heights.index(best)] if heights.count(best) == 1 else ""

    def explain(self, question: Question, answer: str) -> list[str]:
        shown = [f"{day} has {height}" for day, height in zip(DAYS, question.cells, strict=True)]
        word = "highest" if question.asked[0] == "most" else "lowest"
        return [", ".join(shown), f"{answer} has the {word} bar"]


class _Bar(QuestionKind):
    """The height of one bar."""

    name = "bar"
    board = "chart"
    sentence = "How many millimetres of rain fell on {0}?"

    def ask(self, rng: Random) -> Question:
        return self.make(rng, (rng.choice(DAYS),), numbers(rng, 1, HIGHEST))

    def solve(self, question: Question) -> str:
        return question.cells[initial(question.asked[0])]

    def explain(self, question: Question, answer: str) -> list[str]:
        return [f"{question.asked[0]} has {self.solve(question)}"]


class _Difference(QuestionKind):
    """How much higher one bar is than another."""

    name = "difference"
    board = "chart"
    sentence = "How many millimetres more rain fell on {0} than on {1}?"

    def ask(self, rng: Random) -> Question:
        first, second = rng.sample(DAYS, 2)
        return self.make(rng, (first, second), numbers(rng, 1, HIGHEST - 1))

    def solve(self, question: Question) -> str:
        first, second = (int(question.cells[initial(day)]) for day in question.asked)
        return str(first - second) if first > second else ""

    def explain(self, question: Question, answer: str) -> list[str]:
        first, second = (int(question.cells[initial(day)]) for day in question.asked)
        return [
            f"{question.asked[0]} has {first} and {question.asked[1]} has {second}",
            f"{first} minus {second} is {first - second}",
        ]


class _Beakers(QuestionKind):
    """Which of two solutions is more concentrated."""

    name = "beakers"
    board = "beakers"
    sentence = "Which solution has the higher concentration of green particles?"

    def ask(self, rng: Random) -> Question:
        context = "Both beakers hold the same amount of water."
        return self.make(rng, (), (*BEAKERS, SAME), context)

    def solve(self, question: Question) -> str:
        first, second = (int(cell) for cell in question.cells)
        return SAME if first == second else BEAKERS[first < second]

    def explain(self, question: Question, answer: str) -> list[str]:
        first, second = (int(cell) for cell in question.cells)
        return [f"Solution A has {first} and solution B has {second}", _comparison(first, second)]


class _Map(QuestionKind):
    """Which place lies next to another."""

    name = "map"
    board = "map"
    sentence = "Which place is just {0} of the {1}?"

    def ask(self, rng: Random) -> Question:
        place = rng.choice(PLACES)
        others = [other for other in PLACES if other != place]
        return self.make(rng, (rng.choice(tuple(DIRECTIONS)), place), tuple(sorted(others)))

    def solve(self, question: Question) -> str:
        direction, place = question.asked
        down, right = DIRECTIONS[direction]
        row, column = divmod(question.cells.index(place), 3)
        row, column = row + down, column + right
        inside = 0 <= row < 3 and 0 <= column < 3
        found = question.cells[3 * row + column] if inside else EMPTY
        return "" if found == EMPTY else found

    def explain(self, question: Question, answer: str) -> list[str]:
        direction, place = question.asked
        at, there = (CELLS[question.cells.index(name)] for name in (place, answer))
        return [
            f"The {place} is at the {at} and the {answer} is at the {there}",
            f"So the {answer} is just {direction} of the {place}",
        ]


class _Flag(QuestionKind):
    """What a rule of the hint says about what is seen."""

    name = "flag"
    board = "flag"
    sentence = "The picture shows the beach today. What may people do there?"

    def ask(self, rng: Random) -> Question:
        meanings = rng.sample(MEANINGS, len(FLAGS))
        rules = [f"A {colour} flag means that people may {may}." for colour, may in zip(FLAGS, meanings, strict=True)]
        rng.shuffle(rules)
        return self.make(rng, (), tuple(sorted(meanings)), " ".join(rules))

    def solve(self, question: Question) -> str:
        found = re.search(rf"A {question.cells[0]} flag means that people may ([\w ]+)\.", question.context)
        return found[1] if found else ""

    def explain(self, question: Question, answer: str) -> list[str]:
        colour = question.cells[0]
        return [f"The flag is {colour}", f"A {colour} flag means that people may {answer}"]


class _Food(QuestionKind):
    """A fact from the hint; no picture."""

    name = "food"
    sentence = "What do {0} eat?"

    def ask(self, rng: Random) -> Question:
        eaters, foods = rng.sample(EATERS, 4), rng.sample(FOODS, 4)
        facts = [f"{eater.capitalize()} eat {food}." for eater, food in zip(eaters, foods, strict=True)]
        return self.make(rng, (rng.choice(eaters),), tuple(sorted(foods)), " ".join(facts))

    def solve(self, question: Question) -> str:
        found = re.search(rf"{question.asked[0].capitalize()} eat (\w+)\.", question.context)
        return found[1] if found else ""

    def explain(self, question: Question, answer: str) -> list[str]:
        return [f"The hint says that {question.asked[0]} eat {answer}"]

    def mistake(self, rng: Random, question: Question, answer: str) -> Question:
        return question


class _Alphabet(QuestionKind):
    """Which word stands first in a dictionary; no picture."""

    name = "alphabet"
    sentence = "Which word comes first in the dictionary?"

    def ask(self, rng: Random) -> Question:
        return self.make(rng, (), tuple(rng.sample(WORDS, rng.randint(2, 5))))

    def solve(self, question: Question) -> str:
        return min(question.choices)

    def explain(self, question: Question, answer: str) -> list[str]:
        return [f"'{answer}' comes before '{other}'" for other in question.choices if other != answer][:2]

    def mistake(self, rng: Random, question: Question, answer: str) -> Question:
        right = min(question.choices)
        choices = (right, *(choice for choice in question.choices if choice != right))
        return dataclasses.replace(question, choices=choices)


class _Rhyme(QuestionKind):
    """Which word rhymes; no picture."""

    name = "rhyme"
    sentence = "Which word rhymes with '{0}'?"

    def ask(self, rng: Random) -> Question:
        family, *others = rng.sample(RHYMES, rng.randint(3, 5))
        word, rhyming = rng.sample(family, 2)
        choices = [rhyming, *(rng.choice(other) for other in others)]
        rng.shuffle(choices)
        return self.make(rng, (word,), tuple(choices))

    def solve(self, question: Question) -> str:
        family = next(family for family in RHYMES if question.asked[0] in family)
        found = [choice for choice in question.choices if choice in family]
        return found[0] if len(found) == 1 else ""

    def explain(self, question: Question, answer: str) -> list[str]:
        return [f"'{answer}' rhymes with '{question.asked[0]}'"]

    def mistake(self, rng: Random, question: Question, answer: str) -> Question:
        return question


def _singular(things: str) -> str:
    return next(one for one, many in THINGS.items() if many == things)


def _comparison(first: int, second: int) -> str:
    if first == second:
        return f"{first} is as many as {second}"
    return f"{max(first, second)} is more than {min(first, second)}"


_ALL: tuple[QuestionKind, ...] = (
    *(_Count(), _Compare(), _Extreme(), _Bar(), _Difference(), _Beakers(), _Map(), _Flag()),
    *(_Food(), _Alphabet(), _Rhyme()),
)
LESSONS: dict[str, QuestionKind] = {lesson.name: lesson for lesson in _ALL}
