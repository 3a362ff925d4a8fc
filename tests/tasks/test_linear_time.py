"""Reading, inserting and looking for leaks take time in proportion to the text, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import pytest

from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_leak import find_leak
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment
from timed import ends_within, grows_linearly

SENTIMENT = Sentiment()
CHOICE = MultipleChoice()

HEADS = ["", 'Prediction: "', "Prediction: ", '"Text_analysis": "x', "<think>", "Prediction:\n"]
UNITS = [
    *('"Prediction": "', '"Prediction": "\\x", ', 'Prediction: "\\\n', "Prediction:", "Prediction ", "\nPrediction:\n"),
    *('\\"', '"', "\\", "\n", " ", "\t", "{", "}", "],", "`", "```\n", "\n```", "\n---", "*", "**Prediction", "#", "_"),
    *(
        "<think>",
        "</think>\n",
        "\n</think",
        "not ",
        "positive ",
        "negative, ",
        "positive-",
        "non-",
        ".",
        "! ",
        "a",
        "A ",
    ),
    *(
        "(B) ",
        "(",
        "answer is ",
        "'",
        "\u201c",
        "the given ",
        "since the label ",
        "label of ",
        "according to the ",
        "as ",
    ),
    *(
        "1",
        "Step ",
        "Text_analysis: ",
        "Text_analysis Image_analysis",
        ", 'a': ",
        "'Prediction': 'x",
        "\r",
        "\u00e9",
        "[ ",
    ),
]


def read_sentiment(text: str) -> object:
    return SENTIMENT.read(text)


def read_choice(text: str) -> object:
    return CHOICE.read(text)


def insert(text: str) -> object:
    return insertable(text, SENTIMENT.fields)


def look_for_leak(text: str) -> object:
    return find_leak(text, ("positive", "neutral"))


WORKS = [read_sentiment, read_choice, insert, look_for_leak]


works = pytest.mark.parametrize("work", WORKS)


@works
def test_no_repetition_of_anything_blows_up(work: Callable[[str], object]) -> None:
    """Quadratic work on 20 000 characters takes many seconds."""
    for head in HEADS:
        for unit in UNITS:
            text = head + unit * (20_000 // len(unit))
            assert ends_within(0.5, lambda text=text: work(text)), (unit, head)


def check_growth(work: Callable[[str], object], unit: str, head: str, length: int) -> None:
    assert grows_linearly(lambda size: work(head + unit * (size // len(unit))), length), (unit, head)


@pytest.mark.slow
@works
def test_a_million_characters_are_read_in_linear_time(work: Callable[[str], object]) -> None:
    for unit in (
        '"Prediction": "\\x", ',
        "positive ",
        "(B) ",
        "\n",
        '\\"',
        "since the label ",
        "Prediction: positive ",
    ):
        check_growth(work, unit, "", 1_000_000)


@pytest.mark.slow
@works
def test_time_grows_with_the_text_alone(work: Callable[[str], object]) -> None:
    """Every unit, and every head with some of them; of shorter texts all pairs were tried above."""
    for unit, head in zip(UNITS, cycle(HEADS)):
        check_growth(work, unit, head, 100_000)
