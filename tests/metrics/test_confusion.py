from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.metrics.classification import classify
from mulcot.metrics.confusion import Confusion, summary_scores

LABELS = ("negative", "neutral", "positive")
ROWS = st.lists(st.tuples(st.sampled_from([*LABELS, None, "other"]), st.sampled_from(LABELS)), min_size=1, max_size=30)


@settings(deadline=None)
@given(ROWS)
def test_the_counts_give_the_same_scores_as_the_pairs(rows: list[tuple[str | None, str]]) -> None:
    predicted, right = [a for a, _ in rows], [b for _, b in rows]
    scores = summary_scores(Confusion(predicted, right, LABELS).counts)
    expected = classify(predicted, right, LABELS)._asdict()
    assert {name: float(value) for name, value in scores.items()} == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_scores_are_those_of_scikit_learn(rows: list[tuple[str | None, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    predicted, right = [a or "none" for a, _ in rows], [b for _, b in rows]
    ours = classify([a for a, _ in rows], right, LABELS)
    options = {"labels": list(LABELS), "zero_division": 0}
    assert ours.macro_f1 == pytest.approx(metrics.f1_score(right, predicted, average="macro", **options))
    assert ours.weighted_f1 == pytest.approx(metrics.f1_score(right, predicted, average="weighted", **options))
    assert ours.accuracy == pytest.approx(metrics.accuracy_score(right, predicted))
    for score in Confusion(predicted, right, LABELS).per_label():
        one = {"labels": [score.label], "average": "macro", "zero_division": 0}
        assert score.precision == pytest.approx(metrics.precision_score(right, predicted, **one))
        assert score.recall == pytest.approx(metrics.recall_score(right, predicted, **one))


def test_answers_that_are_no_label_stand_in_a_column_of_their_own() -> None:
    confusion = Confusion(["positive", None, "maybe"], ["positive", "negative", "positive"], LABELS)
    assert confusion.unparsed == 2
    assert confusion.to_json() == {
        "rows": list(LABELS),
        "columns": [*LABELS, "unparsed"],
        "counts": [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]],
    }


def test_a_label_that_never_occurs_scores_zero_and_counts_in_the_macro_mean() -> None:
    confusion = Confusion(["positive"] * 4, ["positive"] * 4, LABELS)
    assert [score.f1 for score in confusion.per_label()] == [0, 0, 1]
    assert [score.support for score in confusion.per_label()] == [0, 0, 4]
    assert float(summary_scores(confusion.counts)["macro_f1"]) == pytest.approx(1 / 3)
    assert confusion.intervals()["accuracy"] == (1, 1)


def test_intervals_come_from_the_seed_and_hold_the_value() -> None:
    right = ["positive", "negative", "neutral"] * 40
    predicted = right[:90] + ["positive"] * 30
    confusion = Confusion(predicted, right, LABELS)
    intervals = confusion.intervals(seed=3)
    assert intervals == confusion.intervals(seed=3) != confusion.intervals(seed=4)
    for name, value in summary_scores(confusion.counts).items():
        assert intervals[name].low < float(value) < intervals[name].high
    accuracy = float(summary_scores(confusion.counts)["accuracy"])
    width = intervals["accuracy"].high - intervals["accuracy"].low
    assert width == pytest.approx(2 * 1.96 * (accuracy * (1 - accuracy) / 120) ** 0.5, rel=0.15)


def test_a_right_label_outside_the_set_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="outside the label set"):
        Confusion(["positive"], ["happy"], LABELS)
    with pytest.raises(ValueError, match="1 answers for 2"):
        Confusion(["positive"], ["positive"] * 2, LABELS)
    assert Confusion([], [], LABELS).intervals() == {}
