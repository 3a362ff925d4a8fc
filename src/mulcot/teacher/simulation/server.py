"""A real HTTP server that speaks the chat completions protocol and answers out of the synthetic world.

    mulcot teacher simulate --port 8000

It is called simulated wherever it appears. What it answers depends on the request alone, so an interrupted run and an
undisturbed one can be compared; what it fails at first, and when, does not change any answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from mulcot.records import Json, content_id
from mulcot.teacher.simulation.replies import SimulatedReply, answer
from mulcot.teacher.simulation.request_reading import BadRequest, PictureReader, understand
from mulcot.teacher.simulation.settings import Simulation, Troubles

MODEL = "simulated-teacher"
HUGE = 50_000_000
TRICKLE_S = 2.0
MAX_BODY = 40_000_000


class SimulatedServer:
    """One simulated teacher."""

    def __init__(self, simulation: Simulation, *, key: str | None = None) -> None:
        self.simulation = simulation
        self.key = key
        self.requests = 0
        self.answered: Counter[str] = Counter()
        """How often each request was answered; a client that asks a paid question twice shows here."""
        self._failed: Counter[str] = Counter()
        self._burst = 0
        self._reader = PictureReader()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/healthz", self.health)
        return app

    async def health(self, request: web.Request) -> web.Response:
        """How much was asked and answered."""
        repeated = sum(1 for times in self.answered.values() if times > 1)
        counts = {"requests": self.requests, "answered": self.answered.total(), "repeated": repeated}
        return web.json_response({"simulated": True, **counts})

    async def models(self, request: web.Request) -> web.Response:
        """The one model."""
        entry = {"id": MODEL, "object": "model", "owned_by": "mulcot, simulated"}
        return web.json_response({"object": "list", "data": [entry]})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answers, or fails as it is set to."""
        self.requests += 1
        if self.key is not None and not _authorized(request, self.key):
            return _error(401, "invalid_api_key", "the key is wrong")
        raw = await request.read()
        try:
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise BadRequest("the body must be an object")
            if body.get("model") != MODEL:
                return _error(404, "model_not_found", f"there is no model {body.get('model')!r} here, only {MODEL!r}")
            asked = understand(body, self._reader)
        except (ValueError, RecursionError) as error:
            return _error(400, "invalid_request_error", str(error))
        identity = hashlib.sha256(raw).hexdigest()
        trouble = self._trouble(identity)
        if trouble:
            return await _fail(request, trouble, self.simulation.troubles)
        limit = body.get("max_tokens", body.get("max_completion_tokens"))
        draw = content_id(*(str(body.get(name)) for name in ("temperature", "seed", "top_p")))
        reply = answer(asked, self.simulation, limit if isinstance(limit, int) else None, draw)
        await asyncio.sleep(self._latency(identity))
        self.answered[identity] += 1
        slow = _drawn(identity, "slow") < self.simulation.troubles.slow and self.answered[identity] == 1
        return await _send(request, reply, identity, stream=bool(body.get("stream")), slow=slow)

    def _trouble(self, identity: str) -> str:
        """How this request fails this time. The same request fails at most twice."""
        troubles = self.simulation.troubles
        if troubles.burst_every and self.requests % troubles.burst_every == 0:
            self._burst = troubles.burst_length
        if self._burst:
            self._burst -= 1
            return "rate_limited"
        place = _drawn(identity, "trouble")
        for kind in ("rate_limited", "server_errors", "dropped", "garbage", "huge"):
            place -= getattr(troubles, kind)
            if place < 0:
                self._failed[identity] += 1
                return kind if self._failed[identity] <= 1 + int(_drawn(identity, "times") * 2) else ""
        return ""

    def _latency(self, identity: str) -> float:
        median, spread = self.simulation.latency_ms / 1000, self.simulation.latency_spread
        return median * math.exp(spread * random.Random(identity).gauss(0, 1)) if median else 0.0


@asynccontextmanager
async def serving(server: SimulatedServer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """The server for as long as the block lasts; gives the port it listens on."""
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _authorized(request: web.Request, key: str) -> bool:
    given = request.headers.get("Authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {key}".encode())


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": {"message": message, "type": code, "code": code}}, status=status, headers=headers
    )


def _drawn(identity: str, what: str) -> float:
    return random.Random(f"{what}/{identity}").random()


async def _fail(request: web.Request, kind: str, troubles: Troubles) -> web.StreamResponse:
    if kind == "rate_limited":
        wait = None if troubles.retry_after is None else {"Retry-After": f"{troubles.retry_after:g}"}
        return _error(429, "rate_limit_exceeded", "slow down", wait)
    if kind == "server_errors":
        return _error(503, "overloaded", "try again")
    if kind == "garbage":
        return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")
    if kind == "huge":
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(HUGE // 1_000_000):
            await response.write(b" " * 1_000_000)
        return response
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _send(
    request: web.Request, reply: SimulatedReply, identity: str, *, stream: bool, slow: bool
) -> web.StreamResponse:
    head: Json = {"id": f"simulated-{identity[:16]}", "created": int(time.time()), "model": MODEL}
    usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
    usage["total_tokens"] = sum(usage.values())
    if stream:
        return await _stream(request, reply, head, usage)
    message: Json = {"role": "assistant", "content": reply.text}
    if reply.refusal is not None:
        message = {"role": "assistant", "content": None, "refusal": reply.refusal}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    body = json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    if not slow:
        return web.Response(body=body, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for start in range(0, len(body), len(body) // 10 + 1):
        await response.write(body[start : start + len(body) // 10 + 1])
        await asyncio.sleep(TRICKLE_S / 10)
    return response


async def _stream(request: web.Request, reply: SimulatedReply, head: Json, usage: Json) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)

    async def event(choices: list[Any], **rest: Any) -> None:
        data = json.dumps({**head, "object": "chat.completion.chunk", "choices": choices, **rest})
        await response.write(f"data: {data}\n\n".encode())

    await event([{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}])
    for piece in re.findall(r"\s*\S+|\s+$", reply.text):
        await event([{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
    await event([{"index": 0, "delta": {}, "finish_reason": reply.finish}])
    await event([], usage=usage)
    await response.write(b"data: [DONE]\n\n")
    return response
