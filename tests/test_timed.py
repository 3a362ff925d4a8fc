"""The tests of time themselves: they let linear work pass, and quadratic work not."""

from __future__ import annotations

from timed import ends_within, grows_linearly


def spin(turns: int) -> None:
    for _ in range(turns):
        pass


def test_linear_work_passes() -> None:
    assert grows_linearly(lambda size: spin(size * 10), 400_000)


def test_quadratic_work_does_not() -> None:
    assert not grows_linearly(lambda size: spin(size * size // 4), 8_000)


def test_slow_work_does_not_end_within_a_moment() -> None:
    assert ends_within(5, lambda: spin(1_000))
    assert not ends_within(0.001, lambda: spin(1_000_000))
