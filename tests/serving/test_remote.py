from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from mulcot.errors import MulcotError
from mulcot.serving import remote_pictures as remote
from mulcot.serving.error_responses import Unusable
from mulcot.serving.remote_pictures import RemoteImages, is_public


@asynccontextmanager
async def pictures() -> AsyncIterator[int]:
    """A server of pictures, good and bad."""

    async def picture(_: web.Request) -> web.Response:
        return web.Response(body=b"picture")

    async def redirect(_: web.Request) -> web.Response:
        raise web.HTTPFound("/picture")

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async def large(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        for _ in range(100):
            await reply.write(b"x" * 1000)
        return reply

    async def packed(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * 9_000), headers={"Content-Encoding": "gzip"})

    app = web.Application()
    for name, handler in {
        "picture": picture,
        "redirect": redirect,
        "slow": slow,
        "large": large,
        "packed": packed,
    }.items():
        app.router.add_get(f"/{name}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def images(port: int, **options: Any) -> RemoteImages:
    known = {"scheme": "http", "allowed": lambda address: address == "127.0.0.1", **options}
    return RemoteImages([f"pictures.test:{port}"], 10_000, **known)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this machine."""
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(self: Any, host: str, port: int, **rest: Any) -> Any:
        return await real(self, "127.0.0.1", port, **rest)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def test_a_picture_of_an_allowed_host_is_fetched() -> None:
    async with pictures() as port:
        assert await images(port).fetch(f"http://pictures.test:{port}/picture") == b"picture"


async def test_nothing_fetched_is_unpacked() -> None:
    async with pictures() as port:
        assert len(await images(port).fetch(f"http://pictures.test:{port}/packed")) < 100


@pytest.mark.parametrize("path", ["redirect", "large", "slow", "missing"])
async def test_redirects_large_slow_and_missing_pictures_are_refused(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SECONDS", 0.3 if path == "slow" else 5)
    async with pictures() as port:
        with pytest.raises(Unusable) as refused:
            await images(port).fetch(f"http://pictures.test:{port}/{path}")
    assert refused.value.code == ("too_many_bytes" if path == "large" else "unreachable_image")


async def test_an_allowed_name_that_leads_inside_is_refused() -> None:
    async with pictures() as port:
        with pytest.raises(Unusable) as refused:
            await images(port, allowed=is_public).fetch(f"http://pictures.test:{port}/picture")
    assert refused.value.code == "unreachable_image"
    assert "127" not in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}/picture",
        "https://other.test/x",
        "https://{host}@other.test/x",
        "https://user@{host}/x",
        "https://{host}.other.test/x",
        "https://{host}:8080/x",
        "https://[::1]/x",
        "file:///etc/passwd",
        "https://[/x",
    ],
)
async def test_nothing_but_https_from_exactly_the_allowed_host_is_tried(url: str) -> None:
    found = RemoteImages(["pictures.test"], 10_000, allowed=lambda _: pytest.fail("it was looked up"))
    with pytest.raises(Unusable) as refused:
        await found.fetch(url.format(host="pictures.test"))
    assert refused.value.code == "remote_image"


async def test_without_a_list_nothing_is_fetched() -> None:
    with pytest.raises(Unusable, match="not fetched"):
        await RemoteImages([], 10_000).fetch("https://pictures.test/x")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.0.0.1:80", "localhost", "a.b/c", "", "http://a.b", "2130706433"]
)
def test_only_names_can_be_allowed(host: str) -> None:
    with pytest.raises(MulcotError, match="no host name"):
        RemoteImages([host], 10_000)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("::7f00:1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("ff02::1", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    assert is_public(address) is public
