"""A key is masked where people read, and never where something is learned from."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mulcot.teacher.base import CallError, ErrorKind
from mulcot.teacher.transport.key_redaction import LONG, SECRET_LENGTH, Key, is_secret, read_key
from mulcot.teacher.transport.openai_protocol import read_reply

WORDS = [
    "x",
    "none",
    "None",
    "EMPTY",
    "ollama",
    "lm-studio",
    "not-needed",
    "sk-no-key-required",
    "your-api-key-here",
    "0",
]
VISIBLE = string.ascii_letters + string.digits + string.punctuation
RANDOM = st.text(string.ascii_letters + string.digits + "+/=_-", min_size=40, max_size=40).filter(is_secret)


def reply(text: str, key: str, **rest: str):
    data = {"model": "m", "choices": [{"message": {"content": text, **rest}, "finish_reason": "stop"}]}
    return read_reply(200, json.dumps(data).encode(), Key(key))


def failure(words: str, key: str, status: int = 500) -> CallError:
    with pytest.raises(CallError) as caught:
        read_reply(status, words.encode(), Key(key))
    return caught.value


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        *((word, False) for word in WORDS),
        ("token-abc123", False),
        ("sk-1234", False),
        ("12345678901234567890", False),
        ("sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", False),
        ("sk-proj-4fT9aQ", False),
        ("internationalization", False),
        ("tk-9f8e7d6c5b4a-1", True),
        ("0123456789abcdef0123456789abcdef", True),
        ("q" + string.ascii_lowercase + "oiuyt", True),
    ],
)
def test_a_key_is_a_secret_where_it_cannot_be_a_word(key, secret):
    assert is_secret(key) is secret


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(WORDS) | st.text(VISIBLE, min_size=1, max_size=SECRET_LENGTH - 1), st.text(), st.data())
def test_a_short_or_common_key_changes_no_reply(key, text, data):
    said = data.draw(st.sampled_from([text, key, f"{text}{key}", f"{key} {text} {key}{key}"]))
    assert reply(said, key, reasoning=said) == reply(said, "", reasoning=said)


@settings(deadline=None, max_examples=200)
@given(st.text(VISIBLE, min_size=1, max_size=LONG + 8), st.text())
def test_no_reply_is_ever_altered(key, text):
    """It is what the server said, or it is refused."""
    try:
        found = reply(text, key)
    except CallError as error:
        assert error.kind == ErrorKind.KEY_REPEATED and is_secret(key)
    else:
        assert found == reply(text, "")


@settings(deadline=None, max_examples=200)
@given(RANDOM, st.text(), st.text(), st.sampled_from(["text", "reasoning", "model", "refusal"]))
def test_a_reply_that_repeats_a_secret_is_refused_and_its_reason_does_not(key, before, after, place):
    said = f"{before}{key}{after}"
    data = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
    message = data["choices"][0]["message"]
    if place == "model":
        data["model"] = said
    elif place == "refusal":
        message |= {"content": None, "refusal": said}
    else:
        message["content" if place == "text" else place] = said
    with pytest.raises(CallError) as caught:
        read_reply(200, json.dumps(data).encode(), Key(key))
    assert caught.value.kind == ErrorKind.KEY_REPEATED
    assert not caught.value.retryable
    assert key not in f"{caught.value!s}{caught.value!r}{caught.value.hint}"


def test_a_secret_in_invisible_pieces_is_still_one():
    key = "tk9f8e7d6c5b4a3928"
    for between in ("\u200b", "\x00", "\u00ad"):
        with pytest.raises(CallError):
            reply(between.join(key), key)


@settings(deadline=None, max_examples=200)
@given(RANDOM, st.text(max_size=400), st.text(max_size=50), st.booleans(), st.sampled_from([200, 302, 401, 404, 500]))
def test_no_error_holds_a_secret(key, before, after, as_json, status):
    assume(key not in before)
    words = f"{before}{key}{after}"
    error = failure(
        json.dumps({"detail": [words]}) if as_json else words.encode("utf-8", "replace").decode(), key, status
    )
    assert key not in f"{error!s}{error!r}{error.hint}"


@pytest.mark.parametrize("spaces", range(1960, 2001, 4))
def test_a_cut_leaves_no_beginning_of_a_secret(spaces):
    key = "tk9f8e7d6c5b4a3928tk9f8e7d6c5b4a3928"
    assert "tk9" not in failure(" " * spaces + key, key).message


@pytest.mark.parametrize("spelled", ["a/b+c0=d1e2f3g4h5i6", "a\\/b+c0=d1e2f3g4h5i6", "a%2Fb%2Bc0%3Dd1e2f3g4h5i6"])
def test_a_secret_is_masked_in_json_and_in_addresses(spelled):
    assert failure(f"at http://h/?k={spelled};", "a/b+c0=d1e2f3g4h5i6").message == "HTTP 500: at http://h/?k=***;"


def test_errors_lose_a_short_key_where_it_stands_alone_and_no_word():
    assert Key("hunter2").hidden("no key hunter2, but hunter2024") == "no key ***, but hunter2024"
    for word in (word for word in WORDS if not word.startswith("sk-")):
        said = f"{word} of the models has the context length 10, {word}"
        assert Key(word).hidden(said) == said


def test_what_looks_like_a_key_is_taken_out_of_errors_but_not_out_of_replies():
    said = "sk-abcdefgh12345 Bearer abcdefgh.ijkl the task-forces-alliance"
    assert Key().hidden(said) == "*** *** the task-forces-alliance"
    assert reply(said, "our-key").text == said


def test_a_key_shows_itself_nowhere(monkeypatch):
    monkeypatch.setenv("SOME_KEY", " tk-9f8e7d6c5b4a-secret\n")
    key = read_key("SOME_KEY")
    assert key.value == "tk-9f8e7d6c5b4a-secret"
    assert "9f8e" not in f"{key}{key!r}"


@pytest.mark.parametrize("key", ["abcdefghijklmnopqrstuvw", "1234567890123456789"])
def test_a_long_word_of_a_key_is_masked_in_errors_and_changes_no_reply(key):
    assert key not in Key(key).hidden(f"invalid key {key} given")
    assert reply(f"a {key} b", key).text == f"a {key} b"


def test_a_key_in_numbered_characters_is_found_too():
    key = "tk9f8e7d6c5b4a3-Q"
    escaped = "".join(f"\\u{ord(c):04x}" for c in key)
    assert Key(key).repeated_in('{"a": "' + escaped + '"}')
    assert escaped[:30] not in Key(key).hidden(f"bad {escaped}")
