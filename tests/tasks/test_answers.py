from __future__ import annotations

import pytest

from mulcot.tasks.label_reading import exact_label, read_label
from mulcot.tasks.letter_reading import letter_alone, read_letter

MOODS = ("positive", "neutral", "negative")
CHOICES = ("a glass rod", "the copper wire", "-5", "5", "A dog. It barks")
ALLOWED = ("A", "B", "C", "D", "E")


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("positive", "positive"),
        ("Positive!", "positive"),
        ("_positive_", "positive"),
        ("very positive", "positive"),
        ("Sentiment: positive (high confidence)", "positive"),
        ("positive. The negative part is minor.", "positive"),
        ("neutral, not negative", "neutral"),
        ("not positive but neutral", "neutral"),
        ("more positive than negative", "positive"),
        ("neutral rather than negative", "neutral"),
        ("neither positive nor negative: neutral", "neutral"),
        ("It isn\u2019t negative; it is neutral", "neutral"),
        ("not easy to tell at first sight yet positive", "positive"),
        ("1. neutral", "neutral"),
        ("Hard to say. It is neutral.", "neutral"),
    ],
)
def test_a_label_is_read_out_of_its_surroundings(value: str, label: str) -> None:
    assert read_label(value, MOODS).label == label


@pytest.mark.parametrize(
    "value",
    [
        *(
            "unpositive",
            "non-negative",
            "non\u2011negative",
            "not negative",
            "not a very positive one",
            "positively",
            "",
        ),
        *(
            "neither positive nor negative",
            "isn't positive",
            "neutral-to-positive",
            "very_negative",
            "positives",
            "...",
        ),
    ],
)
def test_a_denied_or_hidden_label_does_not_count(value: str) -> None:
    assert read_label(value, MOODS) == (None, "outside_label_set")


@pytest.mark.parametrize(
    "value", ["positive, negative", "positive and neutral", "Positive. Neutral.", "neutral|negative"]
)
def test_two_labels_are_no_answer(value: str) -> None:
    assert read_label(value, MOODS) == (None, "several_predictions")


def test_of_labels_inside_labels_the_longest_counts() -> None:
    labels = ("hateful", "not hateful", "very_good", "good")
    assert read_label("This is not hateful.", labels).label == "not hateful"
    assert read_label("I find it not-hateful", labels).label == "not hateful"
    assert read_label("It is hateful", labels).label == "hateful"
    assert read_label("clearly very good", labels).label == "very_good"
    assert read_label("clearly good enough", ("good", "good enough")).label == "good enough"


def test_a_label_with_signs_of_regular_expressions_is_only_text() -> None:
    assert read_label("I say c++ here", ("c++", "c")).label == "c++"
    assert exact_label("c", ("c++", "c")) == "c"


@pytest.mark.parametrize("character", ["\u0130", "\u0131", "\u017f", "\u212a", "\u00df", "\u1e9e"])
def test_letters_with_unusual_cases_name_a_label_or_none(character: str) -> None:
    for labels in (("i", "k", "s"), ("ss", character)):
        answer = read_label(f"x {character} y", labels)
        assert answer.label in labels or answer == (None, "outside_label_set")


@pytest.mark.parametrize(
    ("value", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("a", "A"),
        ("(B)", "B"),
        ("**(b)**", "B"),
        ("B.", "B"),
        ("B)", "B"),
        ("B. the copper wire", "B"),
        ("(B) the copper wire", "B"),
        ("**B**: the copper wire", "B"),
        ("B - the copper wire", "B"),
        ("Option B", "B"),
        ("The answer is (B).", "B"),
        ("The answer is B.", "B"),
        ("The correct answer is **B**, since copper conducts", "B"),
        ("B because copper conducts", "B"),
        ("The Copper  Wire.", "B"),
        ('"the copper wire"', "B"),
        ("-5", "C"),
        ("5", "D"),
        ("A dog. It barks", "E"),
        ("A, because glass is clear", "A"),
    ],
)
def test_a_choice_is_read_by_letter_or_text(value: str, letter: str) -> None:
    assert read_letter(value, CHOICES, ALLOWED).label == letter


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("F", "outside_label_set"),
        ("A cat sleeps", "outside_label_set"),
        ("The answer is a cat", "outside_label_set"),
        ("I think so", "outside_label_set"),
        ("not (B)", "outside_label_set"),
        ("the copper", "outside_label_set"),
        ("", "outside_label_set"),
        ("A or B", "several_predictions"),
        ("A, B", "several_predictions"),
        ("(A) or (C)", "several_predictions"),
        ("B. a glass rod", "several_predictions"),
        ("C is wrong and D is right", "several_predictions"),
    ],
)
def test_an_unclear_choice_is_not_guessed(value: str, problem: str) -> None:
    assert read_letter(value, CHOICES, ALLOWED) == (None, problem)


def test_equal_choices_cannot_be_told_apart_by_their_text() -> None:
    assert read_letter("red", ("red", "red"), ("A", "B")) == (None, "several_predictions")
    assert read_letter("B. red", ("red", "red"), ("A", "B")).label == "B"


def test_without_the_choices_only_letters_are_read() -> None:
    assert read_letter("B. the copper wire", (), ALLOWED).label == "B"
    assert read_letter("the copper wire", (), ALLOWED).label is None


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        *[
            ("B", "B"),
            ("The answer is (B).", "B"),
            ("the copper wire", "B"),
            ("Answer: C", "C"),
            ("B it is, or C", None),
        ],
        ("Solution: Iron is a metal.\nAnswer: The answer is (B).", "B"),
        ("Wood burns. So the answer is B.", "B"),
        ("The answer is (C). BECAUSE: copper conducts.", "C"),
        ("The answer is (A). No, the answer is (B).", None),
        ("The answer is A glass of water", None),
        ("The answer is not (A).", None),
    ],
)
def test_a_reply_that_is_only_an_answer_counts_as_one(reply: str, letter: str | None) -> None:
    assert letter_alone(reply, CHOICES, ALLOWED) == letter
