"""Several servers: who is asked, who is taken out, who comes back. On a clock of our own."""

from __future__ import annotations

import asyncio
import math

import pytest

from mulcot.teacher.backends.openai_compatible import OpenAICompatible
from mulcot.teacher.base import CallError, ErrorKind
from mulcot.teacher.transport.endpoints import SICK_AFTER, Endpoint, Endpoints, Slot
from mulcot.teacher.transport.http_settings import HttpTeacher


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settings(**rest) -> HttpTeacher:
    return OpenAICompatible(**{"base_url": "http://h/v1", "model": "m", **rest})


def error(kind: ErrorKind = ErrorKind.SERVER, **rest) -> CallError:
    return CallError(kind, "no", **rest)


def take(endpoints: Endpoints) -> Slot:
    found = endpoints._choose(None, 0.0)
    assert isinstance(found, Endpoint)
    return Slot(found, found.allowance.sent())


def give(endpoints: Endpoints, slot: Slot, failure: CallError | None = None) -> None:
    if failure is None:
        endpoints.succeeded(slot, 0.0, None)
    else:
        endpoints.failed(slot, failure)
    slot.endpoint.allowance.returned()


def test_the_first_request_goes_alone_until_something_has_succeeded():
    endpoints = Endpoints(("a", "b"), settings(), Clock())
    slot = take(endpoints)
    assert endpoints._choose(None, 0.0) == math.inf
    give(endpoints, slot, error(ErrorKind.BAD_REQUEST))
    slot = take(endpoints)
    assert endpoints._choose(None, 0.0) == math.inf
    give(endpoints, slot)
    assert len([take(endpoints) for _ in range(32)]) == 32
    assert endpoints._choose(None, 0.0) == math.inf


def test_the_least_loaded_is_asked():
    endpoints = Endpoints(("a", "b", "c"), settings(), Clock())
    give(endpoints, take(endpoints))
    assert sorted(take(endpoints).endpoint.url for _ in range(9)) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3


def test_the_total_is_kept_over_all_servers():
    endpoints = Endpoints(("a", "b"), settings(concurrency=5), Clock())
    give(endpoints, take(endpoints))
    for _ in range(5):
        take(endpoints)
    assert endpoints._choose(None, 0.0) == math.inf


def test_who_has_just_failed_is_avoided_where_there_is_another():
    endpoints = Endpoints(("a", "b"), settings(), Clock())
    give(endpoints, take(endpoints))
    first = endpoints.all[0]
    for _ in range(3):
        found = endpoints._choose(first, 0.0)
        assert isinstance(found, Endpoint)
        assert found.url == "b"
        found.allowance.sent()


def test_a_server_that_fails_fast_does_not_attract_everything_because_it_is_idle():
    endpoints = Endpoints(("a", "b"), settings(), Clock())
    give(endpoints, take(endpoints))
    give(endpoints, take(endpoints), error())
    give(endpoints, take(endpoints), error())
    failures = {endpoint.url: endpoint.failures for endpoint in endpoints.all}
    assert failures == {"a": 1, "b": 1}
    give(endpoints, take(endpoints))
    steady = next(endpoint.url for endpoint in endpoints.all if not endpoint.failures)
    assert [take(endpoints).endpoint.url for _ in range(4)] == [steady] * 4


async def test_a_turn_given_to_somebody_who_left_is_given_back():
    endpoints = Endpoints(("a",), settings(concurrency=1), Clock())
    slot = await endpoints.acquire()
    waiting = asyncio.create_task(endpoints.acquire())
    await asyncio.sleep(0)
    endpoints.release(slot)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert endpoints.load().in_flight == 0


def test_a_server_that_keeps_failing_is_taken_out_probed_alone_and_taken_back():
    clock = Clock()
    endpoints = Endpoints(("a",), settings(), clock)
    give(endpoints, take(endpoints))
    slots = [take(endpoints) for _ in range(SICK_AFTER)]
    for slot in slots:
        assert endpoints.load().healthy == 1
        give(endpoints, slot, error())
    assert endpoints.load().healthy == 0
    waits = []
    for _ in range(4):
        wait = endpoints._choose(None, 0.0)
        assert isinstance(wait, float)
        waits.append(wait)
        clock.now += wait
        probe = take(endpoints)
        assert endpoints._choose(None, 0.0) == math.inf
        give(endpoints, probe, error())
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]
    clock.now += 60
    give(endpoints, take(endpoints))
    assert endpoints.load().healthy == 1
    assert len([take(endpoints) for _ in range(10)]) == 10


def test_failures_that_arrive_together_do_not_lengthen_the_pause():
    clock = Clock()
    endpoints = Endpoints(("a",), settings(concurrency=64, start_concurrency=64), clock)
    give(endpoints, take(endpoints))
    for slot in [take(endpoints) for _ in range(64)]:
        give(endpoints, slot, error())
    wait = endpoints._choose(None, 0.0)
    assert isinstance(wait, float)
    assert wait <= 0.5 / 100


def test_a_refused_request_shows_that_the_server_lives():
    clock = Clock()
    endpoints = Endpoints(("a",), settings(), clock)
    give(endpoints, take(endpoints))
    for slot in [take(endpoints) for _ in range(SICK_AFTER)]:
        give(endpoints, slot, error())
    clock.now += 60
    give(endpoints, take(endpoints), error(ErrorKind.BAD_REQUEST))
    assert endpoints.load().healthy == 1


def test_a_rate_limit_is_no_sickness():
    clock = Clock()
    endpoints = Endpoints(("a",), settings(), clock)
    give(endpoints, take(endpoints))
    for _ in range(SICK_AFTER * 2):
        clock.now += 31
        give(endpoints, take(endpoints), error(ErrorKind.RATE_LIMIT))
    assert endpoints.load().healthy == 1


def test_patience_ends_only_when_nothing_succeeds_anywhere():
    clock = Clock()
    endpoints = Endpoints(("a", "b"), settings(patience=100), clock)
    give(endpoints, take(endpoints))
    for number in range(20):
        clock.now += 50
        give(endpoints, take(endpoints), error() if number % 2 else None)
    give(endpoints, take(endpoints), error())
    clock.now += 99
    give(endpoints, take(endpoints), error())
    clock.now += 40
    with pytest.raises(CallError, match="no request has succeeded for 1") as caught:
        give(endpoints, take(endpoints), error())
    assert caught.value.fatal


def test_an_address_that_was_never_right_is_given_up_sooner():
    clock = Clock()
    endpoints = Endpoints(("a",), settings(), clock)
    give(endpoints, take(endpoints), error(ErrorKind.CONNECTION))
    clock.now += 61
    with pytest.raises(CallError, match="61 s"):
        give(endpoints, take(endpoints), error(ErrorKind.CONNECTION))


def test_tokens_per_minute_learn_from_what_was_really_used():
    clock = Clock()
    endpoints = Endpoints(("a",), settings(tokens_per_minute=6000), clock)
    found = endpoints._choose(None, 100.0)
    assert isinstance(found, Endpoint)
    slot = Slot(found, found.allowance.sent())
    endpoints.succeeded(slot, 100.0, 1100.0)
    slot.endpoint.allowance.returned()
    assert endpoints._choose(None, 100.0) == pytest.approx(9.0)
