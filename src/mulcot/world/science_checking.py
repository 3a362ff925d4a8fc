"""Checking what a rationale says about its question's picture, hint and words; see `checking.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from mulcot.world.checking import SENTENCE, Statement
from mulcot.world.claims import ABSENT, NUMBER, NUMBERS, Claim
from mulcot.world.question_kinds import Question
from mulcot.world.science import ScienceTruth
from mulcot.world.science_vocabulary import (
    BEAKERS,
    CELLS,
    DAYS,
    DIRECTIONS,
    EATERS,
    FLAGS,
    FOODS,
    PLACES,
    RHYMES,
    THINGS,
)


def _any(words: Iterable[str]) -> str:
    return "|".join(re.escape(word.casefold()) for word in sorted(words, key=len, reverse=True))


ONE = {**{many: one for one, many in THINGS.items()}, **{one: one for one in THINGS}}
COUNT = re.compile(rf"\b({NUMBER}) ({_any(ONE)})\b")
HAS = re.compile(rf"\b({_any((*DAYS, *BEAKERS))}) has ({NUMBER})\b")
EXTREME = re.compile(rf"\b({_any(DAYS)}) has the (highest|lowest) bar\b")
SITE = re.compile(rf"\b({_any(PLACES)}) is (?:at|in) the ({_any(CELLS)})\b")
BESIDE = re.compile(rf"\b({_any(PLACES)}) is just ({_any(DIRECTIONS)}) of the ({_any(PLACES)})\b")
COLOUR = re.compile(rf"\bflag is ({_any(FLAGS)})\b")
RULE = re.compile(rf"\b({_any(FLAGS)}) flag means that people may ([a-z ]+)")
EATS = re.compile(rf"\b({_any(EATERS)}) eat ({_any(FOODS)})\b")
BEFORE = re.compile(r"'(\w+)' comes before '(\w+)'")
RHYMING = re.compile(r"'(\w+)' rhymes with '(\w+)'")
MORE = re.compile(rf"\b({NUMBER}) is (more than|as many as) ({NUMBER})\b")
MINUS = re.compile(rf"\b({NUMBER}) minus ({NUMBER}) is ({NUMBER})\b")
ANSWER = re.compile(r"\b(?:answer|so it) is ([^,]+?)\s*$|\bmakes ([^,]+?) the answer\b")
TOPIC = re.compile(r"\b(?:is about|look at) the (picture|hint|words)\b")


def check_science(text: str | Mapping[str, str], truth: ScienceTruth) -> tuple[Statement, ...]:
    """Every statement of a rationale, or of a chain field by field."""
    fields = {"": text} if isinstance(text, str) else text
    return tuple(
        statement
        for field, value in fields.items()
        for sentence in SENTENCE.findall(value.casefold())
        for statement in _statements(sentence, truth, field)
    )


def _statements(sentence: str, truth: ScienceTruth, field: str) -> Iterator[Statement]:
    if field == "Prediction":
        said = sentence.strip(" ()'\"").upper()
        yield _statement(Claim("label", said, said == truth.label), field)
        return
    question = truth.question
    claims = [*_about_board(sentence, question), *_about_words(sentence, question), *_about_answer(sentence, truth)]
    for claim in claims:
        yield _statement(claim, field)
    if not claims and re.search(r"\w", sentence):
        yield Statement(said=sentence.strip(), about="unknown", verdict="uncheckable", field=field)


def _statement(claim: Claim, field: str) -> Statement:
    return Statement(said=claim.said, about=claim.about, verdict="true" if claim.true else "false", field=field)


def _about_board(sentence: str, question: Question) -> Iterator[Claim]:
    """What the picture shows; all of it false where there is no such picture."""
    kind, cells = (question.board.kind, question.cells) if question.board else ("", ())
    if ABSENT.search(sentence):
        yield Claim("picture", "no picture", question.board is None)
    for match in COUNT.finditer(sentence):
        true = kind == "shelf" and cells.count(ONE[match[2]]) == NUMBERS[match[1]]
        yield Claim("count", match[0], true)
    named = {"chart": [day.casefold() for day in DAYS], "beakers": [name.casefold() for name in BEAKERS]}.get(kind, [])
    for match in HAS.finditer(sentence):
        true = match[1] in named and int(cells[named.index(match[1])]) == NUMBERS[match[2]]
        yield Claim("height", match[0], true)
    for match in EXTREME.finditer(sentence):
        heights = [int(cell) for cell in cells] if kind == "chart" else [0] * len(DAYS)
        best = max(heights) if match[2] == "highest" else min(heights)
        true = kind == "chart" and heights[named.index(match[1])] == best and heights.count(best) == 1
        yield Claim("extreme", match[0], true)
    for match in SITE.finditer(sentence):
        yield Claim("site", match[0], kind == "map" and cells[CELLS.index(match[2])] == match[1])
    for match in BESIDE.finditer(sentence):
        yield Claim("beside", match[0], kind == "map" and _beside(cells, match[1], match[2], match[3]))
    for match in COLOUR.finditer(sentence):
        yield Claim("colour", match[0], kind == "flag" and cells[0] == match[1])


def _beside(cells: tuple[str, ...], place: str, direction: str, other: str) -> bool:
    at, from_ = divmod(cells.index(place), 3), divmod(cells.index(other), 3)
    return (at[0] - from_[0], at[1] - from_[1]) == DIRECTIONS[direction]


def _about_words(sentence: str, question: Question) -> Iterator[Claim]:
    """What the hint says, how words are ordered and sound, and sums."""
    hint = question.context.casefold()
    for match in TOPIC.finditer(sentence):
        deciding = "picture" if question.board else "hint" if hint else "words"
        yield Claim("topic", match[0], match[1] == deciding)
    for pattern in (RULE, EATS):
        for match in pattern.finditer(sentence):
            yield Claim("hint", match[0], f"{match[0].strip()}." in hint)
    for match in BEFORE.finditer(sentence):
        yield Claim("order", match[0], match[1] < match[2])
    for match in RHYMING.finditer(sentence):
        yield Claim("rhyme", match[0], any(match[1] in family and match[2] in family for family in RHYMES))
    for match in MORE.finditer(sentence):
        first, second = NUMBERS[match[1]], NUMBERS[match[3]]
        yield Claim("sum", match[0], first > second if match[2] == "more than" else first == second)
    for match in MINUS.finditer(sentence):
        yield Claim("sum", match[0], NUMBERS[match[1]] - NUMBERS[match[2]] == NUMBERS[match[3]])


def _about_answer(sentence: str, truth: ScienceTruth) -> Iterator[Claim]:
    for match in ANSWER.finditer(sentence):
        said = (match[1] or match[2]).strip(" '\"")
        letter = re.fullmatch(r"\(?([a-e])\)?", said)
        right = letter[1].upper() == truth.label if letter else said == truth.answer.casefold()
        yield Claim("label", match[0], right)
