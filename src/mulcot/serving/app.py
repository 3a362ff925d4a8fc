"""The application: all routes behind the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mulcot.predict.base import Predictor
from mulcot.records import Json
from mulcot.serving.error_responses import ClientLeft, Closing, Problem
from mulcot.serving.example_posts import samples
from mulcot.serving.middleware import Guard
from mulcot.serving.openai_chat import ChatBody
from mulcot.serving.openai_chat import router as chat
from mulcot.serving.page_route import router as page
from mulcot.serving.predict_route import router as predict
from mulcot.serving.request_body import PredictBody
from mulcot.serving.service import Service, service_of
from mulcot.serving.settings import Serving
from mulcot.serving.upload_route import batch_routes
from mulcot.tasks.base import READABLE, Task
from mulcot.version import __version__

CODES = {404: "not_found", 405: "method_not_allowed"}

health = APIRouter(tags=["operation"])


@health.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """Whether the process answers at all."""
    return "ok"


@health.get("/readyz", response_class=PlainTextResponse)
async def readyz(request: Request) -> str:
    """Whether the model answers."""
    if not service_of(request).engine.alive:
        raise Closing
    return "ready"


@health.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counters and histograms for Prometheus."""
    text = service_of(request).monitor.text()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


@health.get("/v1/info", tags=["mulcot"])
async def info(request: Request) -> Json:
    """What the model is asked, what is allowed, and posts to try."""
    found: Json = request.app.state.info
    return found


def build(predictor: Predictor, serving: Serving, log_line: Callable[[str], None] = lambda _: None) -> Guard:
    """The service as an ASGI application; the model's thread lives as long as its lifespan."""
    service = Service(predictor, serving)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.engine.start()
        yield
        await asyncio.to_thread(service.close)

    # The built-in pages of FastAPI load scripts from elsewhere.
    app = FastAPI(title="mulcot", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service, app.state.engine, app.state.deadline = service, service.engine, service.deadline
    app.state.info = _info(service)
    for router in (predict, chat, health, batch_routes(), page):
        app.include_router(router)
    _tell_problems(app)
    app.openapi = _with_bodies(app.openapi)  # type: ignore[method-assign]
    return Guard(app, serving, service.monitor, log_line)


def _info(service: Service) -> Json:
    predictor, serving = service.predictor, service.serving
    limits = serving.limits
    return {
        "model": serving.name,
        "version": __version__,
        "task": {
            **_task(predictor.task, captions=predictor.captions),
            "fields": list(predictor.chain_fields),
            "chain_first": predictor.chain_first,
        },
        "limits": {
            "body_bytes": limits.body,
            "image_bytes": limits.images.max_bytes,
            "image_pixels": limits.images.max_pixels,
            "items": min(limits.items, serving.queue),
            "upload_bytes": limits.upload,
            "deadline_seconds": serving.deadline,
        },
        "raw_messages": predictor.chat is not None,
        "examples": samples(predictor) if serving.examples is None else list(serving.examples),
    }


def _task(task: Task, *, captions: bool) -> Json:
    return {
        "name": task.name,
        "labels": [] if task.positional_labels else list(task.labels()),
        "needs": {
            **{name: name in task.reads for name in READABLE if name != "text"},
            "caption": captions,
        },
        "required": list(task.needs),
    }


def _tell_problems(app: FastAPI) -> None:
    """One form for everything that can be wrong."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return JSONResponse(error.body(), error.status, dict(error.headers))

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return JSONResponse(ClientLeft().body(), ClientLeft.status)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        found = Problem(str(error.detail)[:300], code=CODES.get(error.status_code, "invalid_request"))
        found.status = error.status_code
        return JSONResponse(found.body(), error.status_code, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = Problem("the request is not understood", code="invalid_request")
        return JSONResponse({**found.body()}, 400)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        return JSONResponse(Problem().body(), 500)


def _with_bodies(openapi: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The bodies are read by hand, so that limits come first; their schemas are added here."""
    bodies: tuple[type[BaseModel], ...] = (PredictBody, ChatBody)

    def complete() -> dict[str, Any]:
        schema = openapi()
        known = schema.setdefault("components", {}).setdefault("schemas", {})
        for body in bodies:
            own = body.model_json_schema(ref_template="#/components/schemas/{model}")
            known.update(own.pop("$defs", {}))
            known[body.__name__] = own
        return schema

    return complete
