from __future__ import annotations

import pytest

from mulcot.metrics.agreement import agreement


def test_an_unread_chain_does_not_agree_even_with_an_unread_label() -> None:
    found = agreement(["a", "a", None, None], ["a", "b", "a", None])
    assert (found.examples, found.agree, found.differ, found.unread) == (4, 1, 1, 2)
    assert found.share == 0.25


def test_the_right_label_says_whom_to_trust() -> None:
    found = agreement(["a", "a", "b", "b", None], ["a", "b", "a", "b", "a"], ["a", "a", "a", "a", "a"])
    assert (found.right_together, found.right_label_only, found.right_chain_only) == (1, 1, 2)


def test_nothing_agrees_with_nothing() -> None:
    assert agreement([], []).share == 0
    with pytest.raises(ValueError, match="1 labels, 2 chains"):
        agreement(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="0 right"):
        agreement(["a"], ["a"], [])
