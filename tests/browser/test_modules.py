"""The parts of the page that compute: reading a growing chain, finding quoted words, writing snippets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mulcot.tasks.chain_text import write_fields
from mulcot.tasks.sentiment import Sentiment

from .opening import Open, Site

FIELDS = Sentiment().fields


@pytest.fixture
def call(open_page: Open, site: Site) -> Any:
    """Calls one exported function of a module."""
    page = open_page(site)

    def called(module: str, function: str, *arguments: Any) -> Any:
        return page.evaluate(
            "async ([module, name, given]) => (await import(`./static/${module}.js`))[name](...given)",
            [module, function, arguments],
        )

    return called


def marked(post: str, places: list[list[int]]) -> list[str]:
    return [post.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le") for start, end in places]


def test_a_chain_reads_back_as_it_was_written(call: Any) -> None:
    fields = dict(
        zip(
            FIELDS, ('a "quoted" word', "back\\slash", "two\nlines", "caf\u00e9 \U0001f600: x", "positive"), strict=True
        )
    )
    assert dict(call("chain", "readChain", write_fields(fields, FIELDS), FIELDS)) == fields


def test_a_growing_chain_never_shows_notation_or_goes_back(open_page: Open, site: Site) -> None:
    values = ("The words 'a, b' say \"yes\".", "A \\ picture.", "They agree.", "So it is.", "neutral")
    fields = dict(zip(FIELDS, values, strict=True))
    text = write_fields(fields, FIELDS)
    growing = open_page(site).evaluate(
        """async ([text, names]) => {
            const { readChain } = await import("./static/chain.js");
            return [...text, ""].map((_, end) => readChain(text.slice(0, end), names));
        }""",
        [text, FIELDS],
    )
    assert len(growing) == len(text) + 1
    for end, found in enumerate(growing):
        assert [name for name, _ in found] == list(FIELDS)[: len(found)]
        for name, value in found:
            assert fields[name].startswith(value), (text[:end], value)


def test_other_notations_and_chains_without_fields_are_shown_too(call: Any) -> None:
    read = lambda text: call("chain", "readChain", text, FIELDS)  # noqa: E731
    assert read("**Text_analysis**: plain words\nPrediction: positive") == [
        ["Text_analysis", "plain words"],
        ["Prediction", "positive"],
    ]
    assert read("A magnet pulls iron.") == [["", "A magnet pulls iron."]]
    assert read('"Text_analysis": "The words "a day" praise it."\n"Prediction": "positive"') == [
        ["Text_analysis", 'The words "a day" praise it.'],
        ["Prediction", "positive"],
    ]
    assert read("") == []


@pytest.mark.parametrize(
    ("post", "chain", "expected"),
    [
        ("What a day, truly", "The words 'a day' praise it.", ["a day"]),
        ("What a day, truly", 'It says "WHAT A DAY," and means it.', ["What a day"]),
        ("What a day, truly", "\u201ctruly\u201d and \u2018what a\u2019 and `day`", ["What a", "day", "truly"]),
        ("don't stop me", "'don't stop' is an order", ["don't stop"]),
        ("so  many\nspaces", "'so many spaces'", ["so  many\nspaces"]),
        ("a day and a day", "'a day'", ["a day", "a day"]),
        ("yesterday", "'yes' is not quoted from it", []),
        ("one two three four", "'one two' and 'two three'", ["one two three"]),
        ("one two three four", "'one ... four'", ["one", "four"]),
        ("\U0001f600 gut gemacht (wow)", "'gemacht (wow)'", ["gemacht (wow)"]),
        ("a.*b", "'a.*b' and '.*'", ["a.*b"]),
        ("nothing", "no quotes, and '' or 'x'", []),
    ],
)
def test_quoted_words_are_found_where_they_stand(call: Any, post: str, chain: str, expected: list[str]) -> None:
    assert marked(post, call("quotes", "quotedPlaces", post, [chain])) == expected


def test_snippets_carry_any_text_unharmed(call: Any) -> None:
    text = 'it\'s "so": true\n\\ $HOME `ls`'
    made = call("snippets", "asPython", {"text": text, "label_only": True, "choices": ["a", "b"]})
    scope: dict[str, Any] = {}
    exec(made[: made.index("request =")], scope)
    assert scope["question"] == {"text": text, "label_only": True, "choices": ["a", "b"]}
    assert "base64" not in made
    assert "--form-string 'choices=b'" in call("snippets", "asCurl", {"text": text, "choices": ["a", "b"]})


@pytest.mark.parametrize("status", [400, 401, 403, 408, 413, 422, 429, 500, 503, 504])
def test_every_sentence_ends_well(call: Any, status: int) -> None:
    for said in ("", "a reason", "A reason."):
        sentence = call("api", "sentence", status, said, 3)
        assert sentence[0].isupper() and sentence.endswith(".") and ".." not in sentence, json.dumps(sentence)
