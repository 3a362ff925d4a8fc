"""Asking once and never again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from mulcot.errors import Interrupted
from mulcot.teacher.base import CallError, Sampling
from mulcot.teacher.transport.concurrency import Stop, run_all
from mulcot.teacher.transport.ledger import Ledger
from mulcot.teacher.transport.remembering_client import Client, open_client


def echo(number: int, body: Any) -> Any:
    text = f"{body['messages'][-1]['content']} #{number}"
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    return {"model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage}


async def test_a_committed_reply_is_never_asked_for_again(loopback, teacher, ask, tmp_path):
    server = await loopback(echo)
    for round_number in (1, 2):
        with Ledger(tmp_path / "l.sqlite") as ledger:
            async with open_client(teacher(server), ledger) as client:
                replies = [await client.ask(ask(f"{n}")) for n in range(5)]
                assert [reply.text for reply in replies] == [f"{n} #{n + 1}" for n in range(5)]
                assert all(reply.remembered == (round_number == 2) for reply in replies)
    assert len(server.asked) == 5


async def test_another_attempt_sampling_or_model_is_asked_anew(loopback, teacher, ask, tmp_path):
    server = await loopback(echo)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        for model in ("m", "n"):
            async with open_client(teacher(server, model=model), ledger) as client:
                for request in (ask("p"), ask("p", attempt=2), ask("p", sampling=Sampling(seed=4))):
                    await client.ask(request)
    assert len(server.asked) == 6


async def test_a_reply_counts_only_when_it_is_on_disk(loopback, teacher, ask, tmp_path, monkeypatch):
    server = await loopback(echo)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with open_client(teacher(server), ledger) as client:
            never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            monkeypatch.setattr(ledger, "commit", lambda attempt: never)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ask(ask()), 0.3)
    assert len(server.asked) == 1


async def test_equal_requests_at_the_same_time_are_one(loopback, teacher, ask, tmp_path):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.05)
        return echo(number, body)

    server = await loopback(slow)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with open_client(teacher(server), ledger) as client:
            replies = await asyncio.gather(*(client.ask(ask("same", example_id=f"{n}")) for n in range(10)))
    assert {reply.text for reply in replies} == {"same #1"}
    assert len(server.asked) == 1


async def test_when_the_one_who_asked_fails_the_others_ask_for_themselves(loopback, teacher, ask, tmp_path):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.05)
        return echo(number, body)

    server = await loopback(slow)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with open_client(teacher(server), ledger) as client:
            tasks = [asyncio.create_task(client.ask(ask("same"))) for _ in range(3)]
            await asyncio.sleep(0.02)
            tasks[0].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1].text == found[2].text == "same #2"
    assert len(server.asked) == 2


async def test_a_cache_is_shared_between_runs_and_costs_nothing_twice(loopback, teacher, ask, tmp_path):
    server = await loopback(echo)
    for run in ("one", "two"):
        with Ledger(tmp_path / f"{run}.sqlite") as ledger, Ledger(tmp_path / "cache.sqlite") as cache:
            async with open_client(teacher(server), ledger, cache=cache) as client:
                for number in range(4):
                    assert (await client.ask(ask(f"{number}"))).text == f"{number} #{number + 1}"
            totals = ledger.totals()
            assert (totals.replies, totals.from_cache) == ((4, 0) if run == "one" else (0, 4))
            assert [a.origin for a in ledger.attempts()] == (["asked"] if run == "one" else ["cache"]) * 4
    assert len(server.asked) == 4


async def test_every_failed_try_stands_in_the_ledger_with_its_reason(loopback, teacher, ask, tmp_path):
    def answer(number: int, body: Any) -> Any:
        return web.Response(status=500, text="out of memory") if number < 3 else echo(number, body)

    server = await loopback(answer)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with open_client(teacher(server), ledger) as client:
            await client.ask(ask("p"))
        found = list(ledger.attempts("p"))
    assert [attempt.error for attempt in found] == ["server", "server", ""]
    assert found[0].detail == "HTTP 500: out of memory"
    assert len({attempt.key for attempt in found}) == 1
    assert found[2].reply is not None
    assert (found[2].purpose, found[2].teacher) == ("teach", "m")
    assert found[2].sampling == {"temperature": 0.0, "max_tokens": 1024}


async def test_what_is_known_is_known_without_a_teacher(loopback, teacher, ask, tmp_path):
    server = await loopback(echo)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with open_client(teacher(server), ledger) as client:
            await client.ask(ask("p"))
        client = Client(teacher(server), ledger)
        known = client.known(ask("p"))
        assert known is not None and known.text == "p #1"
        assert client.known(ask("q")) is None
        with pytest.raises(Interrupted):
            await client.ask(ask("q"))


async def test_no_key_reaches_any_file(loopback, teacher, ask, tmp_path, monkeypatch):
    secret = "tk-1234-very-secret-5678"
    monkeypatch.setenv("A_KEY", secret)

    def answer(number: int, body: Any) -> Any:
        if number == 1:
            return web.Response(status=500, text=f"Authorization: Bearer {secret}")
        if number == 3:
            return web.json_response({"error": {"message": f"bad key {secret}"}}, status=401)
        return echo(number, {"messages": [{"content": f"you sent {secret}"}]})

    server = await loopback(answer)
    with Ledger(tmp_path / "l.sqlite") as ledger, Ledger(tmp_path / "cache.sqlite") as cache:
        async with open_client(teacher(server, api_key_env="A_KEY"), ledger, cache=cache) as client:
            with pytest.raises(CallError, match="repeats the key"):
                await client.ask(ask("p"))
            with pytest.raises(CallError) as caught:
                await client.ask(ask("q"))
    with Ledger(tmp_path / "l.sqlite", read_only=True) as ledger:
        assert [attempt.error for attempt in ledger.attempts()] == ["server", "key_repeated", "unauthorized"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert secret not in str(caught.value)


@pytest.mark.parametrize("key", ["x", "none", "None", "EMPTY", "e", "token-abc123", "sk-no-key-required"])
async def test_a_key_that_may_be_a_word_changes_no_byte_of_any_reply(
    loopback, teacher, ask, tmp_path, monkeypatch, key
):
    said = f"none of the damage is EMPTY, x 6 None token-abc123 sk-no-key-required {key}{key} {key}"
    monkeypatch.setenv("A_KEY", key)

    def answer(number: int, body: Any) -> Any:
        message = {"content": said, "reasoning": said}
        return {"model": said, "choices": [{"message": message, "finish_reason": "stop"}]}

    server = await loopback(answer)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with open_client(teacher(server, api_key_env="A_KEY"), ledger) as client:
            await client.ask(ask("p"))
        (attempt,) = ledger.attempts()
    assert attempt.reply is not None
    assert (attempt.reply.text, attempt.reply.reasoning, attempt.reply.model) == (said, said, said)


async def test_an_interrupted_run_continues_and_asks_each_request_once(loopback, teacher, ask, tmp_path):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.01)
        return echo(number, body)

    server = await loopback(slow)
    rounds = 0
    for after in (10, 25, 1000):
        stop, done = Stop(), []
        with Ledger(tmp_path / "l.sqlite") as ledger:
            async with open_client(teacher(server, concurrency=4), ledger, stop=stop) as client:

                async def work(number: int, client: Client = client, stop: Stop = stop, done: list = done) -> None:
                    await client.ask(ask(f"{number}"))
                    done.append(number)
                    if len(done) >= after:  # noqa: B023
                        stop.request()

                rounds += 1
                if after < 60:
                    with pytest.raises(Interrupted):
                        await run_all(range(60), work, width=8, stop=stop)
                else:
                    await run_all(range(60), work, width=8, stop=stop)
    assert sorted(done) == list(range(60))
    texts = [body["messages"][-1]["content"] for body in server.asked]
    assert sorted(texts) == sorted(f"{n}" for n in range(60))
