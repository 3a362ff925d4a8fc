"""A service on a real loopback port, in a thread of the test."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mulcot.serving.app import build
from mulcot.serving.server import GracefulServer, bind, make_server
from mulcot.serving.service import Service
from mulcot.serving.settings import Serving


@dataclass
class Running:
    """Where it is, and what can be asked of it."""

    port: int
    service: Service
    server: GracefulServer
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, body: Any = None, *, method: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own; `body` is bytes or becomes JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if raw is None else {"Content-Type": "application/json"}
        try:
            connection.request(method or ("GET" if raw is None else "POST"), path, raw, {**kind, **(headers or {})})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None, **rest: Any) -> tuple[int, Any]:
        status, _, raw = self.ask(path, body, **rest)
        return status, json.loads(raw)


@contextmanager
def served(predictor: Any, **options: Any) -> Iterator[Running]:
    serving = Serving(port=0, **{"name": "fake", "deadline": 60.0, **options})
    lines: list[dict[str, Any]] = []
    with bind(serving) as listener:
        app = build(predictor, serving, lambda line: lines.append(json.loads(line)))
        server = make_server(app, serving)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        inner: Any = app.app
        try:
            yield Running(listener.getsockname()[1], inner.state.service, server, lines)
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()
