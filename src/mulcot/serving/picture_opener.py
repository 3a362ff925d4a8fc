"""Opening pictures beside the event loop, a few at a time, and never more than the memory may hold.

A small file can hold a large picture, so what is counted is the opened picture, from before it is opened until nobody
refers to it any more. A post is made ready for the model at once: that is smaller than its
picture, and the model's thread has less to do.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from PIL import Image

from mulcot.errors import MediaError
from mulcot.media import ImageLimits, open_image
from mulcot.predict.posts import Post, Prepared
from mulcot.records import Rejected
from mulcot.serving.error_responses import Busy, Problem, Unusable, code_locations
from mulcot.serving.remote_pictures import RemoteImages

THREADS = 2
Source = str | bytes | Callable[[], bytes]
"""Base64, a data URL or a URL; bytes; or what reads them."""
T = TypeVar("T")

log = logging.getLogger("mulcot.serving")


class Prepare(Protocol):
    """Makes a post ready without the model."""

    def __call__(self, item: Post, *, label_only: bool) -> Prepared | Rejected:
        """The post, or why it cannot be asked."""
        ...


class Held:
    """What is open. It forgets by itself what nobody refers to any more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._things: WeakValueDictionary[int, Image.Image | Prepared] = WeakValueDictionary()

    @property
    def used(self) -> int:
        """Bytes."""
        return sum(_size(thing) for ref in self._things.valuerefs() if (thing := ref()) is not None)

    def add(self, thing: Image.Image | Prepared) -> None:
        """Counts it for as long as it lives."""
        self._things[id(thing)] = thing


class PictureOpener:
    """Opens pictures, and makes posts with pictures ready for the model."""

    def __init__(self, limits: ImageLimits, remote: RemoteImages, held: Held, prepare: Prepare | None = None) -> None:
        self.limits = limits
        self.remote = remote
        self.held = held
        self._prepare = prepare
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="mulcot-picture")
        self._desks = asyncio.Semaphore(THREADS)

    async def ready(self, post: Post, sources: Sequence[Source], *, label_only: bool) -> Post | Prepared:
        """The post with its pictures; raises `Unusable` where it cannot be asked about."""
        if not sources:
            return post
        here = [await self._here(source) for source in sources]
        found = await self._beside(self._post, post, here, label_only)
        if isinstance(found, Rejected):
            raise Unusable.of(found)
        return found

    async def open(self, source: Source) -> Image.Image:
        """A picture alone."""
        return await self._beside(self._open, await self._here(source))

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)

    async def _here(self, source: Source) -> Source:
        if isinstance(source, str) and source[:8].lower().startswith(("http://", "https://")):
            return await self.remote.fetch(source)
        return source

    async def _beside(self, work: Callable[..., T], *args: object) -> T:
        async with self._desks:
            self._check_room()
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)
            except MediaError as error:
                raise Unusable(error.message, code=error.reason) from None
            except Problem:
                raise
            except Exception as error:
                log.error("a request failed: %s at %s", type(error).__name__, code_locations(error))
                raise Problem from None

    def _check_room(self) -> None:
        if self.held.used >= self.held.limit:
            raise Busy(message="too many pictures are waiting")

    def _open(self, source: Source) -> Image.Image:
        self._check_room()
        if callable(source):
            source = source()
        picture = open_image(_decoded(source) if isinstance(source, str) else source, self.limits)
        self.held.add(picture)
        return picture

    def _post(self, post: Post, sources: Sequence[Source], label_only: bool) -> Post | Prepared | Rejected:
        post = dataclasses.replace(post, image=[self._open(source) for source in sources])
        if self._prepare is None:
            return post
        found = self._prepare(post, label_only=label_only)
        if isinstance(found, Prepared):
            self.held.add(found)
        return found


def _size(thing: Image.Image | Prepared) -> int:
    return thing.nbytes if isinstance(thing, Prepared) else thing.width * thing.height * 3


def _decoded(text: str) -> bytes:
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise MediaError("not_base64", "the data URL is not in base64")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise MediaError("not_base64", "the picture is not in base64") from None
