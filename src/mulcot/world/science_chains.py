"""Rationales of science questions: right ones, and plausible wrong ones."""

from __future__ import annotations

from random import Random

from mulcot.world.question_kinds import LESSONS, Question
from mulcot.world.science import LETTERS, ScienceTruth

FIELDS = ("Question_analysis", "Image_analysis", "Reasoning", "Final_conclusion", "Prediction")
ANSWERS = ("So the answer is {answer}.", "The answer is {answer}.", "That makes {answer} the answer.")
WANTED = ("The question is about {what}.", "One has to look at {what}.")
NO_PICTURE = "There is no picture."


def explain(truth: ScienceTruth, seed: int) -> str:
    """The right rationale; the seed varies the wording."""
    return _rationale(truth.question, truth.answer, Random(f"rationale {seed}"))


def explain_wrongly(truth: ScienceTruth, label: str, seed: int) -> str:
    """A rationale that reads like a right one but arrives at another choice, since it says untrue things."""
    rng = Random(f"wrong rationale {seed}")
    return _rationale(*_misread(truth, label, rng), rng)


def write_science_chain(truth: ScienceTruth, seed: int) -> dict[str, str]:
    """The right chain, field by field."""
    return _chain(truth.question, truth.answer, truth.label, Random(f"science chain {seed}"))


def write_wrong_science_chain(truth: ScienceTruth, label: str, seed: int) -> dict[str, str]:
    """A chain to another letter, with untrue statements."""
    rng = Random(f"wrong science chain {seed}")
    return _chain(*_misread(truth, label, rng), label, rng)


def _misread(truth: ScienceTruth, label: str, rng: Random) -> tuple[Question, str]:
    question = truth.question
    letters = LETTERS[: len(question.choices)]
    if len(label) != 1 or label not in letters or label == truth.label:
        raise ValueError(f"{label!r} is not a wrong choice of a question whose answer is {truth.label} of {letters}")
    answer = question.choices[letters.index(label)]
    return LESSONS[question.lesson].mistake(rng, question, answer), answer


def _rationale(question: Question, answer: str, rng: Random) -> str:
    steps = LESSONS[question.lesson].explain(question, answer)
    return f"{'. '.join(steps)}. {rng.choice(ANSWERS).format(answer=answer)}"


def _chain(question: Question, answer: str, label: str, rng: Random) -> dict[str, str]:
    steps = LESSONS[question.lesson].explain(question, answer)
    seen, thought = (steps[:1], steps[1:]) if question.board else ([], steps)
    what = "the picture" if question.board else "the hint" if question.context else "the words"
    values = (
        rng.choice(WANTED).format(what=what),
        f"{'. '.join(seen)}." if seen else NO_PICTURE,
        f"{'. '.join(thought)}." if thought else f"So it is {answer}.",
        rng.choice(ANSWERS).format(answer=answer),
        label,
    )
    return dict(zip(FIELDS, values, strict=True))
