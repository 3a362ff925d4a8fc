"""Running the application: a server with time limits for slow clients and a graceful stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mulcot.errors import MulcotError
from mulcot.serving.middleware import Guard
from mulcot.serving.settings import Limits, Serving

GRACE = 5.0
"""Seconds beyond the deadline that a request may take to be sent."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def patient_protocol(limits: Limits) -> type[H11Protocol]:
    """A connection that ends when its header takes too long, or when its client no longer reads."""

    class Patient(H11Protocol):
        _header_timer: asyncio.TimerHandle | None = None
        _reading_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch_header()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_header()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading_timer = self.loop.call_later(limits.reading_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._reading_timer is not None:
                self._reading_timer.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._header_timer, self._reading_timer):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def _watch_header(self) -> None:
            """The time runs from the first byte of a header to its last, and from the beginning."""
            waits = self.cycle is None or self.cycle.response_complete
            if waits and self._header_timer is None:
                self._header_timer = self.loop.call_later(limits.header_seconds, self.transport.abort)
            elif not waits and self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None

    return Patient


class GracefulServer(uvicorn.Server):
    """Graceful stop on SIGTERM and Ctrl-C: requests that were accepted are answered, new ones are not accepted."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike the original, it does not raise the signal again when all is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(app: Guard, serving: Serving) -> GracefulServer:
    """A server that has not begun."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return GracefulServer(
        uvicorn.Config(
            app,
            host=serving.host,
            port=serving.port,
            http=patient_protocol(serving.limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=serving.limits.connections,
            backlog=serving.limits.connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(serving.deadline + GRACE),
        )
    )


def bind(serving: Serving) -> socket.socket:
    """The listening socket, so that a taken port is a clear error before the model is loaded."""
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    # Named in full, since asyncio switches Nagle's delay of 40 ms off only where it sees that this is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
    except OSError as error:
        listener.close()
        where = f"{serving.host}:{serving.port}"
        raise MulcotError(f"cannot listen on {where}: {error.strerror}", hint="Try another --port.") from None
    listener.listen(serving.limits.connections)
    listener.set_inheritable(True)
    return listener
