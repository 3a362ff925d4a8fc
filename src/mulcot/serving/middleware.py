"""Every request passes here before the application sees it, and every reply on its way out.

Host and Origin, token, rate, size and speed of the body are checked in this order: an unknown client costs nothing.
Closed CORS would not be enough: a foreign page can send simple requests without asking, and a name that is made to
point here (DNS rebinding) makes it a page of ours.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mulcot.serving.error_responses import ClientLeft, Forbidden, Invalid, Problem, Unauthorised, code_locations
from mulcot.serving.prometheus import Monitor
from mulcot.serving.rate_limit import Rate
from mulcot.serving.receive_body import Body, BodyMemory
from mulcot.serving.settings import Serving

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
UPLOAD = "/v1/batch"
PROTECTED = ("/v1/", "/metrics", "/openapi.json")
"""What needs a token where there are any; the page itself and the health checks do not."""

log = logging.getLogger("mulcot.serving")


@dataclass
class Visit:
    """One request on its way through the middleware."""

    scope: Scope
    client: str = "anonymous"
    status: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    begun: float = field(default_factory=time.monotonic)

    def header(self, name: str) -> str:
        """A header that may occur once; several are refused."""
        found = [value for key, value in self.scope["headers"] if key == name.encode()]
        if len(found) > 1:
            raise Invalid(f"the header {name} is there {len(found)} times")
        return str(found[0].decode("latin-1")) if found else ""


class Guard:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, serving: Serving, monitor: Monitor, log_line: Callable[[str], None]) -> None:
        self.app = app
        self.serving = serving
        self.monitor = monitor
        self.rate = Rate(serving.rate)
        self.budget = BodyMemory(serving.limits.bodies)
        self._log_line = log_line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope)
        body = self._body(scope, receive)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                await body.drain()
                known = {name.lower() for name, _ in message["headers"]}
                extra = {**HEADERS, "x-request-id": visit.id, **({"connection": "close"} if body.unread else {})}
                pairs = [(name.encode(), value.encode()) for name, value in extra.items()]
                message["headers"] = [*message["headers"], *(pair for pair in pairs if pair[0] not in known)]
            body.answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._pass(visit, body, answer)
        finally:
            body.release()
            self._note(visit, body)

    async def _pass(self, visit: Visit, body: Body, send: Send) -> None:
        try:
            self._check(visit, body)
            await self.app(visit.scope, body.receive, send)
        except Exception as error:
            problem = error if isinstance(error, Problem) else Problem()
            if problem is not error:
                log.error("request %s failed: %s at %s", visit.id, type(error).__name__, code_locations(error))
            if not visit.status:
                response = JSONResponse(problem.body(), problem.status, dict(problem.headers))
                await response(visit.scope, body.receive, send)

    def _check(self, visit: Visit, body: Body) -> None:
        scope = visit.scope
        length, encoding = visit.header("content-length"), visit.header("transfer-encoding")
        body.announce(length, encoding)
        host = visit.header("host")
        if not self._known_host(host):
            raise Forbidden(f"this service is not called {host[:100]!r}; start it with --hostname", code="unknown_host")
        origin = visit.header("origin")
        if origin and _site(origin) != host.lower():
            raise Forbidden("requests from other sites are refused", code="foreign_origin")
        if visit.header("sec-fetch-site") in ("cross-site", "same-site") and scope["path"].startswith(PROTECTED):
            raise Forbidden("requests from other sites are refused", code="foreign_origin")
        if self.serving.tokens is not None and scope["path"].startswith(PROTECTED):
            scheme, _, secret = visit.header("authorization").partition(" ")
            owner = self.serving.tokens.owner(secret.strip()) if scheme.lower() == "bearer" else None
            if owner is None:
                raise Unauthorised
            visit.client = owner
        if scope["method"] == "POST" and scope["path"].startswith("/v1/"):
            self.rate.charge(visit.client)
        scope["charge"] = partial(self.rate.charge, visit.client)

    def _known_host(self, host: str) -> bool:
        """An address cannot be made to point here by somebody else, a name can."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
            if name in ("localhost", *(known.lower() for known in self.serving.hostnames)):
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _body(self, scope: Scope, receive: Receive) -> Body:
        limits = self.serving.limits
        if scope["path"] == UPLOAD:  # goes to disk piece by piece
            return Body(receive, limits.upload, limits.upload_seconds, None)
        return Body(receive, limits.body, limits.body_seconds, self.budget)

    def _note(self, visit: Visit, body: Body) -> None:
        """Counts and logs, without a word of what was asked or answered."""
        seconds = time.monotonic() - visit.begun
        status = ClientLeft.status if body.left else visit.status
        route = getattr(visit.scope.get("route"), "path", None) or "other"
        self.monitor.request(route, status, seconds)
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": visit.id,
            "client": visit.client,
            "method": visit.scope["method"][:10],
            "route": route,
            "status": status,
            "bytes": body.size,
            "ms": round(1000 * seconds, 1),
        }
        self._log_line(json.dumps(line))


def _site(origin: str) -> str:
    """The host and port of an origin; none where it is no address at all."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
