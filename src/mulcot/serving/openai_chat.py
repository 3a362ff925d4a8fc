"""The chat completions protocol, for programs that speak it already.

By default the last message of the user is a post, asked about with the prompt the model was trained with; the reply is
its chain. With `"mulcot": {"raw": true}` the messages reach the model as they are.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.records import Json, Prediction, Rejected
from mulcot.serving.error_responses import Invalid, Problem, Unusable
from mulcot.serving.jobs import Conversation, ConversationReply, ConversationTurn, JobEvent, JobKind, Question
from mulcot.serving.picture_opener import PictureOpener
from mulcot.serving.request_body import MOST_PICTURES, PostBody, Text, read_json
from mulcot.serving.response_body import answer_of, dumps, json_response
from mulcot.serving.service import Service, service_of, unless_left

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
EXAMPLE: Json = {
    "model": "demo",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}},
                {"type": "text", "text": "What a lovely day for camping"},
            ],
        }
    ],
}
BODY: Json = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ChatBody"},
                "examples": {"post": {"value": EXAMPLE}},
            }
        },
    }
}


class LenientModel(BaseModel):
    """Clients send much that means nothing here."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class ImageUrl(LenientModel):
    """Where a picture is."""

    url: str


class MessagePart(LenientModel):
    """A piece of a message."""

    type: Literal["text", "image_url"]
    text: Text = ""
    image_url: ImageUrl | None = None


class Message(LenientModel):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[MessagePart] = ""

    @property
    def parts(self) -> list[MessagePart]:
        """Text alone is a part, too."""
        return [MessagePart(type="text", text=self.content)] if isinstance(self.content, str) else self.content


