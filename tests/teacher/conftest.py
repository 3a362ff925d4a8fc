"""A real loopback server whose behaviour is one function, and requests to send to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from mulcot.teacher.backends.openai_compatible import OpenAICompatible
from mulcot.teacher.base import Request


def completion(text: str = "fine", **rest: Any) -> dict[str, Any]:
    message = rest.pop("message", {"role": "assistant", "content": text})
    usage = rest.pop("usage", {"prompt_tokens": 7, "completion_tokens": 3})
    return {"model": "m-1", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage, **rest}


class Loopback:
    """Counts and keeps what was asked; `answer(number, body)` decides, from the first request (1) on."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.models_status = 200
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(json.loads(await request.read()))
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            found = self.answer(len(self.asked), self.asked[-1])
            if isinstance(found, Awaitable):
                found = await found
        finally:
            self.in_flight -= 1
        if found is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": []}, status=self.models_status)


Start = Callable[..., Awaitable[Loopback]]


@pytest.fixture
async def loopback() -> AsyncIterator[Start]:
    """Starts servers that end with the test."""
    runners: list[web.AppRunner] = []

    async def start(answer: Callable[..., Any] = lambda number, body: completion(), port: int = 0) -> Loopback:
        server = Loopback(answer)
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", server.handle)
        app.router.add_get("/v1/models", server.models)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        runners.append(runner)
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        server.stop = runner.cleanup  # type: ignore[attr-defined]
        return server

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting a hundredth of the usual time between tries."""
    from mulcot.teacher.transport import endpoints, throttle
    from mulcot.teacher.transport import http_session as transport

    def quick(failures: int, **rest: Any) -> float:
        return throttle.backoff(failures, **rest) / 100

    monkeypatch.setattr(endpoints, "backoff", quick)
    monkeypatch.setattr(transport, "backoff", quick)


@pytest.fixture
def teacher() -> Callable[..., OpenAICompatible]:
    def make(*servers: Loopback | str, **settings: Any) -> OpenAICompatible:
        urls = tuple(server if isinstance(server, str) else server.url for server in servers)
        return OpenAICompatible(**{"base_url": urls, "model": "m", "timeout": 5.0, **settings})

    return make


@pytest.fixture
def ask() -> Callable[..., Request]:
    def make(user: str = "post", **rest: Any) -> Request:
        return Request(**{"system": "rules", "user": user, "example_id": user, "purpose": "teach", **rest})

    return make


@pytest.fixture
def gather() -> Callable[..., Awaitable[list[Any]]]:
    async def all_of(session: Any, requests: list[Request]) -> list[Any]:
        return await asyncio.gather(*(session.complete(request) for request in requests), return_exceptions=True)

    return all_of
