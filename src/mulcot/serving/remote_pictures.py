"""Pictures from other servers, only from hosts that were allowed by name.

The name is resolved here, every address must be a public one, and exactly these addresses are connected to: a name
that changes its mind between check and use gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from mulcot.errors import MulcotError
from mulcot.serving.error_responses import Unusable

SECONDS = 10
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity"}
"""Pictures are packed already, so a packed one is either broken or a bomb; it is taken as the bytes it is."""


class FetchProblem(Unusable):
    """A picture that cannot be fetched; says nothing about what lies behind the address."""

    code = "unreachable_image"
    message = "the picture cannot be fetched"


def is_public(address: str) -> bool:
    """Whether an address is of the open internet."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        # What else IPv6 knows (tunnels, translation) holds addresses of IPv4 that may lead inside.
        return found in GLOBAL_UNICAST and found.sixtofour is None and found.is_global
    return found.is_global and not found.is_multicast


def check_hosts(hosts: Sequence[str]) -> None:
    """Refuses what is no name of a host."""
    for host in hosts:
        if not _is_name(host):
            hint = "Give names, such as i.example.org."
            raise MulcotError(f"--allow-image-hosts: {host!r} is no host name", hint=hint)


class RemoteImages:
    """Fetches from the allowed hosts alone."""

    def __init__(
        self,
        hosts: Sequence[str],
        max_bytes: int,
        scheme: str = "https",
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        check_hosts(hosts)
        self.hosts = frozenset(host.lower() for host in hosts)
        self.max_bytes = max_bytes
        self.scheme = scheme
        self.allowed = allowed

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL."""
        if not self.hosts:
            raise Unusable("pictures are not fetched from URLs here; send them as base64", code="remote_image")
        try:
            parts = urlsplit(url)
            known = parts.scheme == self.scheme and "@" not in parts.netloc and parts.netloc.lower() in self.hosts
        except ValueError:
            known = False
        if not known:
            raise Unusable(
                f"pictures come only from {self.scheme}: {', '.join(sorted(self.hosts))}", code="remote_image"
            )
        try:
            async with asyncio.timeout(SECONDS):
                return await self._read(url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise FetchProblem from None

    async def _read(self, url: str) -> bytes:
        connector = aiohttp.TCPConnector(resolver=Pinned(self.allowed), use_dns_cache=False)
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            ) as session,
            session.get(url, allow_redirects=False, headers=HEADERS) as reply,
        ):
            if reply.status != 200:
                raise FetchProblem(f"the picture's server answered {reply.status}")
            data = bytearray()
            async for piece in reply.content.iter_chunked(65_536):
                data += piece
                if len(data) > self.max_bytes:
                    raise Unusable(f"the picture has more than {self.max_bytes:,} bytes", code="too_many_bytes")
            return bytes(data)


class Pinned(AbstractResolver):
    """Resolves once, and refuses a name that leads to any other address than a public one."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses that are connected to."""
        loop = asyncio.get_running_loop()
        found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        addresses = [entry[4][0] for entry in found]
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise OSError("not a public address")
        return [
            ResolveResult(
                hostname=host, host=entry[4][0], port=port, family=entry[0], proto=entry[2], flags=socket.AI_NUMERICHOST
            )
            for entry in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _is_name(host: str) -> bool:
    """An address would never be resolved, and so never be checked."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ipaddress.ip_address(name)
    except ValueError:
        return "/" not in host and "." in name and not name.replace(".", "").isdigit()
    return False
