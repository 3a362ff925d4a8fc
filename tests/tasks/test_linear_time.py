"""Reading, inserting and looking for leaks take time in proportion to the text, whatever it holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from mulcot.tasks.inserted import insertable
from mulcot.tasks.leak import find_leak
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment

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


def seconds(work: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    work(text)
    return time.process_time() - start


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("work", WORKS)
def test_no_repetition_of_anything_blows_up(work: Callable[[str], object], head: str) -> None:
    """Quadratic work on 20 000 characters takes many seconds."""
    for unit in UNITS:
        assert seconds(work, head + unit * (20_000 // len(unit))) < 0.5, unit


def check_ratio(work: Callable[[str], object], unit: str, head: str, length: int) -> None:
    """Twice the text, at most three times the time; less than 0.1 s is too little to be measured."""
    half, whole = (head + unit * (size // len(unit)) for size in (length // 2, length))
    limit = max(0.1, 3 * min(seconds(work, half) for _ in range(2)))
    assert min(seconds(work, whole) for _ in range(2)) <= limit, (unit, head)


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("unit", ['"Prediction": "\\x", ', "Prediction: positive ", '\\"'])
def test_twice_the_text_takes_about_twice_the_time(work: Callable[[str], object], unit: str) -> None:
    check_ratio(work, unit, "", 200_000)


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize(
    "unit", ['"Prediction": "\\x", ', "positive ", "(B) ", "\n", '\\"', "since the label ", "Prediction "]
)
def test_a_million_characters_are_read_in_linear_time(work: Callable[[str], object], unit: str) -> None:
    check_ratio(work, unit, "", 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("work", WORKS)
def test_time_grows_with_the_text_alone(work: Callable[[str], object], head: str) -> None:
    for unit in UNITS:
        check_ratio(work, unit, head, 100_000)
