"""Many examples, few hands, and stopping in good order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from mulcot.errors import Interrupted, TeacherError
from mulcot.teacher.transport import concurrency as crowd
from mulcot.teacher.transport.concurrency import Stop, run_all


async def test_every_job_is_done_once_and_never_more_at_a_time_than_allowed():
    done, now, most = [], 0, 0

    async def work(job: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001 * (job % 3))
        now -= 1
        done.append(job)

    await run_all(range(100), work, width=7)
    assert sorted(done) == list(range(100))
    assert most == 7


async def test_jobs_are_pulled_only_when_there_is_a_free_hand():
    pulled, done = 0, 0

    def jobs() -> Iterator[int]:
        nonlocal pulled
        for number in range(1000):
            assert pulled - done <= 5
            pulled += 1
            yield number

    async def work(job: int) -> None:
        nonlocal done
        await asyncio.sleep(0)
        done += 1

    await run_all(jobs(), work, width=5)
    assert (pulled, done) == (1000, 1000)


async def test_jobs_may_come_from_an_asynchronous_source():
    async def jobs():
        for number in range(20):
            await asyncio.sleep(0)
            yield number

    done = []

    async def work(job: int) -> None:
        done.append(job)

    await run_all(jobs(), work, width=4)
    assert sorted(done) == list(range(20))


async def test_the_first_error_is_raised_nothing_new_begins_and_what_is_under_way_finishes():
    begun, finished = [], []

    async def work(job: int) -> None:
        begun.append(job)
        await asyncio.sleep(0.01 if job == 3 else 0.05)
        if job == 3:
            raise TeacherError("the key is wrong")
        finished.append(job)

    with pytest.raises(TeacherError, match="the key is wrong"):
        await run_all(range(1000), work, width=5)
    assert begun == [0, 1, 2, 3, 4]
    assert finished == [0, 1, 2, 4]


async def test_after_an_error_nobody_is_waited_for_forever(monkeypatch):
    monkeypatch.setattr(crowd, "GRACE_SECONDS", 0.05)

    async def work(job: int) -> None:
        if job == 1:
            raise TeacherError("over")
        await asyncio.sleep(60)

    with pytest.raises(TeacherError, match="over"):
        await asyncio.wait_for(run_all(range(10), work, width=3), 5)


async def test_an_error_of_the_source_is_raised():
    def jobs() -> Iterator[int]:
        yield 1
        raise ValueError("a bad line")

    async def work(job: int) -> None:
        await asyncio.sleep(0)

    with pytest.raises(ValueError, match="a bad line"):
        await run_all(jobs(), work, width=3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_finishes_what_is_under_way_and_says_how_to_continue(number):
    stop, told, begun, finished = Stop(), [], [], []
    stop.listen(lambda: told.append("stop"))

    async def work(job: int) -> None:
        begun.append(job)
        if job == 2:
            os.kill(os.getpid(), number)
        await asyncio.sleep(0.05)
        finished.append(job)

    with pytest.raises(Interrupted) as caught:
        await run_all(range(1000), work, width=4, stop=stop, hint="Run it again.")
    assert caught.value.hint == "Run it again."
    assert told == ["stop"]
    assert sorted(finished) == sorted(begun) == [0, 1, 2, 3]


async def test_the_second_signal_does_not_wait():
    async def work(job: int) -> None:
        if job == 0:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.02)
        await asyncio.sleep(60)

    with pytest.raises(Interrupted, match="at once"):
        await asyncio.wait_for(run_all(range(10), work, width=2), 5)


async def test_signals_are_given_back_afterwards():
    before = signal.getsignal(signal.SIGTERM)

    async def work(job: int) -> None:
        assert signal.getsignal(signal.SIGTERM) != before

    await run_all(range(3), work, width=1)
    assert signal.getsignal(signal.SIGTERM) == before


async def test_work_that_is_interrupted_by_the_stop_is_no_error():
    stop = Stop()

    async def work(job: int) -> None:
        stop.request()
        raise Interrupted("not sent")

    with pytest.raises(Interrupted, match="everything paid for is saved"):
        await run_all(range(5), work, width=2, stop=stop)


async def test_an_interruption_that_nobody_wished_is_an_error():
    async def work(job: int) -> None:
        raise Interrupted("the teacher is not open")

    with pytest.raises(Interrupted, match="not open"):
        await run_all(range(5), work, width=2)


async def test_a_late_listener_is_told_too():
    stop, told = Stop(), []
    stop.request()
    stop.request()
    stop.listen(lambda: told.append(1))
    assert told == [1]


async def test_being_cancelled_ends_all_hands():
    gone = []

    async def work(job: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            gone.append(job)

    task = asyncio.create_task(run_all(range(10), work, width=3))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(gone) == [0, 1, 2]
