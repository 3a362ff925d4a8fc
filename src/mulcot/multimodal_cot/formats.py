"""The formats: what a model is given and what it writes. The letters are the paper's.

Q question, C context, M multiple choices, G generated rationale  ->  E explanation, L lecture, R rationale, A answer

QCM-E    Question: Which flag is blue?                QCMG-A    Question: Which flag is blue?
         Context: N/A                                           Context: N/A
         Options: (A) left (B) right                            Options: (A) left (B) right
         Solution:                                              Solution: The right flag is blue.
                                                                Answer:
         -> Solution: The right flag is blue.                   -> The answer is (B).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mulcot.multimodal_cot.lettered_question import LetteredQuestion, clean
from mulcot.multimodal_cot.questions import Shortenable
from mulcot.records import Example, Rationale
from mulcot.tasks.base import Reading
from mulcot.tasks.chain_task import PREDICTION

RationaleFormat = Literal["QCM-E", "QCM-LE"]
AnswerFormat = Literal["QCMG-A", "QCM-A", "QCM-RA", "QCM-AR"]
Parts = tuple[str, ...]
"""A source in parts. Those that are `Shortenable` give way where it is too long, the last first; question and options
never do."""
EMPTY = "N/A"
RATIONALE = "Rationale"
"""The one field of the chains of these models."""
SOLUTION, ANSWER, BECAUSE = "Solution:", "Answer:", "Because:"


@dataclass(frozen=True, slots=True)
class SourcedRationale:
    """The rationale of one example, and where it comes from."""

    text: str
    source: str
    """Who wrote it: `human`, `teacher`, `imported`, the rationale `model`, or one that was `cross_fitted`."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """A reply in its parts."""

    rationale: str | None
    """None where the format has none."""
    answer: str
    """The part that names the answer; empty where there is none."""


def human_rationale(example: Example, *, lecture: bool) -> SourcedRationale | None:
    """The explanation a person wrote, with the lecture before it where that is wanted and not yet there."""
    parts = [clean(example.rationale or "")]
    spoken = clean(str(example.meta.get("lecture") or ""))
    if lecture and not parts[0].startswith(spoken):
        parts.insert(0, spoken)
    text = " ".join(part for part in parts if part)
    return SourcedRationale(text, "human") if text else None


def teacher_rationale(rationale: Rationale) -> SourcedRationale:
    """A teacher's chain as one rationale, without its prediction."""
    text = " ".join(clean(value) for name, value in rationale.fields.items() if name != PREDICTION and value)
    return SourcedRationale(text, rationale.source)


def rationale_source(asked: LetteredQuestion) -> Parts:
    """What the rationale model is given."""
    return (*_asked(asked), SOLUTION)


def rationale_target(rationale: str) -> str:
    """What the rationale model is to write."""
    return f"{SOLUTION} {rationale}"


def read_rationale(reply: str) -> str:
    """The rationale in a reply, without its heading."""
    return one(reply).removeprefix(SOLUTION).strip()


def rationale_reading(asked: LetteredQuestion, rationale: str) -> Reading:
    """What a rationale says: all of it is the one field of the chain, and its last sentence may name a label."""
    named = asked.concluded(rationale)
    problem = "" if named is not None else "no_prediction" if rationale else "empty"
    return Reading(fields={RATIONALE: rationale} if rationale else {}, prediction=named, problem=problem)


def answer_reading(asked: LetteredQuestion, answer: str) -> Reading:
    """What the part of a reply that names the answer says."""
    named = asked.read(answer)
    return Reading(prediction=named, problem="" if named is not None else "no_prediction" if answer else "empty")


def answer_source(asked: LetteredQuestion, form: AnswerFormat, rationale: str = "") -> Parts:
    """What the answer model is given; `rationale` is for QCMG-A alone."""
    if form == "QCMG-A":
        return (*_asked(asked), f"{SOLUTION} ", Shortenable(clean(rationale)), f"\n{ANSWER}")
    return (*_asked(asked), SOLUTION if form == "QCM-RA" else ANSWER)


def answer_target(asked: LetteredQuestion, form: AnswerFormat, label: str, rationale: str = "") -> str:
    """What the answer model is to write; `rationale` is for the formats with R."""
    answer = f"The answer is ({asked.letter(label)})."
    if form == "QCM-RA":
        return f"{SOLUTION} {rationale} {ANSWER} {answer}"
    return f"{answer} {BECAUSE} {rationale}" if form == "QCM-AR" else answer


def answer_choices(asked: LetteredQuestion) -> tuple[str, ...]:
    """Every answer in full, to be scored."""
    return tuple(f"The answer is ({letter})." for letter in asked.letters)


def read_reply(reply: str, form: AnswerFormat) -> ParsedReply:
    """A reply in the parts of its format; never raises."""
    text = one(reply)
    if form == "QCM-RA":
        before, mark, after = text.rpartition(ANSWER)
        return ParsedReply(read_rationale(before if mark else text), after.strip() if mark else _last_sentence(text))
    if form == "QCM-AR":
        before, _, after = text.partition(BECAUSE)
        return ParsedReply(after.strip(), before.strip())
    return ParsedReply(None, text)


def one(text: str) -> str:
    """A reply on one line."""
    return " ".join(text.split())


def _last_sentence(text: str) -> str:
    found = re.search(r"The answer is \([A-Z]\)\.?\s*\Z", text)
    return found[0] if found else ""


def _asked(asked: LetteredQuestion) -> Parts:
    options = (f"({letter}) {option}".rstrip() for letter, option in zip(asked.letters, asked.options, strict=True))
    context = Shortenable(asked.context or EMPTY)
    return f"Question: {asked.question}\nContext: ", context, f"\nOptions: {' '.join(options)}\n"
