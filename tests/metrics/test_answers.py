from __future__ import annotations

import pytest

from mulcot.errors import DataError
from mulcot.metrics.reply_reading import AnswerReader

LABELS = ("positive", "neutral", "negative")


@pytest.mark.parametrize(
    ("reply", "paper", "standard"),
    [
        ('"Prediction": "positive"', "positive", "positive"),
        ("**Prediction:** **neutral**", None, "neutral"),
        ("Prediction: it is hard to say", None, None),
        ("", None, None),
        ("negative", "negative", "negative"),
    ],
)
def test_the_two_rules_read_a_reply(reply: str, paper: str | None, standard: str | None) -> None:
    reader = AnswerReader(LABELS)
    assert (reader.paper(reply), reader.standard(reply)) == (paper, standard)


def test_capital_letters_are_choices_of_a_question() -> None:
    reader = AnswerReader(("A", "B", "C"))
    assert reader.paper("So. The answer is (B).") == reader.standard("The answer is (B).") == "B"
    assert reader.paper("Prediction: B") is None
    assert reader.standard("Prediction: B") == "B"
    assert reader.paper("The answer is (E).") is reader.standard("The answer is (E).") is None


def test_the_right_label_may_be_written_in_any_case() -> None:
    reader = AnswerReader(LABELS)
    assert reader.canonical(" Positive ") == "positive"
    assert reader.canonical("happy") is None


@pytest.mark.parametrize("labels", [(), ("one",), ("same", "Same"), ("a", "b\nc")])
def test_labels_that_cannot_be_told_apart_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="the labels cannot be used"):
        AnswerReader(labels)
