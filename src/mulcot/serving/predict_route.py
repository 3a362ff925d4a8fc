"""`POST /v1/predict` and `POST /v1/predict/stream`: our own interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from mulcot.records import Json, Prediction, Rejected
from mulcot.serving.error_responses import Invalid, Problem, Unusable
from mulcot.serving.jobs import JobEvent, JobKind, Question, ServingJob
from mulcot.serving.request_body import PostBody, PredictBody, read_form, read_json
from mulcot.serving.response_body import EXAMPLE, Answer, Answers, answer_of, event, json_response
from mulcot.serving.service import Service, charge, service_of, unless_left

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/PredictBody"},
                "examples": {
                    "one": {"value": {"text": "What a lovely day for camping", "image": PICTURE}},
                    "label_only": {"value": {"text": "What a lovely day for camping", "label_only": True}},
                    "several": {"value": {"items": [{"text": "first post"}, {"text": "second post"}]}},
                    "question": {"value": {"text": "Which one is a mammal?", "choices": ["a trout", "a whale"]}},
                },
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["text"],
                    "properties": {
                        "text": {"type": "string"},
                        "image": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "aspect": {"type": "string"},
                        "choices": {"type": "array", "items": {"type": "string"}},
                        "context": {"type": "string"},
                        "caption": {"type": "string"},
                        "label_only": {"type": "boolean", "default": False},
                    },
                }
            },
        },
    }
}
STREAM = (
    'event: probabilities\ndata: {"label":"negative","probabilities":{"positive":0.08,"negative":0.92}}\n\n'
    'event: chain\ndata: {"text":"\\"Text_analysis\\": \\"The words"}\n\n'
    'event: done\ndata: {"label":"negative", ...}\n\n'
)

router = APIRouter(prefix="/v1", tags=["mulcot"])


@router.post(
    "/predict",
    openapi_extra=BODY,
    response_model=None,
    responses={200: {"model": Answer | Answers, "content": {"application/json": {"example": EXAMPLE}}}},
)
async def predict(request: Request) -> Response:
    """The label of a post with its probabilities, and the chain that explains it."""
    service = service_of(request)
    body, uploads = await _read(request)
    kind = JobKind(label_only=body.label_only)
    if body.items is not None:
        return json_response({"items": await unless_left(request, _several(request, body.items, kind))})
    post = await _ready(service, body.posts()[0], uploads, label_only=body.label_only)
    ((told, job),) = await unless_left(request, service.ask([post], kind))
    if isinstance(told.news, Rejected):
        raise Unusable.of(told.news)
    return json_response(_answer(service, told, job))


@router.post(
    "/predict/stream",
    openapi_extra=BODY,
    response_model=None,
    responses={200: {"content": {"text/event-stream": {"example": STREAM}}}},
)
async def predict_stream(request: Request) -> Response:
    """The same as server-sent events: `probabilities` at once, `chain` as it is written, `done` with everything.

    Two models of which the second answers with the first one's rationale in view tell the `chain` first.
    """
    service = service_of(request)
    body, uploads = await _read(request)
    if body.items is not None:
        raise Invalid("a stream is about one post; for several use /v1/predict")
    post = await _ready(service, body.posts()[0], uploads, label_only=body.label_only)
    events = _events(service, post, JobKind(label_only=body.label_only))
    # Until something is known, a problem can still become the status of the reply.
    first = await unless_left(request, anext(events))
    return StreamingResponse(_rest(first, events), media_type="text/event-stream")


async def _read(request: Request) -> tuple[PredictBody, list[bytes]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await read_form(request)
    # A foreign page could send any other type without asking first.
    if kind != "application/json":
        raise Invalid("send application/json or multipart/form-data", code="content_type")
    return read_json(PredictBody, await request.body()), []


async def _several(request: Request, bodies: list[PostBody], kind: JobKind) -> list[Json]:
    service = service_of(request)
    most = min(service.serving.limits.items, service.serving.queue)
    if len(bodies) > most:
        raise Invalid(f"items: {len(bodies)} posts, allowed {most}", code="too_many_items")
    # Once admitted, the request is answered as a whole: one that is larger than the rate could never be otherwise.
    charge(request, len(bodies) - 1, owed=True)
    posts = [await _usable(service, body, kind) for body in bodies]
    asked = iter(await service.ask([post for post in posts if not isinstance(post, Unusable)], kind))
    answers = []
    for post in posts:
        if isinstance(post, Unusable):
            answers.append(_rejected(post.code, post.message))
            continue
        told, job = next(asked)
        if isinstance(told.news, Rejected):
            answers.append(_rejected(told.news.reason, told.news.detail))
        else:
            answers.append(_answer(service, told, job))
    return answers


async def _usable(service: Service, body: PostBody, kind: JobKind) -> Question | Unusable:
    """One at a time, so that others have their turn between them."""
    try:
        return await _ready(service, body, [], label_only=kind.label_only)
    except Unusable as problem:
        return problem


async def _ready(service: Service, body: PostBody, uploads: Sequence[bytes], *, label_only: bool) -> Question:
    return await service.pictures.ready(body.post(), uploads or body.pictures, label_only=label_only)


async def _events(service: Service, post: Question, kind: JobKind) -> AsyncGenerator[bytes]:
    """Raises only before the first event; what goes wrong later is an event itself."""
    begun = labelled = False
    try:
        async with aclosing(service.watch(post, kind)) as watched:
            async for told, job in watched:
                if isinstance(told.news, Rejected):
                    raise Unusable.of(told.news)
                if isinstance(told.news, str):
                    yield event("chain", {"text": told.news})
                elif isinstance(told.news, Prediction):
                    if not labelled:
                        labelled = True
                        yield event("probabilities", _label(told.news))
                    if told.last:
                        yield event("done", _answer(service, told, job))
                begun = True
    except Problem as problem:
        if not begun:
            raise
        yield event("error", problem.body())


async def _rest(first: bytes, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        yield first
        async for one in events:
            yield one


def _answer(service: Service, told: JobEvent, job: ServingJob) -> Json:
    assert isinstance(told.news, Prediction)
    return answer_of(told.news, service.serving.name, job.timings())


def _label(prediction: Prediction) -> Mapping[str, Any]:
    return {"label": prediction.label, "probabilities": dict(prediction.probabilities), "problem": prediction.problem}


def _rejected(reason: str, detail: str) -> Json:
    return {"rejected": {"reason": reason, "detail": detail}}
