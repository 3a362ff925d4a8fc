"""`POST /v1/batch`: a table and a zip of pictures in, one JSON line per row out as soon as it is answered.

    {"total": 2}
    {"row": 2, "id": "p2", "text": "night", "rejected": {"reason": "missing_image", "detail": "..."}}
    {"row": 1, "id": "p1", "text": "what a day", "label": "positive", "probabilities": {...}, ...}
    {"done": true}

Lines come in the order of completion; every row of the table has exactly one. Rows pass through the same queue as all
other requests, a few at a time, so that an upload delays nobody beyond its share. Leaving stops the work.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mulcot.errors import MediaError
from mulcot.records import Json, Prediction, Rejected
from mulcot.serving.batching_engine import submit
from mulcot.serving.error_responses import Busy, Invalid, Problem, TooLarge
from mulcot.serving.picture_zip import ArchivePictures, UploadRefused
from mulcot.serving.response_body import answer_of
from mulcot.serving.service import charge, service_of
from mulcot.serving.upload_table import UploadLimits, UploadRow, read_table

WINDOW = 16
"""Rows of one upload that wait or are being answered at the same time; never more than half of the queue."""
T = TypeVar("T")
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["table"],
                    "properties": {
                        "table": {"type": "string", "format": "binary", "description": "CSV, TSV or JSON Lines"},
                        "images": {"type": "string", "format": "binary", "description": "a zip of the pictures"},
                        "label_only": {"type": "boolean", "default": False},
                    },
                }
            }
        },
    },
    "responses": {"200": {"content": {"application/x-ndjson": {}}, "description": "one JSON line per row"}},
}


class RefusedUpload(Problem):
    """An upload that is not worked on, with what to do about it."""

    code = "upload_refused"

    def __init__(self, error: UploadRefused) -> None:
        super().__init__(". ".join(part.rstrip(".") for part in (error.message, error.hint) if part))
        self.status = 413 if error.too_large else 422


class Upload(NamedTuple):
    """What was sent."""

    table: UploadFile
    images: UploadFile | None
    label_only: bool


def batch_routes(limits: UploadLimits = UploadLimits(), most: int = 4) -> APIRouter:  # noqa: B008  (frozen)
    """The route; at most `most` uploads are worked on at once, since each lies on the disk meanwhile."""
    router = APIRouter()
    places = Places(most)

    @router.post("/v1/batch", openapi_extra=FORM, response_class=StreamingResponse, tags=["mulcot"])
    async def batch(request: Request) -> StreamingResponse:
        """Answers a table of posts, row by row, as JSON lines."""
        lines = _lines(request, limits, places)
        # Everything that can be wrong with the upload as a whole is known before the first line, and has a status.
        first = await anext(lines)
        return StreamingResponse(_after(first, lines), media_type="application/x-ndjson")

    return router


class Places:
    """So many at once, and no more."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One place; raises `Busy` where none is free."""
        if not self._free:
            raise Busy(10, "too many uploads are being worked on")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


