from __future__ import annotations

import pytest

from mulcot.evaluation.published_numbers import COLUMNS, published_rows
from mulcot.evaluation.question_scoring import groups_of, score_questions, with_repaired
from mulcot.records import Example, ImageRef, Json, Prediction, Rejected
from mulcot.world.science import make_question
from mulcot.world.science_chains import explain, explain_wrongly


def question(id: str, label: str = "A", **fields: object) -> Example:  # noqa: A002
    return Example(id=id, split="test", text="Which?", choices=("one", "two"), label=label, **fields)  # type: ignore[arg-type]


def said(id: str, label: str | None, **fields: object) -> Prediction:  # noqa: A002
    return Prediction(id=id, label=label, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("meta", "context", "pictured", "groups"),
    [
        ({"subject": "natural science", "grade": "grade6"}, None, True, ("NAT", "IMG", "G1-6", "AVG")),
        ({"subject": "social science", "grade": "grade7"}, "hint", True, ("SOC", "TXT", "IMG", "G7-12", "AVG")),
        ({"subject": "language science", "grade": "grade12"}, None, False, ("LAN", "NO", "G7-12", "AVG")),
        ({}, "", False, ("NO", "AVG")),
        ({"subject": "poetry", "grade": "kindergarten"}, "hint", False, ("TXT", "AVG")),
    ],
)
def test_groups_are_the_papers(meta: Json, context: str | None, pictured: bool, groups: tuple[str, ...]) -> None:
    images = (ImageRef(path="p.png"),) if pictured else (ImageRef(path="c.png", of="A"),)
    assert groups_of(question("1", meta=meta, context=context, images=images)) == groups


def test_any_subset_of_questions_has_groups_with_intervals() -> None:
    examples = [question("1", meta={"subject": "natural science"}), question("2", "B", context="hint")]
    found = score_questions(examples, [said("1", "A"), Rejected(source="2", reason="x", detail="")]).groups
    assert set(found) == {"NAT", "TXT", "NO", "AVG"}
    assert (found["NAT"].accuracy, found["TXT"].accuracy, found["AVG"].accuracy) == (1.0, 0.0, 0.5)
    assert found["AVG"].interval == (0.0, 1.0)


def test_accuracies_by_group_are_those_counted_by_hand() -> None:
    picture = (ImageRef(path="p.png"),)
    rows = [  # subject, grade, hint, picture, right
        ("natural science", "grade1", "hint", picture, True),
        ("natural science", "grade8", "hint", (), False),
        ("natural science", "grade2", None, picture, True),
        ("social science", "grade7", None, picture, False),
        ("language science", "grade6", None, (), True),
        ("language science", "grade12", None, (), False),
        ("language science", "grade3", None, (), False),
    ]
    examples = [
        question(str(n), meta={"subject": subject, "grade": grade}, context=hint, images=images)
        for n, (subject, grade, hint, images, _) in enumerate(rows)
    ]
    answers = [said(str(n), "A" if row[-1] else "B") for n, row in enumerate(rows)]
    found = score_questions(examples, answers).groups
    assert {name: (round(group.accuracy * group.examples), group.examples) for name, group in found.items()} == {
        "NAT": (2, 3), "SOC": (0, 1), "LAN": (1, 3), "TXT": (1, 2), "IMG": (2, 3), "NO": (1, 3),
        "G1-6": (3, 4), "G7-12": (0, 3), "AVG": (3, 7),
    }  # fmt: skip


def test_written_answers_are_counted_by_three_rules() -> None:
    examples = [question(str(n)) for n in range(4)]
    answers = [
        said("0", "A", reply="The answer is (A).", published_label="A"),
        said("1", "A", reply="A"),  # only our rule reads it
        said("2", None, reply="who knows"),
        said("3", "B", reply="The answer is (B).", published_label="B"),
    ]
    written = score_questions(examples, answers).written
    assert written is not None
    assert (written.accuracy, written.unparsed) == (0.5, 1)
    assert (written.published_rule, written.published_unparsed) == (0.25, 2)
    assert written.published_random_choice == pytest.approx((1 + 2 / 5) / 4)


def test_a_draw_among_five_letters_may_hit_a_mood_as_well() -> None:
    moods = [question("0", "positive"), question("1", "F")]
    written = score_questions(moods, [said(str(n), None, reply="who knows") for n in range(2)]).written
    assert written is not None
    assert written.published_random_choice == pytest.approx((1 / 5 + 0) / 2)


def test_errors_are_told_by_what_the_rationale_ends_in() -> None:
    examples = [question(str(n)) for n in range(6)]
    answers = [
        said("0", "B", chain="So two.", chain_label="B"),
        said("1", "B", chain="So one.", chain_label="A"),
        said("2", "B", chain="Hm.", chain_problem="no_prediction"),
        said("3", None, chain="So one.", chain_label="A"),
        said("4", "B", chain=""),
        said("5", "A", chain="So two.", chain_label="B"),  # right, so no error
    ]
    errors = score_questions(examples, answers).errors
    assert errors is not None
    assert errors.model_dump() == {
        "followed": 1, "ignored": 1, "other": 0, "undecided": 1, "without_rationale": 1, "unparsed": 1
    }  # fmt: skip


def drawn(number: int) -> Example:
    truth = make_question(0, "test", number)
    return Example(id=str(number), split="test", text=truth.question.text, choices=truth.question.choices,
                   label=truth.label, truth=truth.to_json())  # fmt: skip


def test_untrue_rationales_are_counted_with_the_answers_they_go_with() -> None:
    examples = [drawn(number) for number in range(20)]
    answers = []
    for number, example in enumerate(examples):
        truth = make_question(0, "test", number)
        wrong = next(label for label in "ABCDE"[: len(example.choices)] if label != example.label)
        if number % 2:
            answers.append(said(example.id, example.label, chain=explain(truth, number)))
        else:
            answers.append(said(example.id, wrong, chain=explain_wrongly(truth, wrong, number)))
    scores = score_questions(examples, answers)
    found = scores.hallucination
    assert found is not None
    assert found.right_untrue == 0
    assert found.wrong == 10
    assert found.wrong_untrue >= 8
    assert found.wrong_untrue_share == found.wrong_untrue / found.wrong
    assert sum(found.about.values()) >= found.untrue
    assert "label" not in found.about
    right = [
        said(example.id, example.label, chain=answer.chain) for example, answer in zip(examples, answers, strict=True)
    ]
    repaired = with_repaired(score_questions(examples, right), examples, right, answers).hallucination
    assert repaired is not None
    assert repaired.text_only_wrong_untrue == repaired.repaired == found.wrong_untrue


def test_the_papers_tables_are_whole_and_leave_out_the_leaked_row() -> None:
    rows = {row.model: row.values for row in published_rows("scienceqa")}
    assert rows["Multimodal-CoT base"]["AVG"] == 85.31
    assert rows["Multimodal-CoT large"]["AVG"] == 90.45
    assert len([values for values in rows.values() if tuple(values) == COLUMNS]) == 19
    assert 91.68 not in {values.get("AVG") for values in rows.values()}
    assert published_rows("aokvqa")[-1].values == {"AVG": 50.57}
    assert published_rows("twitter") == []
