"""Sending requests to chat completions servers until one answers: the session behind every HTTP teacher."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from mulcot.teacher.base import CallError, ErrorKind, Load, Observer, Reply, Request
from mulcot.teacher.transport.endpoints import Endpoint, Endpoints, Slot
from mulcot.teacher.transport.http_settings import HttpTeacher
from mulcot.teacher.transport.key_redaction import Key, read_key
from mulcot.teacher.transport.openai_protocol import Dialect, read_reply, write_body
from mulcot.teacher.transport.throttle import backoff, retry_after
from mulcot.version import __version__

PICTURE_TOKENS = 256
"""A first guess, until the server's own counts are known."""
HOPELESS = 5
"""Refused requests, before any success, that mean the recipe is wrong and not one example."""
OUTAGE_COUNTS = 0.25
"""A dropped connection or a bad gateway says little about the request, as long as the server lives; else nothing."""
MOST_RATE_LIMITS = 100
"""For one request, while others pass."""
REFUSED = frozenset({ErrorKind.BAD_REQUEST, ErrorKind.REQUEST_TOO_LARGE, ErrorKind.CONTEXT, ErrorKind.KEY_REPEATED})


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which servers, which model, with which key."""

    urls: tuple[str, ...]
    """Each without `/chat/completions`."""
    model: str
    api_key_env: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def open_session(
    teacher: HttpTeacher, target: Target, observer: Observer | None = None
) -> AsyncIterator[HttpSession]:
    """A session with its connections, closed at the end. Raises `TeacherError` where the key is missing."""
    key = read_key(target.api_key_env)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": f"mulcot/{__version__}"}
    if key.value:
        headers["Authorization"] = f"Bearer {key.value}"
    endpoints = Endpoints(target.urls, teacher)
    timeout = aiohttp.ClientTimeout(total=teacher.timeout, sock_connect=teacher.connect_timeout)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
        headers=headers,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=teacher.use_proxy,
    ) as http:
        try:
            yield HttpSession(teacher, target, endpoints, http, key, observer)
        finally:
            endpoints.close()


class HttpSession:
    """An opened HTTP teacher."""

    def __init__(
        self,
        teacher: HttpTeacher,
        target: Target,
        endpoints: Endpoints,
        http: aiohttp.ClientSession,
        key: Key,
        observer: Observer | None,
    ) -> None:
        self._teacher = teacher
        self._target = target
        self._endpoints = endpoints
        self._http = http
        self._key = key
        self._observer = observer
        self._dialect = Dialect(schema=teacher.structured == "json_schema")
        self._usual_tokens: float | None = None
        self._refused = 0
        self._ever = False
        self._fatal: CallError | None = None

    async def complete(self, request: Request) -> Reply:
        """The reply; what may pass when repeated is repeated."""
        pictures = [await picture.data_url() for picture in request.pictures]
        failures, limits = 0.0, 0
        avoid: Endpoint | None = None
        while True:
            expected = self._expected_tokens(request)
            slot = await self._endpoints.acquire(expected, avoid=avoid)
            if self._fatal is not None:  # whoever waited meanwhile would only fail in the same way
                self._endpoints.release(slot)
                raise self._fatal
            sent = dataclasses.replace(self._dialect)
            body = write_body(request, self._target.model, pictures, sent, self._target.extra_body)
            outcome = await self._try(request, slot, body, expected)
            if isinstance(outcome, Reply):
                return outcome
            if outcome.kind == ErrorKind.BAD_REQUEST and self._dialect.learn(outcome.message, sent):
                continue
            if not outcome.retryable:
                raise self._weighed(outcome)
            avoid = slot.endpoint
            if outcome.kind == ErrorKind.RATE_LIMIT:
                limits += 1
            elif not outcome.outage:
                failures += 1
            elif await self._alive(slot.endpoint):
                failures += OUTAGE_COUNTS
            if failures >= self._teacher.tries or limits >= MOST_RATE_LIMITS:
                raise outcome
            if outcome.kind != ErrorKind.RATE_LIMIT:
                await self._endpoints.pause(backoff(failures))
            elif outcome.retry_after is None:  # the others may go on; this one lets some time pass
                await self._endpoints.pause(backoff(1))

    def drain(self) -> None:
        """Starts nothing any more."""
        self._endpoints.drain()

    def load(self) -> Load:
        """How busy the servers are."""
        return self._endpoints.load()

    async def _try(self, request: Request, slot: Slot, body: bytes, expected: float) -> Reply | CallError:
        """Sends once. Everybody who must know of the outcome knows it before the slot is given back."""
        try:
            started = time.monotonic()
            reply = await self._exchange(slot.endpoint.url, body)
            reply = dataclasses.replace(reply, latency=time.monotonic() - started)
            self._ever = True
            self._endpoints.succeeded(slot, expected, self._count_tokens(reply))
            return reply
        except CallError as error:
            if error.fatal:
                self._fatal = error
            if self._observer is not None:
                self._observer(request, error)
            self._endpoints.failed(slot, error)
            return error
        finally:
            self._endpoints.release(slot)

    async def _exchange(self, url: str, body: bytes) -> Reply:
        try:
            async with self._http.post(
                URL(f"{url}/chat/completions", encoded=True), data=body, allow_redirects=False
            ) as response:
                raw = await self._read(response)
                wait = retry_after(response.headers, self._teacher.patience)
                status = response.status
        except aiohttp.ClientSSLError as error:
            hint = "The server's certificate cannot be verified."
            raise CallError(ErrorKind.ENDPOINT, f"{url}: {self._words(error)}", hint=hint) from None
        except aiohttp.ConnectionTimeoutError:
            message = f"{url}: no connection within {self._teacher.connect_timeout:g} s"
            raise CallError(ErrorKind.CONNECTION, message, outage=True) from None
        except TimeoutError:
            message = f"{url}: no reply within {self._teacher.timeout:g} s"
            hint = "Raise `timeout`, or lower `concurrency`."
            raise CallError(ErrorKind.TIMEOUT, message, hint=hint) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CallError(ErrorKind.CONNECTION, f"{url}: {self._words(error)}", outage=True) from None
        try:
            return read_reply(status, raw, self._key)
        except CallError as error:
            error.retry_after = wait
            raise

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, within the limit; beyond it the connection is dropped."""
        limit = self._teacher.max_reply_bytes
        size, chunks = 0, []
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > limit:
                response.close()
                raise CallError(
                    ErrorKind.OVERSIZED, f"the reply is larger than {limit} bytes; reading was stopped there"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    async def _alive(self, endpoint: Endpoint) -> bool:
        """Whether a server that did not answer this request answers at all; then the failure is the request's own."""
        try:
            async with self._http.get(
                URL(f"{endpoint.url}/models", encoded=True),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._teacher.connect_timeout),
            ) as response:
                return response.status not in (502, 503, 504)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            return False

    def _weighed(self, error: CallError) -> CallError:
        """The same refusal again and again, without any success, is no longer about one example."""
        if error.kind in REFUSED and not self._ever:
            self._refused += 1
            if self._refused >= HOPELESS:
                error.fatal = True
        return error

    def _expected_tokens(self, request: Request) -> float:
        if self._usual_tokens is not None:
            return self._usual_tokens
        return (len(request.system) + len(request.user)) / 4 + PICTURE_TOKENS * (len(request.pictures) + 1)

    def _count_tokens(self, reply: Reply) -> float | None:
        usage = reply.usage
        if usage.prompt is None or usage.completion is None:
            return None
        tokens = float(usage.prompt + usage.completion)
        usual = self._usual_tokens
        self._usual_tokens = tokens if usual is None else 0.95 * usual + 0.05 * tokens
        return tokens

    def _words(self, error: Exception) -> str:
        return self._key.hidden(f"{type(error).__name__}: {error}")