async def _after(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in lines:
        yield line


async def _lines(request: Request, limits: UploadLimits, places: Places) -> AsyncGenerator[bytes, None]:
    """The whole reply."""
    with places.taken(), tempfile.TemporaryDirectory(prefix="mulcot-batch-") as folder:
        form = await _received(request, limits)
        try:
            upload = _checked(form)
            rows = await asyncio.to_thread(_table, upload.table, Path(folder) / "table", limits)
            pictures = await asyncio.to_thread(ArchivePictures, upload.images.file, limits) if upload.images else None
            yield _line({"total": len(rows)})
            answerer = UploadAnswerer(request, pictures, upload.label_only)
            async with aclosing(answerer.answers(rows)) as answers:
                async for answer in answers:
                    yield _line(answer)
            yield _line({"done": True})
        except UploadRefused as error:
            raise RefusedUpload(error) from error
        finally:
            await form.close()


async def _received(request: Request, limits: UploadLimits) -> FormData:
    """The parts of the form, spooled to disk where they are large, and never more than is allowed."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Invalid("send a form (multipart/form-data) with the file `table`, and `images` as a zip")
    most = limits.max_table_bytes + limits.max_archive_bytes + 2**16
    try:
        return await MultiPartParser(request.headers, _bounded(request, most), max_files=2, max_fields=2).parse()
    except MultiPartException as error:
        raise Invalid(f"the form cannot be read: {error.message}") from error


def _checked(form: FormData) -> Upload:
    table, images = form.get("table"), form.get("images")
    if not isinstance(table, UploadFile) or isinstance(images, str):
        raise Invalid("the form needs the file `table` (CSV, TSV or JSON Lines); `images` is a zip file")
    return Upload(table, images, form.get("label_only") in ("true", "1", "on"))


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise TooLarge(most)
        yield chunk


def _table(upload: UploadFile, path: Path, limits: UploadLimits) -> list[UploadRow]:
    _copy(upload.file, path, limits.max_table_bytes + 1)
    return read_table(path, upload.filename or "", limits)


def _copy(file: IO[bytes], path: Path, most: int) -> None:
    with path.open("wb") as out:
        while most > 0 and (chunk := file.read(min(most, 2**20))):
            out.write(chunk)
            most -= len(chunk)


class UploadAnswerer:
    """Answers the rows of one upload."""

    def __init__(self, request: Request, pictures: ArchivePictures | None, label_only: bool) -> None:
        self._request = request
        self._service = service_of(request)
        self._pictures = pictures
        self._label_only = label_only
        self._opening = asyncio.Semaphore(1)
        """One picture of an upload at a time, so that others have their turn."""
        self.window = max(1, min(WINDOW, self._service.serving.queue // 2))

    async def answers(self, rows: Sequence[UploadRow]) -> AsyncGenerator[Json, None]:
        """One answer per row, the first to be ready first."""
        running: set[asyncio.Task[Json]] = set()
        try:
            for row in rows:
                running.add(asyncio.create_task(self._answer(row)))
                if len(running) < self.window:
                    continue
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
            for ready in asyncio.as_completed(running):
                yield await ready
        finally:
            for task in running:
                task.cancel()

    async def _answer(self, row: UploadRow) -> Json:
        said = row.rejected or await self._asked(row)
        answer: Json = {"row": row.number, "id": row.id or said.id}
        if row.post is not None:
            answer |= {"text": row.post.text} | ({"aspect": row.post.aspect} if row.post.aspect else {})
            answer |= {"choices": list(row.post.choices)} if row.post.choices else {}
        if isinstance(said, Rejected):
            return answer | {"rejected": {"reason": said.reason, "detail": said.detail}}
        return {**answer_of(said, self._service.serving.name), **answer}

    async def _asked(self, row: UploadRow) -> Prediction | Rejected:
        assert row.post is not None
        pictures, label_only = self._service.pictures, self._label_only
        sources = [partial(self._read, picture) for picture in row.pictures]
        try:
            await self._patiently(self._pay)
            async with self._opening:
                post = row.post.only(self._service.predictor.reads)
                ready = await self._patiently(partial(pictures.ready, post, sources, label_only=label_only))
            return await self._patiently(partial(submit, self._service, ready, label_only=label_only))
        except Problem as problem:
            return Rejected(source="", reason=problem.code, detail=problem.message)

    def _read(self, picture: str) -> bytes:
        if self._pictures is None:
            raise MediaError("missing_image", f"{picture[:100]!r} is named, but no zip of pictures was sent")
        return self._pictures.read(picture)

    async def _pay(self) -> None:
        charge(self._request, 1)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Waits for as long as there is no room or the rate is used up: rows give way to people."""
        while True:
            try:
                return await attempt()
            except Busy as busy:
                seconds, soon = float(busy.headers["Retry-After"]), max(0.05, self._service.engine.patience)
                await asyncio.sleep(seconds if busy.code == "rate_limit" else min(seconds, soon))


def _line(value: Json) -> bytes:
    # Half a surrogate pair becomes its escape, which JSON allows.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")
