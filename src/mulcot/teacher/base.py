"""What every teacher promises, and the records of one exchange: `Request`, `Reply`, or `CallError` in its place.

A teacher is its settings; `session` opens it for asking. A session answers a request or raises a `CallError`. Whatever
the server managed to say, even a refusal or half a sentence, is a reply: judging it is the caller's business.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Protocol

from pydantic import Field

from mulcot.errors import TeacherError
from mulcot.records import Json, Record
from mulcot.registry import Registry
from mulcot.settings import Settings, fingerprint
from mulcot.teacher.transport.images import ImageSettings, Picture


class Sampling(Settings):
    """How an answer is drawn. What is null is not sent, for servers that refuse it."""

    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """0 takes the likeliest token."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling."""
    max_tokens: int | None = Field(default=1024, ge=1)
    """The longest reply."""
    seed: int | None = None
    """For servers that can repeat a draw."""

    def sent(self) -> Json:
        """What goes into the request."""
        return {key: value for key in type(self).model_fields if (value := getattr(self, key)) is not None}

    @cached_property
    def canonical(self) -> str:
        """The same, in one spelling; computed once, since a resumed run hashes it for every finished example."""
        return json.dumps(self.sent(), sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Record):
    """One question to the teacher. It is sent as: system; pictures; user."""

    system: str
    user: str
    pictures: tuple[Picture, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    schema: Mapping[str, Any] | None = None
    """A JSON Schema for the reply, used where the teacher is set to ask for it and the server can."""
    attempt: int = 1
    """Part of the key: the same question asked once more is another request."""
    example_id: str = ""
    """For the ledger; not part of the key."""
    purpose: str = ""
    """For the ledger (`teach`, `hint` ...); not part of the key."""

    def key(self, teacher: str) -> str:
        """The identity of this request to the teacher whose `Teacher.answers_as` has the fingerprint `teacher`."""
        schema = "" if self.schema is None else fingerprint(dict(self.schema))
        pictures = [picture.digest for picture in self.pictures]
        return _digest(teacher, self.sampling.canonical, schema, str(self.attempt), self.system, self.user, *pictures)

    def prompt_hash(self) -> str:
        """The identity of what is shown, whoever is asked and however the answer is drawn."""
        return _digest(self.system, self.user, *(picture.digest for picture in self.pictures))


class Finish(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    """Cut off by the token limit."""
    FILTERED = "filtered"
    """Withheld by the provider's content filter."""
    REFUSED = "refused"
    """Declined by the model, where the server says so; the text is the refusal."""
    UNKNOWN = "unknown"
    """The server gave no reason, or one that means nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Record):
    """Tokens as the server counted them; None is unknown, never 0."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    """How many of the prompt's tokens came from the server's prefix cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Record):
    """What the teacher said."""

    text: str = ""
    finish: Finish = Finish.UNKNOWN
    reasoning: str = ""
    """What a reasoning model thought before, where the server gives it apart."""
    usage: Usage = Usage()
    latency: float = 0.0
    """Seconds of the request that succeeded, without waiting and failed tries."""
    model: str = ""
    """The model as the server names it."""
    remembered: bool = False
    """Taken from the ledger or the cache: costs nothing."""


class ErrorKind(StrEnum):
    """Why there is no reply."""

    UNAUTHORIZED = "unauthorized"
    QUOTA = "quota"
    UNKNOWN_MODEL = "unknown_model"
    ENDPOINT = "endpoint"
    """The address is not a chat completions server, or no server has answered for too long."""
    RATE_LIMIT = "rate_limit"
    SERVER = "server"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    GARBAGE = "garbage"
    """The reply is not a chat completion."""
    OVERSIZED = "oversized"
    """The reply is larger than the limit; reading was stopped there."""
    CONTEXT = "context"
    """The request does not fit the model's context."""
    REQUEST_TOO_LARGE = "request_too_large"
    BAD_REQUEST = "bad_request"
    KEY_REPEATED = "key_repeated"
    """The reply holds the key that was sent; nothing of it is kept."""


RETRYABLE = frozenset(
    {
        ErrorKind.RATE_LIMIT,
        ErrorKind.SERVER,
        ErrorKind.CONNECTION,
        ErrorKind.TIMEOUT,
        ErrorKind.GARBAGE,
        ErrorKind.OVERSIZED,
    }
)
FATAL = frozenset({ErrorKind.UNAUTHORIZED, ErrorKind.QUOTA, ErrorKind.UNKNOWN_MODEL, ErrorKind.ENDPOINT})


class CallError(TeacherError):
    """One request that got no reply.

    `fatal` means that every other request would fail in the same way: stop at once. Otherwise only this request failed,
    after the retries that could help.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        hint: str = "",
        fatal: bool | None = None,
        outage: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.fatal = kind in FATAL if fatal is None else fatal
        self.outage = outage
        """The server as a whole may be away."""
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""

    @property
    def retryable(self) -> bool:
        """The same request may succeed later."""
        return self.kind in RETRYABLE and not self.fatal


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Record):
    """How busy a session is, for the progress display."""

    in_flight: int = 0
    limit: int = 0
    """As many as may be in flight at present."""
    waiting: int = 0
    endpoints: int = 0
    healthy: int = 0


Observer = Callable[[Request, CallError], None]
"""Told of every failed try, also of those that are repeated; must not block."""


class Session(Protocol):
    """An opened teacher."""

    async def complete(self, request: Request) -> Reply:
        """The reply, or `CallError`. Throttles and repeats by itself. `Interrupted` after `drain`."""

    def drain(self) -> None:
        """Starts nothing any more: what is in flight finishes, a waiting request gets `Interrupted`."""

    def load(self) -> Load:
        """How busy it is."""


class Teacher(Settings):
    """The base class of all teachers."""

    simulated: ClassVar[bool] = False
    """True where the answers are made up; every page and summary says so."""

    @property
    @abstractmethod
    def title(self) -> str:
        """How pages and summaries call it, such as the model's name."""

    @abstractmethod
    def answers_as(self) -> Json:
        """What decides an answer besides the request: backend, endpoint, model, flags. Never a secret."""

    @abstractmethod
    def session(self, observer: Observer | None = None) -> AbstractAsyncContextManager[Session]:
        """Opens it. Everything that can be checked without spending money is checked here."""

    def width(self) -> int:
        """How many examples to work on at once so that the teacher is never idle."""
        return 1

    def start_sampling(self) -> Sampling:
        """The sampling of first attempts."""
        return Sampling()

    def image_settings(self) -> ImageSettings:
        """How pictures are prepared for it."""
        return ImageSettings()


teachers: Registry[Teacher] = Registry(
    "teacher",
    "mulcot.teacher.backends",
    Teacher,  # type: ignore[type-abstract]
    group="mulcot.teachers",
)


def _digest(*parts: str) -> str:
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in encoded)).hexdigest()
