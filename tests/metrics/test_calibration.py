from __future__ import annotations

import numpy as np
import pytest

from mulcot.errors import MulcotError
from mulcot.metrics.calibration import TEMPERATURES, apply_temperature, calibrate, fit_temperature


def drawn(count: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose truth is known: labels follow the softmax, what is shown is `temperature` times too sure."""
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(count, 3)) * 1.5
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = (rng.random(count)[:, None] > true.cumsum(1)).sum(1)
    shown = np.exp(logits * temperature)
    return shown / shown.sum(1, keepdims=True), right


def test_a_small_case_by_hand() -> None:
    measured = calibrate([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], [0, 1, 1, 1], bins=5)
    assert measured.accuracy == 0.75
    assert [one.examples for one in measured.bins] == [0, 0, 0, 2, 2]
    assert measured.bins[4][3:] == pytest.approx((0.8, 0.5))
    assert measured.bins[3][3:] == pytest.approx((0.65, 1.0))
    assert measured.ece == pytest.approx(0.5 * 0.3 + 0.5 * 0.35)
    assert measured.brier == pytest.approx((0.08 + 1.28 + 0.18 + 0.32) / 4)
    assert measured.loss == pytest.approx(-np.log([0.8, 0.2, 0.7, 0.6]).mean())


def test_the_temperature_that_was_put_in_is_found() -> None:
    shown, right = drawn(20_000, 2.5)
    assert fit_temperature(shown, right) == pytest.approx(2.5, rel=0.05)


def test_the_fitted_temperature_mends_over_confidence() -> None:
    shown, right = drawn(4000, 3.0)
    mended = apply_temperature(shown, fit_temperature(shown, right))
    before, after = calibrate(shown, right), calibrate(mended, right)
    assert after.ece < before.ece / 3
    assert after.loss < before.loss
    assert after.accuracy == before.accuracy


def test_no_other_temperature_has_a_smaller_loss() -> None:
    shown, right = drawn(300, 1.7)
    best = fit_temperature(shown, right)
    at_best = calibrate(apply_temperature(shown, best), right).loss
    for other in (best * 0.9, best * 1.1, 0.3, 5.0):
        assert calibrate(apply_temperature(shown, other), right).loss >= at_best


def test_a_label_that_an_example_cannot_have_gets_no_weight() -> None:
    """Questions with two of five letters, too sure by a factor of 2.5."""
    shown, right = drawn(20_000, 2.5)
    two = shown[:, :2] / shown[:, :2].sum(1, keepdims=True)
    keep = right < 2
    table = np.concatenate([two, np.zeros((len(two), 3))], 1)[keep]
    fitted = fit_temperature(table, right[keep])
    assert fitted == pytest.approx(fit_temperature(two[keep], right[keep]), rel=1e-4)
    assert fitted == pytest.approx(2.5, rel=0.1)
    assert (apply_temperature(table, fitted)[:, 2:] == 0).all()
    assert calibrate([[0.5, 0.5, 0.0]], [2]).loss == pytest.approx(-np.log(1e-12)), "an impossible label was right"


@pytest.mark.parametrize(
    "row", [[float("nan"), 1.0], [float("inf"), 0.0], [0.5, 0.6], [-0.1, 1.1], [0.0, 0.0], [0.2, 0.2]]
)
def test_what_is_no_distribution_is_refused_by_its_row(row: list[float]) -> None:
    for measure in (calibrate, fit_temperature):
        with pytest.raises(MulcotError, match=r"row 1 .* is no distribution: .*1 such rows") as caught:
            measure([[0.5, 0.5], row], [0, 1])
        assert "NaN" in caught.value.hint


def test_a_model_that_is_always_sure_and_right_is_no_special_case() -> None:
    table = [[1.0, 0.0, 0.0]] * 5
    measured = calibrate(table, [0] * 5)
    assert (measured.ece, measured.brier) == (0, 0)
    assert fit_temperature(table, [0] * 5) == pytest.approx(TEMPERATURES[0], rel=0.01)
    assert np.isfinite(calibrate(table, [1] * 5).loss)
    assert np.allclose(apply_temperature(table, 2.0).sum(1), 1)


def test_shapes_that_do_not_fit_are_refused() -> None:
    for table, right, message in [
        ([], [], "table"),
        ([[0.5, 0.5]], [0, 1], "1 rows"),
        ([[0.5, 0.5]], [2], "places from 0 to 1"),
        ([[0.5, 0.5]], [-1], "places from 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            calibrate(table, right)
    with pytest.raises(ValueError, match="above 0"):
        apply_temperature([[0.5, 0.5]], 0)