class Options(BaseModel):
    """What the protocol has no place for."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    raw: bool = False
    """The messages reach the model as they are, instead of as a post in its own prompt."""
    aspect: Text | None = None
    choices: list[Text] = Field(default=[], max_length=26)
    context: Text | None = None
    caption: Text | None = None


class StreamOptions(LenientModel):
    """What else a stream tells."""

    include_usage: bool = False


class ChatBody(LenientModel):
    """A request. Sampling options count for raw messages alone: a post is asked about as the model was set up."""

    model: str = Field(default="", max_length=500)
    messages: list[Message] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    n: int | None = None
    stop: Any = None
    tools: Any = None
    logprobs: bool | None = None
    response_format: Any = None
    mulcot: Options = Options()

    def refused(self) -> str | None:
        """The first option that would be ignored although it changes the reply."""
        plain = self.response_format is None or self.response_format == {"type": "text"}
        asked = {
            "n": self.n not in (None, 1),
            "stop": bool(self.stop),
            "tools": bool(self.tools),
            "logprobs": bool(self.logprobs),
            "response_format": not plain,
        }
        return next((name for name, given in asked.items() if given), None)


router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.get("/models")
async def models(request: Request) -> Json:
    """The one model that is served."""
    name = service_of(request).serving.name
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "mulcot"}]}


@router.post("/chat/completions", openapi_extra=BODY, response_model=None)
async def chat_completions(request: Request) -> Response:
    """A chat completion: the chain of a post, or with `"mulcot": {"raw": true}` a plain reply."""
    service = service_of(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Invalid("send application/json", code="content_type")
    body = read_json(ChatBody, await request.body())
    if (name := body.refused()) is not None:
        raise Invalid(f"{name} is not supported here", code="unsupported")
    if body.model not in ("", service.serving.name):
        raise UnknownModel(f"the model {body.model[:100]!r} does not exist; the only one is {service.serving.name!r}")
    question, kind = await _question(service, body)
    said = ChatReply(service.serving.name, usage=body.stream_options is not None and body.stream_options.include_usage)
    if not body.stream:
        ((event, _),) = await unless_left(request, service.ask([question], kind))
        return json_response(said.whole(event))
    chunks = _chunks(service, question, kind, said)
    first = await unless_left(request, anext(chunks))
    return StreamingResponse(_rest(first, chunks), media_type="text/event-stream")


class UnknownModel(Problem):
    """Another model was asked for."""

    status = 404
    code = "model_not_found"


async def _question(service: Service, body: ChatBody) -> tuple[Question, JobKind]:
    if body.mulcot.raw:
        return await _conversation(service, body)
    message = next((message for message in reversed(body.messages) if message.role == "user"), None)
    if message is None:
        raise Invalid("messages: there is none of the user")
    urls = [part.image_url.url for part in message.parts if part.image_url is not None]
    if len(urls) > MOST_PICTURES:
        raise Invalid(f"messages: a post has at most {MOST_PICTURES} pictures")
    options = body.mulcot.model_dump(exclude={"raw"})
    text = "\n".join(part.text for part in message.parts if part.type == "text")
    post = PostBody.model_construct(text=text, **options).post()
    return await service.pictures.ready(post, urls, label_only=False), JobKind()


async def _conversation(service: Service, body: ChatBody) -> tuple[Conversation, JobKind]:
    if service.predictor.chat is None:
        raise Invalid("this model cannot be asked with raw messages", code="unsupported")
    turns = [
        ConversationTurn(ROLES[m.role], tuple([await _part(service.pictures, part) for part in m.parts]))
        for m in body.messages
    ]
    most = service.decoding.max_tokens
    wanted = body.max_completion_tokens or body.max_tokens or most
    decoding = Decoding(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=body.top_p or 1.0,
        max_tokens=min(wanted, most),
    )
    key = secrets.token_hex(8) if body.seed is None else str(body.seed)
    return Conversation(tuple(turns), key), JobKind(decoding=decoding)


async def _part(pictures: PictureOpener, part: MessagePart) -> str | Image.Image:
    if part.type == "text":
        return part.text
    if part.image_url is None:
        raise Invalid("messages: an image_url part without image_url")
    return await pictures.open(part.image_url.url)


async def _chunks(service: Service, question: Question, kind: JobKind, said: ChatReply) -> AsyncGenerator[bytes]:
    """Raises only before the first chunk; what goes wrong later is an `error` in the stream."""
    begun = False
    try:
        async with aclosing(service.watch(question, kind)) as watched:
            async for event, _ in watched:
                chunks = said.chunks(event, begun=begun)
                for chunk in chunks:
                    begun = True
                    yield chunk
    except Problem as problem:
        if not begun:
            raise
        yield b"data: %b\n\n" % dumps(problem.body())


async def _rest(first: bytes, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(chunks):
        yield first
        async for one in chunks:
            yield one


class ChatReply:
    """A reply in the protocol's words."""

    def __init__(self, model: str, *, usage: bool) -> None:
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}
        self._usage = usage

    def whole(self, event: JobEvent) -> Json:
        """The reply in one piece."""
        text, finish, extra = self._text(event)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": _usage(event), **extra}

    def chunks(self, event: JobEvent, *, begun: bool) -> list[bytes]:
        """What a stream tells about it."""
        if isinstance(event.news, Rejected):
            raise Unusable.of(event.news)
        out = [] if begun else [self._chunk({"role": "assistant", "content": ""})]
        if isinstance(event.news, str):
            out.append(self._chunk({"content": event.news}))
        if event.last:
            _, finish, extra = self._text(event)
            out.append(self._chunk({}, finish, **extra))
            if self._usage:
                chunk = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(event)}
                out.append(b"data: %b\n\n" % dumps(chunk))
            out.append(b"data: [DONE]\n\n")
        return out

    def _chunk(self, delta: Json, finish: str | None = None, **extra: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: %b\n\n" % dumps({**self._head, "object": "chat.completion.chunk", "choices": [choice], **extra})

    def _text(self, event: JobEvent) -> tuple[str, str, Json]:
        """What was said, why it ended, and what more is known."""
        if isinstance(event.news, Rejected):
            raise Unusable.of(event.news)
        if isinstance(event.news, ConversationReply):
            return event.news.text, "stop" if event.news.complete else "length", {}
        assert isinstance(event.news, Prediction)
        answer = answer_of(event.news, str(self._head["model"]))
        return event.news.chain or "", "length" if event.news.cut else "stop", {"mulcot": answer}


def _usage(event: JobEvent) -> Json | None:
    if not event.read:
        return None
    return {"prompt_tokens": event.read, "completion_tokens": event.written, "total_tokens": event.read + event.written}
