"""Running the service and opening its page, with an eye on what the page does beside what it shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from mulcot.serving.app import build
from mulcot.serving.server import bind, make_server
from mulcot.serving.settings import Serving
from mulcot.tasks.base import Task

from .sage import Sage


class Site(NamedTuple):
    """A running service."""

    url: str
    app: Any


@contextmanager
def serve(task: Task | None = None, *, first_chain: bool = False, **options: Any) -> Iterator[Site]:
    predictor = Sage(task, first_chain=first_chain)
    serving = Serving(name="demo", port=0, **options)
    app = build(predictor, serving)
    listener = bind(serving)
    server = make_server(app, serving)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    assert server.started
    try:
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}/", app)
    finally:
        server.should_exit = True
        thread.join(20)


class Watched:
    """What a page does beside what it shows."""

    def __init__(self, page: Any, origin: str) -> None:
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of complaints that a test causes on purpose."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._request(request.url, origin))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.foreign.append(url)

    def check(self) -> None:
        left = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert not left
        assert not self.foreign


class Open:
    """Opens pages, and checks at the end that none complained or asked elsewhere."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.watched: list[Watched] = []

    def __call__(self, site: Site, *, ready: bool = True, expected: tuple[str, ...] = (), **options: Any) -> Any:
        context = self._browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        page = context.new_page()
        watched = Watched(page, site.url)
        watched.expected = expected
        self.watched.append(watched)
        page.goto(site.url)
        if ready:
            page.wait_for_selector("#send:enabled")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        for watched in self.watched:
            watched.check()


def ask(page: Any, text: str) -> None:
    """Asks about a text and waits for the whole answer."""
    page.fill("#text", text)
    page.click("#send")
    page.locator(".said", has_text=text).wait_for()
    page.wait_for_selector(".foot button")
