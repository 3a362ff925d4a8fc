"""The HTTP session against real servers that behave badly in every way we know."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from typing import Any

import pytest
from aiohttp import web

from mulcot.errors import Interrupted, TeacherError
from mulcot.teacher.base import CallError, ErrorKind, Finish, Reply, Sampling
from mulcot.teacher.transport.images import Picture

OK = {"model": "m-1", "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}


def fails(status: int, times: int, **rest: Any) -> Any:
    """Fails so often, then answers."""

    def answer(number: int, body: Any) -> Any:
        if number <= times:
            return web.json_response({"error": {"message": "no"}}, status=status, **rest)
        return OK

    return answer


async def test_system_comes_first_and_pictures_stand_before_the_text(loopback, teacher, ask):
    server = await loopback()
    request = ask("what?", pictures=(Picture.of_jpeg(b"\xff\xd8one"), Picture.of_jpeg(b"\xff\xd8two")))
    async with teacher(server).session() as session:
        reply = await session.complete(request)
    body = server.asked[0]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "image_url", "text"]
    assert body["messages"][1]["content"][0]["image_url"]["url"] == "data:image/jpeg;base64,/9hvbmU="
    assert (body["stream"], body["temperature"], body["max_tokens"]) == (False, 0.0, 1024)
    assert (reply.text, reply.finish, reply.model) == ("fine", Finish.STOP, "m-1")
    assert (reply.usage.prompt, reply.usage.completion, reply.usage.cached) == (7, 3, None)
    assert 0 < reply.latency < 5


async def test_options_that_are_null_are_not_sent(loopback, teacher, ask):
    server = await loopback()
    async with teacher(server, extra_body={"top_k": 5}).session() as session:
        await session.complete(ask(sampling=Sampling(temperature=None, max_tokens=None, seed=3)))
    assert server.asked[0].keys() == {"model", "messages", "stream", "seed", "top_k"}


@pytest.mark.parametrize("status", [500, 502, 503, 529, 408, 409])
async def test_a_burst_of_server_errors_is_sat_out(status, loopback, teacher, ask):
    server = await loopback(fails(status, 4))
    async with teacher(server).session() as session:
        assert (await session.complete(ask())).text == "fine"
    assert len(server.asked) == 5


async def test_a_request_that_always_fails_gives_up_after_its_tries_and_others_are_not_harmed(
    loopback, teacher, ask, gather
):
    def answer(number: int, body: Any) -> Any:
        poison = body["messages"][1]["content"] == "poison"
        return web.Response(status=500, text="boom") if poison else OK

    server = await loopback(answer)
    async with teacher(server, tries=3).session() as session:
        found = await gather(session, [ask("poison"), *(ask(f"good {n}") for n in range(30))])
    assert isinstance(found[0], CallError)
    assert (found[0].kind, found[0].fatal) == (ErrorKind.SERVER, False)
    assert all(isinstance(reply, Reply) for reply in found[1:])
    assert sum(body["messages"][1]["content"] == "poison" for body in server.asked) == 3


async def test_random_refusals_of_a_few_per_cent_leave_the_others_going(loopback, teacher, ask, gather):
    async def answer(number: int, body: Any) -> Any:
        await asyncio.sleep(0.02)
        return web.json_response({"error": {"message": "no"}}, status=429) if number % 25 == 24 else OK

    server = await loopback(answer)
    async with teacher(server, concurrency=32).session() as session:
        assert all(isinstance(reply, Reply) for reply in await gather(session, [ask(f"{n}") for n in range(600)]))
        assert session.load().limit == 32


async def test_retry_after_is_honoured_in_seconds(loopback, teacher, ask):
    server = await loopback(fails(429, 1, headers={"Retry-After": "0.4"}))
    async with teacher(server).session() as session:
        started = time.monotonic()
        await session.complete(ask())
    assert time.monotonic() - started >= 0.4


async def test_a_rate_limit_storm_loses_nothing_and_asks_for_less(loopback, teacher, ask, gather):
    tokens = {"left": 20.0, "at": time.monotonic()}
    times: list[int] = []

    async def answer(number: int, body: Any) -> Any:
        now = time.monotonic()
        tokens["left"] = min(20.0, tokens["left"] + (now - tokens["at"]) * 200)
        tokens["at"] = now
        if tokens["left"] < 1:
            times.append(number)
            return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "0.05"})
        tokens["left"] -= 1
        await asyncio.sleep(0.01)
        return OK

    server = await loopback(answer)
    async with teacher(server).session() as session:
        found = await gather(session, [ask(f"{n}") for n in range(300)])
        limit = session.load().limit
    assert all(isinstance(reply, Reply) for reply in found)
    assert times
    assert len(times) < 300
    assert limit < 64


async def test_waiting_for_a_rate_limit_does_not_use_up_tries(loopback, teacher, ask):
    server = await loopback(fails(429, 6, headers={"Retry-After": "0"}))
    async with teacher(server, tries=2).session() as session:
        assert (await session.complete(ask())).text == "fine"


async def test_an_empty_account_is_not_a_rate_limit(loopback, teacher, ask):
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server = await loopback(lambda number, _: web.json_response(body, status=429))
    async with teacher(server).session() as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
    assert (caught.value.kind, caught.value.fatal, len(server.asked)) == (ErrorKind.QUOTA, True, 1)


async def test_half_the_connections_dropped_loses_nothing(loopback, teacher, ask, gather):
    server = await loopback(lambda number, body: None if number % 2 else OK)
    async with teacher(server).session() as session:
        found = await gather(session, [ask(f"{n}") for n in range(100)])
    assert [getattr(reply, "text", reply) for reply in found] == ["fine"] * 100


async def test_a_connection_dropped_in_the_middle_of_a_reply_is_tried_again(loopback, teacher, ask):
    class Torn(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> Any:
            writer = await super().prepare(request)
            await self.write(b'{"choices"')
            request.transport.abort()
            return writer

    server = await loopback(lambda number, body: OK if number > 1 else Torn(headers={"Content-Length": "5000"}))
    seen = []
    async with teacher(server).session(lambda request, error: seen.append(error.kind)) as session:
        assert (await session.complete(ask())).text == "fine"
    assert seen == [ErrorKind.CONNECTION]


async def test_a_request_that_kills_its_connection_gives_up_while_the_server_lives(loopback, teacher, ask):
    server = await loopback(lambda number, body: None)
    seen = []
    async with teacher(server, tries=3).session(lambda request, error: seen.append(error.kind)) as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
    assert (caught.value.kind, caught.value.fatal) == (ErrorKind.CONNECTION, False)
    assert seen == [ErrorKind.CONNECTION] * 12


async def test_a_slow_body_ends_in_a_timeout(loopback, teacher, ask):
    async def drip(number: int, body: Any) -> Any:
        await asyncio.sleep(30)

    server = await loopback(drip)
    async with teacher(server, timeout=0.2, tries=2).session() as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
    assert caught.value.kind == ErrorKind.TIMEOUT
    assert "0.2 s" in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [7]}',
        b"[" * 200_000,
        b'{"choices":' * 100_000,
        b"\xff\xfe\x00garbage",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'data: {"choices": []}\n\n',
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_garbage_is_tried_again_and_then_given_up(body, loopback, teacher, ask):
    server = await loopback(lambda number, _: web.Response(body=body, content_type="text/html"))
    async with teacher(server, tries=2).session() as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
    assert (caught.value.kind, caught.value.fatal) == (ErrorKind.GARBAGE, False)
    assert len(server.asked) == 2
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("announced", [True, False])
async def test_a_reply_of_fifty_megabytes_is_not_read(announced, loopback, teacher, ask):
    written = 0

    class Flood(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> Any:
            nonlocal written
            writer = await super().prepare(request)
            with contextlib.suppress(ConnectionError):
                for _ in range(50):
                    await self.write(b"x" * 1_000_000)
                    written += 1
            return writer

    def answer(number: int, body: Any) -> Any:
        if number > 1:
            return OK
        return Flood(headers={"Content-Length": str(50_000_000)} if announced else {})

    server = await loopback(answer)
    seen = []
    async with teacher(server).session(lambda request, error: seen.append(error)) as session:
        assert (await session.complete(ask())).text == "fine"
    assert [error.kind for error in seen] == [ErrorKind.OVERSIZED]
    assert written < 40


async def test_a_compressed_bomb_is_not_unpacked(loopback, teacher, ask):
    bomb = gzip.compress(b"0" * 50_000_000)
    server = await loopback(
        lambda number, _: OK if number > 1 else web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
    )
    seen = []
    async with teacher(server).session(lambda request, error: seen.append(error)) as session:
        assert (await session.complete(ask())).text == "fine"
    assert [error.kind for error in seen] == [ErrorKind.OVERSIZED]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": "Incorrect API key provided"}}, ErrorKind.UNAUTHORIZED),
        (403, {"message": "forbidden"}, ErrorKind.UNAUTHORIZED),
        (402, {"error": {"message": "Insufficient Balance"}}, ErrorKind.QUOTA),
        (404, {"object": "error", "message": "The model `m` does not exist."}, ErrorKind.UNKNOWN_MODEL),
        (400, {"error": {"message": "x", "code": "model_not_found"}}, ErrorKind.UNKNOWN_MODEL),
        (404, {"detail": "Not Found"}, ErrorKind.UNKNOWN_MODEL),
        (302, {}, ErrorKind.ENDPOINT),
        (405, {}, ErrorKind.ENDPOINT),
    ],
)
async def test_what_would_fail_every_request_stops_at_once_with_a_hint(status, body, kind, loopback, teacher, ask):
    headers = {"Location": "http://127.0.0.1:9/elsewhere"} if status == 302 else {}
    server = await loopback(lambda number, _: web.json_response(body, status=status, headers=headers))
    async with teacher(server).session() as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
    assert (caught.value.kind, caught.value.fatal, len(server.asked)) == (kind, True, 1)
    assert caught.value.hint


async def test_a_wrong_key_is_sent_once_however_many_requests_wait(loopback, teacher, ask, gather):
    async def answer(number: int, body: Any) -> Any:
        await asyncio.sleep(0.05)
        return web.json_response({"error": {"message": "bad key"}}, status=401)

    server = await loopback(answer)
    async with teacher(server).session() as session:
        tasks = [asyncio.create_task(session.complete(ask(f"{n}"))) for n in range(50)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        session.drain()
        rest = await asyncio.gather(*tasks, return_exceptions=True)
    assert len(server.asked) == 1
    assert all(isinstance(error, Interrupted | CallError) for error in rest)
    assert all(error.fatal for error in rest if isinstance(error, CallError))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "maximum context length is 4096 tokens"}}, ErrorKind.CONTEXT),
        (413, {}, ErrorKind.REQUEST_TOO_LARGE),
        (400, {"error": {"message": "what is this"}}, ErrorKind.BAD_REQUEST),
    ],
)
async def test_a_refused_request_fails_alone_after_a_success_and_stops_the_run_before(
    status, body, kind, loopback, teacher, ask
):
    def answer(number: int, sent: Any) -> Any:
        return OK if "good" in sent["messages"][1]["content"] else web.json_response(body, status=status)

    server = await loopback(answer)
    fatal = []
    for first in ("good", "bad"):
        async with teacher(server).session() as session:
            with contextlib.suppress(CallError):
                await session.complete(ask(first))
            for number in range(5):
                with pytest.raises(CallError) as caught:
                    await session.complete(ask(f"bad {number}"))
                assert caught.value.kind == kind
            fatal.append(caught.value.fatal)
    assert fatal == [False, True]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "content_filter", "message": "The response was filtered"}},
        {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."},
    ],
)
async def test_a_filtered_request_is_a_reply_that_says_so(body, loopback, teacher, ask):
    server = await loopback(lambda number, _: web.json_response(body, status=400))
    async with teacher(server).session() as session:
        reply = await session.complete(ask())
    assert (reply.text, reply.finish) == ("", Finish.FILTERED)


async def test_a_server_without_schemas_is_asked_for_text_from_then_on(loopback, teacher, ask):
    def answer(number: int, body: Any) -> Any:
        if "response_format" in body:
            return web.json_response({"error": {"message": "response_format json_schema not supported"}}, status=400)
        return OK

    server = await loopback(answer)
    request = ask(schema={"type": "object"})
    async with teacher(server, structured="json_schema").session() as session:
        await session.complete(request)
        await session.complete(request)
    assert ["response_format" in body for body in server.asked] == [True, False, False]
    assert server.asked[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}


async def test_many_requests_refused_for_their_schema_at_once_are_all_asked_for_text(loopback, teacher, ask, gather):
    async def answer(number: int, body: Any) -> Any:
        await asyncio.sleep(0.02)
        if "response_format" in body:
            return web.json_response({"error": {"message": "response_format is unknown"}}, status=400)
        return OK

    server = await loopback(answer)
    async with teacher(server, structured="json_schema").session() as session:
        await session.complete(ask("first"))
        found = await gather(session, [ask(f"{n}", schema={"type": "object"}) for n in range(8)])
    assert [getattr(reply, "text", reply) for reply in found] == ["fine"] * 8


async def test_schemas_are_only_sent_where_the_recipe_asks_for_them(loopback, teacher, ask):
    server = await loopback()
    async with teacher(server).session() as session:
        await session.complete(ask(schema={"type": "object"}))
    assert "response_format" not in server.asked[0]


async def test_a_server_with_another_name_for_the_token_limit_is_understood(loopback, teacher, ask):
    def answer(number: int, body: Any) -> Any:
        if "max_tokens" in body:
            text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return web.json_response({"error": {"message": text}}, status=400)
        return OK

    server = await loopback(answer)
    async with teacher(server).session() as session:
        await session.complete(ask())
    assert server.asked[1]["max_completion_tokens"] == 1024


async def test_a_server_that_is_gone_for_a_while_is_waited_for(loopback, teacher, ask, gather):
    server = await loopback()
    port = int(server.url.split(":")[2].split("/")[0])
    await server.stop()

    async def come_back() -> Any:
        await asyncio.sleep(0.5)
        return await loopback(port=port)

    async with teacher(server, tries=1).session() as session:
        back = asyncio.create_task(come_back())
        found = await gather(session, [ask(f"{n}") for n in range(40)])
        again = await back
    assert all(isinstance(reply, Reply) for reply in found), found
    assert len(again.asked) == 40


async def test_a_server_that_stays_away_stops_the_run_and_says_how_to_continue(teacher, ask):
    async with teacher("http://127.0.0.1:9/v1", tries=1, patience=0.3).session() as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
    assert (caught.value.kind, caught.value.fatal) == (ErrorKind.ENDPOINT, True)
    assert "same command continues" in caught.value.hint


async def test_a_sick_server_is_left_alone_and_the_other_does_the_work(loopback, teacher, ask, gather):
    well = await loopback()
    sick = await loopback(lambda number, body: web.Response(status=500))
    async with teacher(sick, well).session() as session:
        found = await gather(session, [ask(f"{n}") for n in range(200)])
        load = session.load()
    assert all(isinstance(reply, Reply) for reply in found)
    assert len(well.asked) == 200
    assert len(sick.asked) < 40
    assert (load.endpoints, load.healthy) == (2, 1)


async def test_work_is_shared_among_servers_by_load(loopback, teacher, ask, gather):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.05)
        return OK

    async def fast(number: int, body: Any) -> Any:
        await asyncio.sleep(0.01)
        return OK

    one, two = await loopback(slow), await loopback(fast)
    async with teacher(one, two, concurrency=8).session() as session:
        await gather(session, [ask(f"{n}") for n in range(120)])
    assert len(two.asked) > len(one.asked) > 10
    assert one.most_in_flight + two.most_in_flight <= 16


async def test_no_more_are_in_flight_than_allowed(loopback, teacher, ask, gather):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.02)
        return OK

    server = await loopback(slow)
    async with teacher(server, concurrency=5).session() as session:
        await gather(session, [ask(f"{n}") for n in range(60)])
    assert server.most_in_flight == 5


async def test_requests_per_minute_are_kept(loopback, teacher, ask, gather):
    server = await loopback()
    async with teacher(server, requests_per_minute=1200).session() as session:
        started = time.monotonic()
        await gather(session, [ask(f"{n}") for n in range(80)])
    assert time.monotonic() - started >= 0.9  # 20 per second, three seconds' worth in advance


async def test_draining_finishes_what_is_in_flight_and_stops_the_rest(loopback, teacher, ask):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.1)
        return OK

    server = await loopback(slow)
    async with teacher(server, concurrency=3).session() as session:
        await session.complete(ask("first"))
        tasks = [asyncio.create_task(session.complete(ask(f"{n}"))) for n in range(10)]
        await asyncio.sleep(0.03)
        session.drain()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(item) for item in found] == [Reply] * 3 + [Interrupted] * 7
    assert len(server.asked) == 4


async def test_a_cancelled_request_gives_its_place_back(loopback, teacher, ask):
    async def slow(number: int, body: Any) -> Any:
        await asyncio.sleep(0.1)
        return OK

    server = await loopback(slow)
    async with teacher(server, concurrency=1).session() as session:
        task = asyncio.create_task(session.complete(ask()))
        await asyncio.sleep(0.03)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert session.load().in_flight == 0
        assert (await asyncio.wait_for(session.complete(ask()), 2)).text == "fine"


async def test_the_key_is_sent_and_appears_nowhere_else(loopback, teacher, ask, monkeypatch, caplog):
    secret = "tk-9f8e7d6c5b4a-secret"
    monkeypatch.setenv("SOME_KEY", f" {secret}\n")
    caplog.set_level("DEBUG")

    def answer(number: int, body: Any) -> Any:
        if number == 1:
            return web.json_response({"error": {"message": f"wrong: {secret} / Bearer {secret}"}}, status=500)
        if number == 2:
            return web.Response(text=f"<b>{secret}</b>", status=200)
        if number == 3:
            return web.json_response({**OK, "model": secret, "choices": [{"message": {"content": f"its {secret}"}}]})
        if number == 4:
            return web.Response(status=302, headers={"Location": f"http://127.0.0.1/{secret}"}, text=secret)
        return web.Response(text=json.dumps({"error": f"{secret}"}), status=401, reason=secret)

    server = await loopback(answer)
    made = teacher(server, api_key_env="SOME_KEY")
    seen: list[str] = [repr(made), json.dumps(made.identity()), json.dumps(made.answers_as())]
    async with made.session(lambda request, error: seen.append(f"{error!s}{error!r}{error.hint}")) as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
        assert caught.value.kind == ErrorKind.KEY_REPEATED
        seen.append(str(caught.value) + repr(vars(session)["_key"]))
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
        seen.append(str(caught.value))
    async with made.session(lambda request, error: seen.append(f"{error!s}{error!r}{error.hint}")) as session:
        with pytest.raises(CallError) as caught:
            await session.complete(ask())
        seen.append(str(caught.value))
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {secret}"] * 5
    assert len(seen) == 11
    assert not [text for text in [*seen, caplog.text] if secret in text]


async def test_a_missing_key_is_reported_before_anything_is_sent(loopback, teacher, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    server = await loopback()
    with pytest.raises(TeacherError, match="NO_SUCH_KEY is not set"):
        async with teacher(server, api_key_env="NO_SUCH_KEY").session():
            pass
    monkeypatch.setenv("NO_SUCH_KEY", "two words")
    with pytest.raises(TeacherError, match="is no key") as caught:
        async with teacher(server, api_key_env="NO_SUCH_KEY").session():
            pass
    assert "two words" not in str(caught.value)


async def test_a_wall_clock_that_jumps_changes_nothing(loopback, teacher, ask, monkeypatch):
    server = await loopback(fails(503, 3))
    wall = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(wall)))
    async with teacher(server).session() as session:
        reply = await asyncio.wait_for(session.complete(ask()), 5)
    assert 0 <= reply.latency < 5
