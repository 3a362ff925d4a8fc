"""Pictures as the teacher gets them: resized, encoded once, kept for a while.

A picture's digest is made of its source's hash and of how it is prepared, so the key of a request is known without
opening a file: resuming 100 000 finished examples reads no picture.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from PIL import Image
from pydantic import Field

from mulcot.errors import MediaError
from mulcot.media import Gallery, encode_jpeg
from mulcot.records import ImageRef
from mulcot.settings import Settings

PREPARATION = 1
"""Raised whenever the same settings would make other bytes than before."""


class ImageSettings(Settings):
    """How pictures are sent."""

    size: int | None = Field(default=280, ge=28, le=4096)
    """Side of the square that pictures are resized to; null sends them in their own size."""
    quality: int = Field(default=90, ge=1, le=100)
    """JPEG quality."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One prepared picture: its digest now, its bytes when they are needed."""

    digest: str
    source: EncodedPictures | None = field(default=None, compare=False, repr=False)
    ref: ImageRef | None = field(default=None, compare=False)
    ready: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_jpeg(cls, jpeg: bytes) -> Picture:
        """A picture that is already as it shall be sent."""
        return cls(hashlib.sha256(jpeg).hexdigest(), ready=data_url(jpeg))

    async def data_url(self) -> bytes:
        """`data:image/jpeg;base64,...`, encoded off the event loop. Raises `MediaError` for a picture that changed."""
        if self.ready is not None:
            return self.ready
        assert self.source is not None
        return await self.source.data_url(self)


class EncodedPictures:
    """Prepares pictures in threads and keeps the last ones, within a fixed number of bytes."""

    def __init__(
        self, gallery: Gallery, settings: ImageSettings, *, keep_bytes: int = 32 * 2**20, threads: int = 4
    ) -> None:
        self.gallery = gallery
        self.settings = settings
        self.keep_bytes = keep_bytes
        self._preparation = f"{PREPARATION}|{settings.size}|{settings.quality}|"
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._encoding: dict[str, asyncio.Future[bytes]] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mulcot-pictures")

    def picture(self, ref: ImageRef) -> Picture:
        """The picture of a checked reference; opens nothing."""
        if not ref.sha256:
            raise MediaError("unchecked", f"{ref.path} was never checked, so its content is not known")
        digest = hashlib.sha256((self._preparation + ref.sha256).encode()).hexdigest()
        return Picture(digest, self, ref)

    async def data_url(self, picture: Picture) -> bytes:
        """The picture's data URL; whoever asks for the same one at the same time waits for the same encoding."""
        kept = self._kept.get(picture.digest)
        if kept is not None:
            self._kept.move_to_end(picture.digest)
            return kept
        encoding = self._encoding.get(picture.digest)
        if encoding is None:
            assert picture.ref is not None
            loop = asyncio.get_running_loop()
            encoding = loop.run_in_executor(self._threads, self._encode, picture.ref)
            self._encoding[picture.digest] = encoding
            encoding.add_done_callback(lambda done: self._keep(picture.digest, done))
        return await asyncio.shield(encoding)

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, ref: ImageRef) -> bytes:
        image = self.gallery.open(ref)
        if self.settings.size is not None:
            image = image.resize((self.settings.size, self.settings.size), Image.Resampling.LANCZOS)
        return data_url(encode_jpeg(image, quality=self.settings.quality))

    def _keep(self, digest: str, encoding: asyncio.Future[bytes]) -> None:
        self._encoding.pop(digest, None)
        if encoding.cancelled() or encoding.exception() is not None:
            return
        self._kept[digest] = encoding.result()
        self._kept_bytes += len(encoding.result())
        while self._kept_bytes > self.keep_bytes and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])


def data_url(jpeg: bytes) -> bytes:
    """What stands in the request; plain ASCII that JSON need not escape."""
    return b"data:image/jpeg;base64," + base64.b64encode(jpeg)
