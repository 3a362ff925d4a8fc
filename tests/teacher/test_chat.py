"""Reading replies of every make and every kind of damage."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.teacher.base import CallError, ErrorKind, Finish, Request, Sampling
from mulcot.teacher.transport.key_redaction import Key
from mulcot.teacher.transport.openai_protocol import Dialect, read_reply, write_body


def read(choice, **rest):
    return read_reply(200, json.dumps({"choices": [choice], **rest}).encode(), Key())


def test_content_may_be_a_list_of_parts():
    parts = [{"type": "text", "text": "one "}, {"type": "image"}, "two", {"text": 3}, None]
    assert read({"message": {"content": parts}}).text == "one two"


@pytest.mark.parametrize("content", [None, 7, {}, [], ""])
def test_content_may_be_nothing(content):
    assert read({"message": {"content": content}, "finish_reason": "stop"}).text == ""


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_kept_apart(field):
    reply = read({"message": {"content": None, field: "hm"}, "finish_reason": "length"})
    assert (reply.text, reply.reasoning, reply.finish) == ("", "hm", Finish.LENGTH)


def test_a_refusal_is_its_own_end():
    reply = read({"message": {"content": None, "refusal": "I can't"}, "finish_reason": "stop"})
    assert (reply.text, reply.finish) == ("I can't", Finish.REFUSED)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTERED),
        (None, Finish.UNKNOWN),
        ("tool_calls", Finish.UNKNOWN),
        (7, Finish.UNKNOWN),
    ],
)
def test_the_end_is_named_in_our_words(reason, finish):
    assert read({"message": {"content": "x"}, "finish_reason": reason}).finish == finish


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        (None, (None, None, None)),
        ([], (None, None, None)),
        ({}, (None, None, None)),
        ({"prompt_tokens": 5, "completion_tokens": 0}, (5, 0, None)),
        ({"prompt_tokens": -5, "completion_tokens": True}, (None, None, None)),
        ({"prompt_tokens": 1e300, "completion_tokens": "9"}, (None, None, None)),
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}, (5, 1, 4)),
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 2}, (5, 1, 2)),
        ({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": None}, (5, 1, None)),
    ],
)
def test_unknown_usage_is_unknown_and_never_zero(usage, found):
    known = read({"message": {"content": "x"}}, usage=usage).usage
    assert (known.prompt, known.completion, known.cached) == found


def test_nan_and_broken_unicode_do_not_cost_a_paid_reply():
    choice = b'{"message":{"content":"a\xff\\ud800b"},"logprobs":NaN}'
    raw = b'\xef\xbb\xbf{"choices":[%b],"usage":{"prompt_tokens":NaN}}' % choice
    reply = read_reply(200, raw, Key())
    assert reply.text == "a\ufffd?b"
    reply.text.encode()
    assert reply.usage.prompt is None


def test_an_error_inside_a_success_is_an_error():
    with pytest.raises(CallError) as caught:
        read_reply(200, b'{"error": {"code": 429, "message": "slow"}}', Key())
    assert caught.value.kind == ErrorKind.RATE_LIMIT
    with pytest.raises(CallError) as caught:
        read_reply(200, b'{"error": "overloaded"}', Key())
    assert caught.value.kind == ErrorKind.SERVER


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "tell me"}},
        {"error": "tell me"},
        {"message": "tell me"},
        {"detail": "tell me"},
        {"detail": [{"msg": "tell me"}]},
    ],
)
def test_the_servers_own_words_are_passed_on(body):
    with pytest.raises(CallError, match="tell me"):
        read_reply(400, json.dumps(body).encode(), Key())


def test_error_pages_are_shortened_to_one_harmless_line():
    page = b"<html>\n\n\x1b[31m" + b"x" * 100_000
    with pytest.raises(CallError) as caught:
        read_reply(500, page, Key())
    assert len(caught.value.message) < 350
    assert caught.value.message.isprintable()


KEYS = st.sampled_from(
    ["choices", "message", "content", "usage", "error", "code", "finish_reason", "prompt_tokens", "model", "text"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([200, 301, 400, 404, 429, 500]), JSON | st.fixed_dictionaries({"choices": st.lists(JSON)}))
def test_any_json_is_a_reply_or_a_call_error(status, data):
    try:
        reply = read_reply(status, json.dumps(data).encode(), Key())
    except CallError as error:
        assert error.message
    else:
        reply.text.encode()
        reply.model.encode()


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_call_error(raw):
    with pytest.raises(CallError):
        read_reply(200, raw, Key())


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text(), st.lists(st.binary(max_size=20), max_size=3), st.booleans())
def test_the_body_is_json_that_holds_exactly_what_was_asked(system, user, pictures, schema):
    urls = [b"data:image/jpeg;base64," + picture.hex().encode() for picture in pictures]
    request = Request(system=system, user=user, schema={"x": 1} if schema else None, sampling=Sampling(top_p=0.5))
    body = json.loads(write_body(request, 'mo"del', urls, Dialect(schema=True), {"extra": [1]}))
    user_turn = body["messages"][-1]["content"]
    texts = [part["text"] for part in user_turn if part["type"] == "text"] if urls else [user_turn]
    assert texts == [user]
    if urls:
        assert [part["image_url"]["url"].encode() for part in user_turn[:-1]] == urls
    assert [m["content"] for m in body["messages"][:-1]] == ([system] if system else [])
    assert (body["model"], body["top_p"], body["extra"]) == ('mo"del', 0.5, [1])
    assert ("response_format" in body) == schema


def test_a_request_without_options_is_still_json():
    request = Request(system="", user="u", sampling=Sampling(temperature=None, max_tokens=None))
    assert json.loads(write_body(request, "m", [], Dialect(schema=False), {})).keys() == {"model", "messages", "stream"}
