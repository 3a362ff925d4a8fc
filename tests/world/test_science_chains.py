import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.world.boards import Board
from mulcot.world.question_kinds import Question
from mulcot.world.science import LETTERS, ScienceTruth, make_question
from mulcot.world.science_chains import (
    FIELDS,
    explain,
    explain_wrongly,
    write_science_chain,
    write_wrong_science_chain,
)
from mulcot.world.science_checking import check_science

TRUTHS = st.builds(
    make_question, seed=st.integers(0, 3), split=st.sampled_from(["train", "hard"]), number=st.integers(0, 10**6)
)
SEEDS = st.integers(0, 10**6)


@given(truth=TRUTHS, seed=SEEDS)
@settings(max_examples=200, deadline=None)
def test_every_statement_of_a_right_rationale_and_chain_is_true(truth: ScienceTruth, seed: int) -> None:
    chain = write_science_chain(truth, seed)
    assert tuple(chain) == FIELDS
    assert chain["Prediction"] == truth.label
    for text in (explain(truth, seed), chain):
        statements = check_science(text, truth)
        assert all(statement.verdict == "true" for statement in statements), statements
        assert len({statement.about for statement in statements}) >= 2


@given(truth=TRUTHS, seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_a_wrong_rationale_arrives_at_the_given_choice_by_saying_false_things(truth: ScienceTruth, seed: int) -> None:
    choices = truth.question.choices
    for label in LETTERS[: len(choices)]:
        if label == truth.label:
            continue
        chain = write_wrong_science_chain(truth, label, seed)
        assert chain["Prediction"] == label
        assert choices[LETTERS.index(label)] in explain_wrongly(truth, label, seed)
        for text in (explain_wrongly(truth, label, seed), chain):
            false = {s.about for s in check_science(text, truth) if s.verdict == "false"}
            assert "label" in false and len(false) >= 2


@pytest.mark.parametrize("label", ["", "Z", "AB"])
def test_a_wrong_rationale_needs_a_wrong_choice(label: str) -> None:
    truth = make_question(0, "train", 0)
    for wanted in (label, truth.label):
        with pytest.raises(ValueError, match="is not a wrong choice"):
            explain_wrongly(truth, wanted, 0)


CHART = ScienceTruth(
    question=Question(
        lesson="bar",
        asked=("Monday",),
        choices=("1", "2", "3"),
        board=Board(kind="chart", cells=("2", "5", "1", "4")),
    ),
    answer="2",
    label="B",
)


@pytest.mark.parametrize(
    ("said", "about", "verdict"),
    [
        ("Monday has 2", "height", "true"),
        ("monday HAS two", "height", "true"),
        ("Tuesday has 4", "height", "false"),
        ("Tuesday has the highest bar", "extreme", "true"),
        ("Friday has the lowest bar", "extreme", "false"),
        ("5 minus 2 is 3", "sum", "true"),
        ("5 minus 2 is 2", "sum", "false"),
        ("There are 3 apples", "count", "false"),
        ("The house is at the top left", "site", "false"),
        ("The flag is red", "colour", "false"),
        ("Cows eat grass", "hint", "false"),
        ("There is no picture", "picture", "false"),
        ("The answer is (B).", "label", "true"),
        ("The answer is 3", "label", "false"),
        ("What a chart", "unknown", "uncheckable"),
    ],
)
def test_statements_are_found_and_judged(said: str, about: str, verdict: str) -> None:
    assert [(s.about, s.verdict) for s in check_science(said, CHART)] == [(about, verdict)]


@given(truth=TRUTHS, text=st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_checked(truth: ScienceTruth, text: str) -> None:
    for statement in check_science({"Image_analysis": text, "Prediction": text}, truth):
        assert statement.verdict in ("true", "false", "uncheckable")


@given(truth=TRUTHS, other=TRUTHS, seed=SEEDS)
@settings(max_examples=150, deadline=None)
def test_a_rationale_of_another_question_is_checked_without_trouble(
    truth: ScienceTruth, other: ScienceTruth, seed: int
) -> None:
    assert check_science(explain(other, seed), truth)
