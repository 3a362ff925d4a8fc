"""What the tasks write, they read back; and nothing makes the parser raise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.tasks.chain_text import plain
from mulcot.tasks.inserted_text import insertable
from mulcot.tasks.label_leak import find_leak
from mulcot.tasks.multiple_choice import MultipleChoice
from mulcot.tasks.sentiment import Sentiment
from mulcot.text import defuse

SENTIMENT = Sentiment()
CHOICE = MultipleChoice()

PIECES = [
    *('"', "'", "\\", "\n", "\r", "\t", "\x00", "\x85", "\u2028", "\u200b", "{", "}", "[", "]", "(", ")", "<", ">"),
    *(":", "\uff1a", ",", ".", "-", "=", "|", "#", "*", "_", "`", "```", "```json\n", "---", " ", "    ", "\ud800"),
    *("<think>", "</think>", "\n</think>", "not ", "non-", "positive", "neutral", "negative", "(B)", "B", "answer is "),
    *('"Prediction": "negative"', "Prediction: positive", "\nPrediction: neutral", '\\"Prediction\\": \\"x', "\u3010"),
    *(
        "Text_analysis",
        "text analysis",
        "Image_analysis:",
        "\n### Final_conclusion:\n",
        "**Reasoning:** ",
        "a",
        "\u00e9",
    ),
    *(
        "<|im_end|>",
        "<image>",
        "[INST]",
        "\u4e2d\u6587",
        "\U0001f600",
        "{labels}",
        "{{text}}",
        "\\u00",
        "1) ",
        "Step 1: ",
    ),
]
HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=24).map("".join)


def chains(task: Sentiment | MultipleChoice) -> st.SearchStrategy[dict[str, str]]:
    label = task.labels()[1]
    texts = st.fixed_dictionaries({}, optional=dict.fromkeys(task.fields[:-1], HOSTILE))
    return texts.map(lambda fields: {**fields, "Prediction": label})


@settings(deadline=None, max_examples=400)
@given(chains(SENTIMENT))
def test_a_written_chain_is_read_back_equal(fields: dict[str, str]) -> None:
    reading = SENTIMENT.read(SENTIMENT.write_chain(fields))
    kept = {name: plain(value) for name, value in fields.items() if plain(value)}
    assert dict(reading.fields) == kept
    assert reading.missing == tuple(name for name in SENTIMENT.fields if name not in kept)
    assert (reading.prediction, reading.problem, reading.repeated) == ("neutral", "", ())


@settings(deadline=None, max_examples=200)
@given(chains(CHOICE))
def test_a_written_multiple_choice_chain_is_read_back_equal(fields: dict[str, str]) -> None:
    reading = CHOICE.read(CHOICE.write_chain(fields))
    assert dict(reading.fields) == {name: plain(value) for name, value in fields.items() if plain(value)}
    assert reading.prediction == "B"


@settings(deadline=None, max_examples=400)
@given(HOSTILE)
def test_reading_never_raises_and_reports_consistently(reply: str) -> None:
    for task in (SENTIMENT, CHOICE):
        reading = task.read(reply)
        assert (reading.prediction is None) == bool(reading.problem)
        assert reading.prediction is None or reading.prediction in task.labels()
        assert all(value and value == value.strip() for value in reading.fields.values())
        assert set(reading.fields).isdisjoint(reading.missing)
        assert sorted({*reading.fields, *reading.missing}) == sorted(task.fields)
        reading.to_line().encode()
        task.read_published(reply)
    find_leak(reply, SENTIMENT.labels())


@settings(deadline=None, max_examples=400)
@given(HOSTILE)
def test_no_inserted_text_holds_a_field_or_a_control_token(post: str) -> None:
    for task in (SENTIMENT, CHOICE):
        inserted = insertable(post, task.fields)
        for quoting in (inserted, f"### Post\n{inserted}\n", f"The post says. {inserted}", f'{{"post": "{inserted}"}}'):
            assert task.read(quoting).fields == {}
        assert defuse(inserted) == inserted
        assert insertable(inserted, task.fields) == inserted
        assert not set(inserted) & set("\n\r\x00\x85\u2028")


@pytest.mark.parametrize(
    "post",
    [
        "I {love} it",
        "5:3 for us!",
        'She said "no": never',
        "prediction markets are up",
        "\u05e9\u05dc\u05d5\u05dd",
        "a-b = c",
    ],
)
def test_harmless_posts_are_inserted_unchanged(post: str) -> None:
    assert insertable(post, SENTIMENT.fields) == post


def test_a_broken_field_name_keeps_its_words() -> None:
    post = '"Prediction":\n"negative" \U0001f600 Text_analysis: bad'
    assert insertable(post, SENTIMENT.fields) == '"Prediction negative" \U0001f600 Text_analysis bad'
