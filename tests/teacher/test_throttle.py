"""The rules of asking less and more, on a clock of our own."""

from __future__ import annotations

import math
import random
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.teacher.transport.throttle import Bucket, ConcurrencyLimit, backoff, retry_after


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def window(allowance: ConcurrencyLimit) -> list[float]:
    """As many requests as are allowed, sent together; their times."""
    return [allowance.sent() for _ in range(allowance.limit)]


def all_well(allowance: ConcurrencyLimit, times: list[float]) -> None:
    for _ in times:
        allowance.returned()
        allowance.succeeded()


def test_slow_start_doubles_once_per_window_up_to_the_ceiling():
    allowance, limits = ConcurrencyLimit(16, 100, Clock()), []
    for _ in range(4):
        limits.append(allowance.limit)
        all_well(allowance, window(allowance))
    assert [*limits, allowance.limit] == [16, 32, 64, 100, 100]


def test_the_start_is_never_above_the_ceiling():
    assert ConcurrencyLimit(16, 4, Clock()).limit == 4


def test_an_allowance_that_is_not_used_does_not_grow():
    allowance = ConcurrencyLimit(16, 100, Clock())
    for _ in range(100):
        all_well(allowance, [allowance.sent()])
    assert allowance.limit == 16


def test_a_rate_limit_lowers_by_a_fifth_once_for_all_that_was_in_flight():
    clock = Clock()
    allowance = ConcurrencyLimit(50, 100, clock)
    times = window(allowance)
    clock.now += 1
    for sent_at in times:
        allowance.returned()
        allowance.limited(sent_at, 2.0)
    assert allowance.limit == 40
    assert allowance.wait() == pytest.approx(2.0)
    clock.now += 3
    sent_at = allowance.sent()
    allowance.returned()
    allowance.limited(sent_at, None)
    assert allowance.limit < 40


def test_after_a_rate_limit_it_grows_by_a_twentieth_and_only_after_a_pause():
    clock = Clock()
    allowance = ConcurrencyLimit(50, 100, clock)
    times = window(allowance)
    for sent_at in times:
        allowance.returned()
        allowance.limited(sent_at, 0.0)
    assert allowance.limit == 40
    all_well(allowance, window(allowance))
    assert allowance.limit == 40
    clock.now += 6
    all_well(allowance, window(allowance))
    assert allowance.limit == 42
    all_well(allowance, window(allowance))
    assert allowance.limit == 44


def test_without_retry_after_the_pause_doubles():
    clock = Clock()
    allowance, pauses = ConcurrencyLimit(4, 4, clock), []
    for _ in range(5):
        sent_at = allowance.sent()
        allowance.returned()
        clock.now += 0.1
        allowance.limited(sent_at, None)
        pauses.append(allowance.wait())
        clock.now += pauses[-1]
    for number, pause in enumerate(pauses):
        assert 0.25 * 2**number <= pause <= 0.5 * 2**number


def refused_at_random(share: float, replies: int) -> ConcurrencyLimit:
    """What is allowed after so many replies within 0.2 s each, of which a share is refused without a word more."""
    clock, dice = Clock(), random.Random(5)
    allowance, flying = ConcurrencyLimit(16, 64, clock), deque()
    for _ in range(replies):
        while allowance.wait() == 0:
            flying.append(allowance.sent())
        if not flying:
            clock.now += allowance.wait()
            flying.append(allowance.sent())
        sent_at = flying.popleft()
        clock.now = max(clock.now, sent_at + 0.2)
        allowance.returned()
        if dice.random() < share:
            allowance.limited(sent_at, None)
        else:
            allowance.succeeded()
    return allowance


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_a_few_random_refusals_do_not_slow_it_down(share):
    assert refused_at_random(share, 5000).limit >= 48


def test_many_refusals_slow_it_down_until_few_are_left():
    assert refused_at_random(0.5, 2000).limit < 16


def test_a_server_error_holds_growth_but_takes_nothing_away():
    clock = Clock()
    allowance = ConcurrencyLimit(16, 100, clock)
    allowance.faltered(None)
    all_well(allowance, window(allowance))
    assert (allowance.limit, allowance.wait()) == (16, 0.0)
    clock.now += 6
    all_well(allowance, window(allowance))
    assert allowance.limit == 32


def test_a_full_server_must_answer_first():
    allowance = ConcurrencyLimit(2, 2, Clock())
    window(allowance)
    assert allowance.wait() == math.inf


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(["sent", "good", "limited", "failed", "later"]), max_size=200), st.integers(1, 40))
def test_the_allowance_stays_between_one_and_its_ceiling_whatever_happens(events, ceiling):
    clock = Clock()
    allowance, times = ConcurrencyLimit(16, ceiling, clock), []
    for event in events:
        clock.now += 1.0 if event == "later" else 0.01
        if event == "sent" and allowance.wait() == 0:
            times.append(allowance.sent())
        elif times and event in ("good", "limited", "failed"):
            sent_at = times.pop()
            allowance.returned()
            if event == "good":
                allowance.succeeded()
            elif event == "limited":
                allowance.limited(sent_at, None)
            else:
                allowance.faltered(None)
        assert 1 <= allowance.limit <= ceiling
        assert 0 <= allowance.in_flight <= ceiling
    clock.now += 100
    if not times:
        assert allowance.wait() == 0


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 50), max_size=100), st.floats(1, 10_000))
def test_a_bucket_never_gives_more_than_its_rate(amounts, per_minute):
    clock = Clock()
    bucket, spent, started = Bucket(per_minute, clock), 0.0, clock.now
    for amount in amounts:
        amount = min(amount, per_minute / 60 * 3)
        clock.now += bucket.wait(amount)
        bucket.spend(amount)
        spent += amount
        assert spent <= per_minute / 60 * (clock.now - started + 3) + 1e-6


def test_a_bucket_in_debt_waits_until_it_is_paid():
    clock = Clock()
    bucket = Bucket(60, clock)
    bucket.spend(13)
    assert bucket.wait(1) == pytest.approx(11)
    bucket.spend(-4)
    assert bucket.wait(1) == pytest.approx(7)


def test_a_single_request_larger_than_the_bucket_still_passes():
    bucket = Bucket(60, Clock())
    assert bucket.wait(1_000_000) == 0


def test_backoff_doubles_with_jitter_and_has_an_end():
    for failures in range(1, 60):
        full = min(30.0, 0.5 * 2.0 ** (failures - 1))
        found = {backoff(failures) for _ in range(20)}
        assert all(full / 2 <= seconds <= full for seconds in found)
        assert len(found) > 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0.25", 0.25), ("-3", 0.0), ("1e9", 60.0), ("inf", 60.0), ("nan", None), ("soon", None), ("", None)],
)
def test_retry_after_in_seconds(text, seconds):
    assert retry_after({"Retry-After": text}, 60.0) == seconds


def test_retry_after_as_a_date_needs_no_right_clock():
    server = datetime(1999, 5, 1, 12, 0, tzinfo=UTC)
    headers = {"Date": format_datetime(server, usegmt=True)}
    headers["Retry-After"] = format_datetime(server + timedelta(seconds=20), usegmt=True)
    assert retry_after(headers, 60.0) == 20.0


def test_a_date_far_away_is_bounded_and_one_in_the_past_is_now():
    assert retry_after({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 60.0) == 60.0
    assert retry_after({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 60.0) == 0.0


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_can_break_it(text, date):
    found = retry_after({"Retry-After": text, "Date": date}, 60.0)
    assert found is None or 0 <= found <= 60
