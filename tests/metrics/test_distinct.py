from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import slow_distinct

from mulcot.metrics.distinct import corpus_distinct, text_distinct


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=12), st.sampled_from([1, 2]))
def test_a_text_scores_by_the_definition(words: list[str], order: int) -> None:
    assert text_distinct(words, order) == slow_distinct(words, order)


def test_a_text_too_short_for_the_order_scores_nothing() -> None:
    assert text_distinct([], 1) == text_distinct(["a"], 2) == 0


def test_the_corpus_counts_a_repeated_text_against_itself() -> None:
    assert corpus_distinct([["a", "b"], ["a", "b"]], 1) == pytest.approx(0.5)
    assert corpus_distinct([["a", "b"], ["b", "a"]], 2) == 1
    assert corpus_distinct([], 1) == 0
