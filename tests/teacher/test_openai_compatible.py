"""The recipe section of a real server: addresses, identity, what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mulcot.teacher.backends.openai_compatible import OpenAICompatible


def make(**settings):
    return OpenAICompatible(**{"base_url": "http://h/v1", "model": "m", **settings})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://Host:80/v1/", "http://host/v1"),
        ("https://host:443/v1", "https://host/v1"),
        ("https://host:8443/v1", "https://host:8443/v1"),
        ("http://host/v1/chat/completions", "http://host/v1"),
        (" http://127.0.0.1:8000 ", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_one_server_has_one_spelling(given, found):
    assert make(base_url=given).base_url == (found,)


@pytest.mark.parametrize(
    "address",
    ["", "host/v1", "ftp://host", "http://", "http://u:secret@host/v1", "http://host/v1?key=secret", "http://h:99999/"],
)
def test_addresses_that_cannot_be_or_hold_a_secret_are_refused(address):
    with pytest.raises(ValidationError):
        make(base_url=address)


def test_a_refused_address_does_not_repeat_its_password():
    with pytest.raises(ValidationError) as caught:
        make(base_url="http://user:hunter2@host/v1")
    assert "hunter2" not in "".join(error["msg"] for error in caught.value.errors())


def test_several_servers_are_one_identity_whatever_their_order():
    one = make(base_url=["http://a/v1", "http://b/v1"])
    two = make(base_url=["http://b/v1/", "http://a/v1", "http://a/v1"])
    assert one.answers_as() == two.answers_as()
    assert one.fingerprint() == two.fingerprint()
    assert one.answers_as() != make(base_url="http://a/v1").answers_as()


def test_a_name_of_ones_own_lets_servers_move():
    one, two = (
        make(served_as="lab", base_url="http://a/v1"),
        make(served_as="lab", base_url=["http://b/v1", "http://c"]),
    )
    assert one.answers_as() == two.answers_as()
    assert one.fingerprint() == two.fingerprint()
    assert one.answers_as() != make(served_as="other").answers_as()


@pytest.mark.parametrize("change", [{"model": "n"}, {"extra_body": {"top_k": 1}}, {"structured": "json_schema"}])
def test_what_decides_an_answer_is_part_of_the_identity(change):
    assert make(**change).answers_as() != make().answers_as()
    assert make(**change).fingerprint() != make().fingerprint()


@pytest.mark.parametrize(
    "change",
    [{"concurrency": 3}, {"timeout": 1.0}, {"tries": 2}, {"patience": 9.0}, {"api_key_env": "K"}, {"use_proxy": True}],
)
def test_speed_patience_and_the_key_decide_nothing(change):
    assert make(**change).answers_as() == make().answers_as()
    assert make(**change).fingerprint() == make().fingerprint()


@pytest.mark.parametrize("key", ["model", "messages", "stream", "n", "temperature", "max_tokens", "response_format"])
def test_extra_keys_cannot_replace_our_own(key):
    with pytest.raises(ValidationError, match="set by mulcot itself"):
        make(extra_body={key: 1})


def test_a_key_in_place_of_its_name_is_refused():
    with pytest.raises(ValidationError):
        make(api_key_env="sk-1234567890")


def test_there_are_more_hands_than_requests_in_flight():
    assert make(concurrency=64).width() > 64
    assert make(concurrency=1).width() > 1
