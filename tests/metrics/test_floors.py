from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mulcot.metrics.floors import majority, other_references


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 5))
def test_another_one_of_the_same_label_is_drawn(groups: list[str], seed: int) -> None:
    for number, other in enumerate(other_references(groups, seed)):
        if groups.count(groups[number]) == 1:
            assert other is None
        else:
            assert other is not None
            assert other != number
            assert groups[other] == groups[number]


def test_every_other_one_has_the_same_chance_and_the_seed_decides() -> None:
    counts = Counter(other_references(["a"] * 4, seed)[1] for seed in range(600))
    assert set(counts) == {0, 2, 3}
    assert min(counts.values()) > 150
    assert other_references(["a"] * 50, 1) == other_references(["a"] * 50, 1) != other_references(["a"] * 50, 2)


def test_of_equally_frequent_labels_the_first_by_name_is_the_majority() -> None:
    assert majority(["b", "a", "b", "a", "c"]) == "a"
    assert majority(["b", "a", "b"]) == "b"
