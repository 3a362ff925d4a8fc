"""The records of one exchange: what the key of a request covers."""

from __future__ import annotations

import dataclasses

import pytest

from mulcot.teacher.backends.openai_compatible import OpenAICompatible
from mulcot.teacher.base import FATAL, RETRYABLE, CallError, ErrorKind, Request, Sampling, teachers
from mulcot.teacher.transport.images import Picture

REQUEST = Request(system="s", user="u", pictures=(Picture("p"),), schema={"a": 1}, example_id="e", purpose="teach")


@pytest.mark.parametrize(
    "change",
    [
        {"system": "s2"},
        {"user": "u2"},
        {"system": "su", "user": ""},
        {"pictures": ()},
        {"pictures": (Picture("q"),)},
        {"pictures": (Picture("p"), Picture("p"))},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(temperature=None)},
        {"sampling": Sampling(seed=1)},
        {"sampling": Sampling(max_tokens=5)},
        {"sampling": Sampling(top_p=0.5)},
        {"schema": None},
        {"schema": {"a": 2}},
        {"attempt": 2},
    ],
    ids=str,
)
def test_whatever_may_change_the_answer_changes_the_key(change):
    assert dataclasses.replace(REQUEST, **change).key("t") != REQUEST.key("t")


def test_another_teacher_is_another_key():
    assert REQUEST.key("one") != REQUEST.key("two")


def test_who_asks_and_why_does_not_change_the_key():
    other = dataclasses.replace(REQUEST, example_id="f", purpose="hint")
    assert other.key("t") == REQUEST.key("t")


def test_the_hash_of_what_is_shown_ignores_how_the_answer_is_drawn():
    other = dataclasses.replace(REQUEST, sampling=Sampling(seed=9), attempt=7)
    assert other.prompt_hash() == REQUEST.prompt_hash()
    assert dataclasses.replace(REQUEST, user="v").prompt_hash() != REQUEST.prompt_hash()


def test_texts_with_lone_surrogates_have_a_key():
    assert dataclasses.replace(REQUEST, user="\ud800").key("t") != dataclasses.replace(REQUEST, user="\ud801").key("t")


def test_the_key_of_a_known_request_stays_the_same_between_versions():
    # A change here would make every ledger and cache in the world ask, and pay, again.
    assert REQUEST.key("t") == "01dce11235e1eeeea9a162fe3124f4065fbd19ce2f7f1b08e97759be12cf6a45"


def test_no_error_is_both_hopeless_and_worth_repeating():
    assert not FATAL & RETRYABLE
    assert not CallError(ErrorKind.SERVER, "x", fatal=True).retryable


def test_the_family_finds_its_teachers():
    assert teachers.get("openai_compatible") is OpenAICompatible
