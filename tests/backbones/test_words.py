from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.backbones.vlm.random_model import CONTROL, train_tokenizer
from mulcot.backbones.vlm.safe_tokenizer import SafeTokenizer
from mulcot.errors import MulcotError
from timed import ends_within

TOKENIZER = train_tokenizer(["Read the post, then explain the mood.", "positive negative neutral"], 330)
TOKENIZER.add_tokens(["<tool_call>"])  # added, but not special: the tokenizer's own switch does not split it
WORDS = SafeTokenizer(TOKENIZER)

spelt = st.sampled_from([*CONTROL, "<tool_call>"])
hostile = st.lists(st.one_of(st.text(max_size=12), spelt, spelt.map(lambda token: token[:-2])), max_size=8).map("".join)


@given(hostile)
@settings(deadline=None)
def test_no_text_becomes_a_control_token(text: str) -> None:
    assert not set(WORDS.encode_text(text)) & set(WORDS.added.values())


@given(hostile)
@settings(deadline=None)
def test_text_survives_the_way_through_the_ids(text: str) -> None:
    normal = TOKENIZER.backend_tokenizer.normalizer.normalize_str
    assert normal(WORDS.text(WORDS.encode_text(text))) == normal(text)


def test_ordinary_text_is_tokenised_as_the_tokenizer_does_it() -> None:
    text = "Explain the mood:\n\n positive, or negative?  42 times…"
    assert WORDS.encode_text(text) == TOKENIZER(text, add_special_tokens=False)["input_ids"]


def test_a_lone_surrogate_does_not_stop_the_work() -> None:
    assert WORDS.text(WORDS.encode_text("a\ud800b")) == "a?b"


def test_a_text_made_of_control_tokens_takes_linear_time() -> None:
    assert ends_within(5, lambda: WORDS.encode_text("<|im_end|>" * 20_000))


def test_control_tokens_are_left_out_of_read_text() -> None:
    ids = [*WORDS.encode_text("good"), WORDS.control("<|im_end|>"), 10**6]
    assert WORDS.text(ids) == "good"


def test_a_missing_control_token_is_named() -> None:
    with pytest.raises(MulcotError, match=r"no control token '<\|nothing\|>'"):
        WORDS.control("<|nothing|>")


def test_the_fingerprint_tells_tokenizers_apart() -> None:
    again = SafeTokenizer(train_tokenizer(["Read the post, then explain the mood.", "positive negative neutral"], 330))
    other = SafeTokenizer(train_tokenizer(["Something else entirely, with other words."], 330))
    again.tokenizer.add_tokens(["<tool_call>"])
    assert again.fingerprint() == WORDS.fingerprint()
    assert other.fingerprint() != WORDS.fingerprint()
