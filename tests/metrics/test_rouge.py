"""Against the packages `rouge` 1.0.1 and `rouge-score` themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

from mulcot.metrics.rouge import published_rouge_l, standard_rouge_l
from mulcot.metrics.tokenisation import TokenCache
from timed import ends_within

PACKAGE = Rouge()
SCORER = RougeScorer(["rougeL"], use_stemmer=True)
CHAINS = st.lists(
    st.sampled_from(["a", "b", "c", "d", "The", "the", "happiness", "happy", ".", ". ", "..", " ", "\n", "e.f", "B"]),
    max_size=40,
).map(" ".join)
TEXTS = st.one_of(CHAINS, st.text(max_size=80), st.text(alphabet="abc. \n", max_size=120))


def published(predicted: str, reference: str) -> float:
    """As the published code calls the package: empty texts and errors count 0."""
    if not predicted.strip() or not reference.strip():
        return 0.0
    try:
        return float(PACKAGE.get_scores(predicted, reference)[0]["rouge-l"]["f"])
    except ValueError:
        return 0.0


def standard(predicted: str, reference: str) -> float:
    words = TokenCache()
    return standard_rouge_l(words.stems(predicted), words.stems(reference))


@settings(deadline=None, max_examples=400)
@given(TEXTS, TEXTS)
def test_the_paper_variant_is_the_package(predicted: str, reference: str) -> None:
    assert published_rouge_l(predicted, reference) == published(predicted, reference)


@settings(deadline=None, max_examples=300)
@given(TEXTS, TEXTS)
def test_the_standard_variant_is_rouge_score(predicted: str, reference: str) -> None:
    assert standard(predicted, reference) == pytest.approx(SCORER.score(reference, predicted)["rougeL"].fmeasure)


def test_of_several_longest_subsequences_the_package_s_own_is_taken() -> None:
    """The union depends on which one: `b a` against `a b` finds one of the two words, not both."""
    for predicted, reference in [
        ("b a", "a b"),
        ("a b c a", "c a b"),
        ("x y. y x", "y x z. x"),
        ("a c b", "b a c b a"),
    ]:
        assert published_rouge_l(predicted, reference) == published(predicted, reference)
    assert published_rouge_l("b a", "a b") == pytest.approx(0.5, abs=1e-6)


def test_real_chains_score_as_with_the_packages(real_chains: list[str]) -> None:
    for predicted, reference in list(zip(real_chains, real_chains[11:], strict=False))[::4]:
        assert published_rouge_l(predicted, reference) == published(predicted, reference)
        expected = SCORER.score(reference, predicted)["rougeL"].fmeasure
        assert standard(predicted, reference) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "reference"),
    [
        ("loop " * 4000, "a b c. " * 2800),
        ("all the same words. " * 1000, "the same words all. " * 1000),
        ("".join(f"a c x{n}." for n in range(2100)), "".join(f"c a y{n}." for n in range(2100))),
        (" ".join(f"w{n}." for n in range(3000)), " ".join(f"w{n}." for n in range(3000, 0, -1))),
    ],
)
def test_an_endless_generation_ends(predicted: str, reference: str) -> None:
    assert 0 <= published_rouge_l(predicted, reference) <= 1
    assert 0 <= standard(predicted, reference) <= 1
    assert ends_within(5, lambda: (published_rouge_l(predicted, reference), standard(predicted, reference)))
