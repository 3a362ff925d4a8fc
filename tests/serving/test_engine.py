from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from mulcot.predict.posts import Post
from mulcot.records import Prediction, Rejected
from mulcot.serving.batching_engine import Engine, submit
from mulcot.serving.error_responses import Busy, Closing, NoMemory, Problem, TooLate
from mulcot.serving.jobs import JobEvent, JobKind
from mulcot.serving.prometheus import Monitor

from .fakes import Fake, Unfolding, chain_of, label_of

LABEL, CHAIN = JobKind(label_only=True), JobKind()


@contextmanager
def running(fake: Fake, **options: Any) -> Iterator[Engine]:
    engine = Engine(fake, monitor=Monitor(), **options)
    engine.start()
    try:
        yield engine
    finally:
        if fake.gate is not None:
            fake.gate.set()
        engine.stop()


def state(engine: Engine, deadline: float = 60) -> Any:
    return SimpleNamespace(engine=engine, deadline=deadline)


async def watch(engine: Engine, post: Post, deadline: float = 60) -> AsyncIterator[JobEvent]:
    (job,) = engine.admit([post], CHAIN, deadline, streamed=True)
    try:
        async with aclosing(job.news()) as news:
            async for told in news:
                yield told
    finally:
        engine.leave(job)


async def settled(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("kind", [Fake, Unfolding])
async def test_everybody_gets_their_own_answer_and_most_share_a_batch(kind: type[Fake]) -> None:
    fake = kind(seconds=0.005)
    with running(fake) as engine:
        posts = [Post(text="word " * n) for n in range(1, 33)]
        found = await asyncio.gather(
            *(submit(state(engine), post, label_only=n % 2 == 0) for n, post in enumerate(posts))
        )
    for number, (post, answer) in enumerate(zip(posts, found, strict=True)):
        assert isinstance(answer, Prediction)
        assert answer.label == label_of(post.text)
        assert answer.chain == (None if number % 2 == 0 else chain_of(post.text))
    assert len(fake.batches) <= 8


async def test_a_lone_request_does_not_wait_for_company() -> None:
    with running(Fake()) as engine:
        await submit(state(engine), Post(text="a"))
        took = []
        for _ in range(20):
            started = time.monotonic()
            await submit(state(engine), Post(text="a"))
            took.append(time.monotonic() - started)
        assert min(took) < 0.02, "waiting would slow all of them, a busy machine only some"


async def test_what_cannot_be_asked_is_rejected_alone() -> None:
    with running(Fake()) as engine:
        bad, good = await asyncio.gather(*(submit(state(engine), Post(text=text)) for text in (" ", "good")))
    assert isinstance(bad, Rejected)
    assert isinstance(good, Prediction)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    fake = Fake()
    fake.gate = threading.Event()
    with running(fake, room=3) as engine:
        first = asyncio.ensure_future(submit(state(engine), Post(text="first")))
        await settled(lambda: fake.batches)
        waiting = [asyncio.ensure_future(submit(state(engine), Post(text="next"))) for _ in range(3)]
        await settled(lambda: engine.waiting == 3)
        with pytest.raises(Busy) as refused:
            await submit(state(engine), Post(text="too much"))
        assert int(refused.value.headers["Retry-After"]) >= 1
        fake.gate.set()
        assert all(isinstance(one, Prediction) for one in await asyncio.gather(first, *waiting))


async def test_several_questions_are_admitted_together_or_not_at_all() -> None:
    fake = Fake()
    fake.gate = threading.Event()
    with running(fake, room=3) as engine:
        engine.admit([Post(text="first")], LABEL, 10)
        await settled(lambda: fake.batches)
        engine.admit([Post(text="a")] * 2, LABEL, 10)
        with pytest.raises(Busy):
            engine.admit([Post(text="b")] * 2, LABEL, 10)
        assert engine.waiting == 2


async def test_the_deadline_ends_the_waiting_and_the_work() -> None:
    fake = Unfolding(seconds=0.05)
    with running(fake) as engine:
        with pytest.raises(TooLate):
            await submit(state(engine), Post(text="slow"), deadline=0.2)
        await settled(lambda: not engine._running)


async def test_who_leaves_the_queue_is_never_asked_about() -> None:
    fake = Fake()
    fake.gate = threading.Event()
    with running(fake) as engine:
        first = asyncio.ensure_future(submit(state(engine), Post(text="first")))
        await settled(lambda: fake.batches)
        second = asyncio.ensure_future(submit(state(engine), Post(text="second")))
        await settled(lambda: engine.waiting == 1)
        second.cancel()
        await settled(lambda: engine.waiting == 0)
        fake.gate.set()
        await first
        await submit(state(engine), Post(text="third"))
    assert fake.batches == [["first"], ["third"]]


async def test_a_stream_is_told_in_order_and_stops_when_its_reader_leaves() -> None:
    fake = Unfolding(seconds=0.01)
    with running(fake) as engine:
        told = [one async for one in watch(engine, Post(text="watched"))]
        assert isinstance(told[0].news, Prediction)
        assert told[0].news.chain is None
        assert "".join(one.news for one in told[1:-1]) == chain_of("watched")
        assert told[-1].last
        async with aclosing(watch(engine, Post(text="left"))) as stream:
            await anext(stream)
        await settled(lambda: not engine._running)
        assert engine.alive


async def test_labels_pass_by_chains_that_are_being_written() -> None:
    fake = Unfolding(seconds=0.02)
    with running(fake) as engine:
        chains = [asyncio.ensure_future(submit(state(engine), Post(text=f"slow {n}"))) for n in range(6)]
        await settled(lambda: engine._running)
        await submit(state(engine), Post(text="fast"), label_only=True)
        assert not any(chain.done() for chain in chains)
        assert await asyncio.gather(*chains)


@pytest.mark.parametrize("kind", [Fake, Unfolding])
async def test_a_poisonous_request_fails_alone_and_tells_nothing(kind: type[Fake]) -> None:
    fake = kind(seconds=0.01)
    fake.gate = threading.Event() if kind is Fake else None
    with running(fake) as engine:
        texts = ["begin", "good", "poison", "good too", "also good"]
        first = asyncio.ensure_future(submit(state(engine), Post(text=texts[0])))
        await settled(lambda: fake.batches)
        rest = [asyncio.ensure_future(submit(state(engine), Post(text=text))) for text in texts[1:]]
        await asyncio.sleep(0.05)
        if fake.gate is not None:
            fake.gate.set()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        assert [isinstance(one, Prediction) for one in found] == [True, True, False, True, True]
        assert type(found[2]) is Problem
        assert "secret" not in str(found[2])
        assert isinstance(await submit(state(engine), Post(text="after")), Prediction)


async def test_a_stream_beside_a_poisonous_request_repeats_nothing() -> None:
    fake = Unfolding(seconds=0.01)
    with running(fake) as engine:
        jobs = engine.admit([Post(text="watched"), Post(text="poison")], CHAIN, 10, streamed=True)
        told = [one async for one in jobs[0].news()]
        assert "".join(one.news for one in told if isinstance(one.news, str)) == chain_of("watched")
        assert sum(isinstance(one.news, Prediction) for one in told) == 2
        with pytest.raises(Problem):
            _ = [one async for one in jobs[1].news()]


async def test_what_does_not_fit_into_memory_is_tried_in_halves() -> None:
    fake = Fake()
    fake.too_many, fake.gate = 4, threading.Event()
    with running(fake) as engine:
        first = asyncio.ensure_future(submit(state(engine), Post(text="first")))
        await settled(lambda: fake.batches)
        rest = [asyncio.ensure_future(submit(state(engine), Post(text=f"post {n}"))) for n in range(9)]
        await settled(lambda: engine.waiting == 9)
        fake.gate.set()
        assert all(isinstance(one, Prediction) for one in await asyncio.gather(first, *rest))
        assert [len(batch) for batch in fake.batches] == [1, 9, 5, 3, 2, 4, 2, 2]
        fake.too_many = 1
        with pytest.raises(NoMemory):
            await submit(state(engine), Post(text="alone"))


async def test_what_was_admitted_is_finished_before_the_end() -> None:
    fake = Fake(seconds=0.02)
    with running(fake, batch_size=2) as engine:
        asked = [asyncio.ensure_future(submit(state(engine), Post(text=f"post {n}"))) for n in range(7)]
        await settled(lambda: fake.batches)
        stopping = asyncio.ensure_future(asyncio.to_thread(engine.stop))
        await settled(lambda: not engine.alive)
        with pytest.raises(Closing):
            await submit(state(engine), Post(text="too late"))
        assert all(isinstance(one, Prediction) for one in await asyncio.gather(*asked))
        await stopping
