from __future__ import annotations

import warnings

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu
from published import mteval_words, slow_bleu

from mulcot.metrics.bleu import corpus_bleu, pair_bleu
from mulcot.metrics.tokenisation import TokenCache, cut_words

BITS = ["the", "cat,", "sat", "on", "a", "mat.", "1,5", "-3", "&quot;", "x-\ny", "<skipped>", "It's"]
TEXTS = st.one_of(
    st.lists(st.sampled_from(BITS), max_size=14).map(" ".join),
    st.text(max_size=60),
)


def bleu(predicted: str, reference: str) -> float:
    words = TokenCache()
    return pair_bleu(words.mteval(predicted), words.mteval(reference))


@settings(deadline=None, max_examples=150)
@given(TEXTS)
def test_words_are_those_of_mteval(text: str) -> None:
    assert TokenCache().mteval(text) == mteval_words(text)


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS)
def test_a_pair_scores_as_by_the_definition(predicted: str, reference: str) -> None:
    expected = slow_bleu(predicted, reference) if mteval_words(predicted) and mteval_words(reference) else 0.0
    assert bleu(predicted, reference) == pytest.approx(expected, abs=1e-12)


def test_real_chains_score_as_by_the_definition(real_chains: list[str]) -> None:
    for predicted, reference in zip(real_chains, real_chains[7:], strict=False):
        assert bleu(predicted, reference) == pytest.approx(slow_bleu(predicted, reference), abs=1e-12)


def test_equal_texts_score_one_and_a_missing_order_scores_nothing() -> None:
    assert bleu("a b c d e", "a b c d e") == pytest.approx(1)
    assert bleu("a b c", "a b c") == 0
    assert bleu("", "a b c d") == bleu("a b c d", "") == 0


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS, st.sampled_from([1, 4]))
def test_rationales_score_as_by_nltk(predicted: str, reference: str, order: int) -> None:
    said, there = cut_words(predicted), cut_words(reference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sentence_bleu([there], said, weights=(1 / order,) * order) if said and there else 0.0
    assert pair_bleu(said, there, order) == pytest.approx(expected, abs=1e-12)


def test_a_short_prediction_pays_for_its_brevity() -> None:
    assert bleu("a b c d", "a b c d e f g h") == pytest.approx(2.718281828459045**-1)
    assert bleu("a b c d e f g h", "a b c d") < 1


def test_the_corpus_value_is_sacrebleus_with_its_signature() -> None:
    said, there = ["a b c d e", "x y"], ["a b c d f", "x y z"]
    value, signature = corpus_bleu(said, there)
    assert value == sacrebleu.corpus_bleu(said, [there]).score / 100
    assert signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
