"""Scores of answers to questions beyond accuracy: by groups, by what their rationales say, by how they fail."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from mulcot.evaluation.question_scores import Errors, GroupScore, Hallucination, QuestionScores, WrittenAnswers
from mulcot.metrics.bootstrap import mean_intervals
from mulcot.records import Example, Prediction, Rejected
from mulcot.tasks.letter_reading import LETTERS
from mulcot.world.checking import Statement, check_chain
from mulcot.world.science import ScienceTruth
from mulcot.world.science_checking import check_science
from mulcot.world.truth import Truth

Answers = Sequence[Prediction | Rejected]
SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
AVERAGE = "AVG"
GUESSES = 5
"""Letters among which the published code draws."""


def score_questions(
    examples: Sequence[Example], answers: Answers, whole: tuple[float, float] | None = None
) -> QuestionScores:
    """Everything that one model's answers allow; `whole` is the interval of its accuracy, where that is known."""
    replies = [answer for answer in answers if isinstance(answer, Prediction) and answer.reply is not None]
    explained = any(isinstance(answer, Prediction) and answer.chain is not None for answer in answers)
    return QuestionScores(
        groups=_groups(examples, answers, whole),
        shortened=sum(isinstance(answer, Prediction) and answer.shortened for answer in answers),
        written=_written(examples, answers) if replies else None,
        hallucination=_hallucination(examples, answers),
        errors=_errors(examples, answers) if explained else None,
    )


def with_repaired(
    scores: QuestionScores, examples: Sequence[Example], answers: Answers, text_only: Answers
) -> QuestionScores:
    """The scores with what pictures repair of what goes wrong without them."""
    if scores.hallucination is None:
        return scores
    astray = [
        place
        for place, (example, answer) in enumerate(zip(examples, text_only, strict=True))
        if not _right(example, answer) and any(s.verdict == "false" for s in _statements(example, answer))
    ]
    repaired = sum(_right(examples[place], answers[place]) for place in astray)
    found = scores.hallucination.model_copy(update={"text_only_wrong_untrue": len(astray), "repaired": repaired})
    return scores.model_copy(update={"hallucination": found})


def groups_of(example: Example) -> tuple[str, ...]:
    """The published groups that a question belongs to."""
    found = [SUBJECTS[subject]] if (subject := example.meta.get("subject")) in SUBJECTS else []
    pictured, hinted = example.picture is not None, bool(example.context)
    found += [
        name for name, there in (("TXT", hinted), ("IMG", pictured), ("NO", not pictured and not hinted)) if there
    ]
    grade = re.fullmatch(r"grade(\d{1,2})", str(example.meta.get("grade", "")))
    if grade is not None:
        found.append("G1-6" if int(grade[1]) <= 6 else "G7-12")
    return (*found, AVERAGE)


def _groups(examples: Sequence[Example], answers: Answers, whole: tuple[float, float] | None) -> dict[str, GroupScore]:
    columns: dict[str, list[float]] = {}
    for example, answer in zip(examples, answers, strict=True):
        for name in groups_of(example):
            columns.setdefault(name, []).append(float(_right(example, answer)))
    order = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", AVERAGE)
    found = {name: _group(columns[name]) for name in order if name in columns}
    if whole is not None:
        found[AVERAGE] = found[AVERAGE].model_copy(update={"interval": whole})
    return found


def _group(column: Sequence[float]) -> GroupScore:
    ends = mean_intervals({"accuracy": column})["accuracy"]
    return GroupScore(examples=len(column), accuracy=sum(column) / len(column), interval=(ends.low, ends.high))


def _written(examples: Sequence[Example], answers: Answers) -> WrittenAnswers:
    said = [answer.published_label if isinstance(answer, Prediction) else None for answer in answers]
    unparsed = [isinstance(answer, Rejected) or answer.label is None for answer in answers]
    right = sum(label == example.label for label, example in zip(said, examples, strict=True))
    # A draw among A to E can only be right where the right answer is one of them, which it is for a few labels.
    lucky = sum(
        label is None and (len(example.label or "") > 1 or (example.label or "") in LETTERS[:GUESSES])
        for label, example in zip(said, examples, strict=True)
    )
    total = len(examples)
    return WrittenAnswers(
        accuracy=sum(_right(example, answer) for example, answer in zip(examples, answers, strict=True)) / total,
        unparsed=sum(unparsed),
        published_rule=right / total,
        published_unparsed=said.count(None),
        published_random_choice=(right + lucky / GUESSES) / total,
    )


def _hallucination(examples: Sequence[Example], answers: Answers) -> Hallucination | None:
    checked, about = [], Counter[str]()
    for example, answer in zip(examples, answers, strict=True):
        statements = _statements(example, answer)
        if statements:
            untrue = [statement.about for statement in statements if statement.verdict == "false"]
            about.update(untrue)
            checked.append((_right(example, answer), bool(untrue)))
    if not checked:
        return None
    wrong = [untrue for right, untrue in checked if not right]
    return Hallucination(
        checked=len(checked),
        untrue=sum(untrue for _, untrue in checked),
        wrong=len(wrong),
        wrong_untrue=sum(wrong),
        wrong_untrue_share=sum(wrong) / len(wrong) if wrong else None,
        right_untrue=sum(untrue for right, untrue in checked if right),
        about=dict(about.most_common()),
    )


def _statements(example: Example, answer: Prediction | Rejected) -> list[Statement]:
    """The statements of fact that can be checked; what a rationale concludes is no such statement."""
    if not example.truth or isinstance(answer, Rejected) or not answer.chain:
        return []
    if "question" in example.truth:
        found = check_science(answer.chain, ScienceTruth.from_json(example.truth))
    else:
        found = check_chain({"Rationale": answer.chain}, Truth.from_json(example.truth))
    return [statement for statement in found if statement.verdict != "uncheckable" and statement.about != "label"]


def _errors(examples: Sequence[Example], answers: Answers) -> Errors:
    kinds = Counter(
        _kind(example, answer) for example, answer in zip(examples, answers, strict=True) if not _right(example, answer)
    )
    return Errors(**{name: kinds[name] for name in Errors.model_fields})


def _kind(example: Example, answer: Prediction | Rejected) -> str:
    if isinstance(answer, Rejected) or answer.label is None:
        return "unparsed"
    if not answer.chain:
        return "without_rationale"
    if answer.chain_label is None:
        return "undecided"
    if answer.chain_label == example.label:
        return "ignored"
    return "followed" if answer.chain_label == answer.label else "other"


def _right(example: Example, answer: Prediction | Rejected) -> bool:
    return isinstance(answer, Prediction) and answer.label is not None and answer.label == example.label
