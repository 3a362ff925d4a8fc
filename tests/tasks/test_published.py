from __future__ import annotations

import pytest

from mulcot.tasks.published_reading import published_label, published_letter

MOODS = ("positive", "neutral", "negative")


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ('"Prediction": "neutral"', "neutral"),
        ('"Prediction": neutral', "neutral"),
        ("Prediction:\nNegative.", "negative"),
        ("### Prediction\npositive", "positive"),
        ("a positive start. Prediction: hm, negative not positive", "negative"),
        ("positive at first, negative in the end", "negative"),
        ("prediction: positive, then neutral", "neutral"),
        ("Prediction: **neutral**", None),
        ("Prediction: {neutral}", None),
        ("positive. Prediction: unclear", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_the_first_label_word_after_prediction_or_else_the_last_of_all(reply: str, label: str | None) -> None:
    assert published_label(reply, MOODS) == label


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The answer is (B).", "B"),
        ("Because of copper. The answer is (A)", "A"),
        ("The answer is (A). The answer is (A).", None),
        ("The answer is B.", None),
        ("the answer is (B)", None),
        ("The answer is (b)", None),
        ("", None),
    ],
)
def test_the_letter_counts_where_the_sentence_stands_exactly_once(reply: str, letter: str | None) -> None:
    assert published_letter(reply) == letter
