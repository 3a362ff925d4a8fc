from __future__ import annotations

import math

import pytest

from mulcot.metrics.bootstrap import mean_intervals
from mulcot.metrics.comparison import compare_labels, mcnemar, paired_bootstrap

LABELS = ("a", "b")


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 61), (2000, 2300)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    test = mcnemar([True] * first + [False] * second + [True] * 7, [False] * first + [True] * second + [True] * 7)
    trials = first + second
    tail = sum(math.comb(trials, k) for k in range(min(first, second) + 1))
    assert test[:2] == (first, second)
    assert test.p_value == pytest.approx(min(1.0, 2 * tail / 2**trials) if trials else 1.0)


def test_models_that_agree_are_not_different() -> None:
    assert mcnemar([True, False], [True, False]).p_value == 1
    difference = paired_bootstrap([0.5, 0.6], [0.5, 0.6])
    assert (difference.value, difference.interval, difference.p_value) == (0, (0, 0), 1)


def test_a_steady_lead_is_found_and_its_sign_kept() -> None:
    first, second = [0.5 + n % 7 / 20 for n in range(100)], [0.4 + n % 7 / 20 for n in range(100)]
    ahead, behind = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert ahead.value == pytest.approx(0.1) == -behind.value
    assert ahead.interval.low > 0 > behind.interval.high
    assert ahead.p_value < 0.01


def test_noise_is_not_taken_for_a_lead() -> None:
    first, second = [n % 2 for n in range(100)], [(n + 1) % 2 for n in range(100)]
    difference = paired_bootstrap(first, second)
    assert difference.interval.low < 0 < difference.interval.high
    assert difference.p_value > 0.5


def test_labels_are_compared_over_the_same_draws() -> None:
    right = ["a", "b"] * 50
    better = ["a", "b"] * 45 + ["a", None] * 5
    worse = ["a", "b"] * 30 + ["b", "x"] * 20
    compared = compare_labels(better, worse, right, LABELS)
    assert compared["accuracy"].value == pytest.approx(0.95 - 0.6)
    assert compared["macro_f1"].interval.low > 0
    assert compared["accuracy"].p_value < 0.01
    mirrored = compare_labels(worse, better, right, LABELS)
    assert mirrored["weighted_f1"].value == pytest.approx(-compared["weighted_f1"].value)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        paired_bootstrap([], [])
    with pytest.raises(ValueError, match="2 scores against 1"):
        paired_bootstrap([1, 2], [1])
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_labels([], [], [], LABELS)
    with pytest.raises(ValueError, match="outside the label set"):
        compare_labels(["a"], ["a"], ["c"], LABELS)


def test_an_interval_is_as_wide_as_theory_says_and_repeatable() -> None:
    scores = [n % 10 / 10 for n in range(500)]
    interval = mean_intervals({"x": scores}, seed=1)["x"]
    deviation = math.sqrt(sum((s - 0.45) ** 2 for s in scores) / 500)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * deviation / math.sqrt(500), rel=0.15)
    assert interval == pytest.approx(mean_intervals({"x": scores, "y": scores[::-1]}, seed=1)["x"])
    assert mean_intervals({}) == mean_intervals({"x": []}) == {}


def test_many_examples_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from mulcot.metrics import bootstrap

    monkeypatch.setattr(bootstrap, "_AT_ONCE", 700)
    interval = mean_intervals({"x": [0.0, 1.0] * 100})["x"]
    assert 0.4 < interval.low < 0.5 < interval.high < 0.6
