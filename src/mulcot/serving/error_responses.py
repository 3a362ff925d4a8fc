"""Everything that a request can end with instead of an answer: a status, a stable code, and a sentence."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mulcot.records import Rejected


class Problem(Exception):
    """Becomes the reply of a request; says nothing about our insides."""

    status = 500
    code = "failed"
    message = "the model failed on this request"

    def __init__(self, message: str | None = None, *, code: str | None = None, **headers: str) -> None:
        self.message = message or self.message
        self.code = code or self.code
        self.headers: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """In the form that OpenAI's clients understand too."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


class Invalid(Problem):
    """The request is not understood."""

    status = 400
    code = "invalid_request"
    message = "the request is not understood"


class Unauthorised(Problem):
    """There is no token, or an unknown one."""

    status = 401
    code = "invalid_token"
    message = "this service needs a token: send `Authorization: Bearer ...`"

    def __init__(self) -> None:
        super().__init__(WWW_Authenticate="Bearer")


class Forbidden(Problem):
    """A request from a page that may not send any."""

    status = 403
    code = "forbidden"


class Slow(Problem):
    """The sender took too long."""

    status = 408
    code = "slow_sender"
    message = "the request did not arrive in time"


class TooLarge(Problem):
    """The body is beyond the limit."""

    status = 413
    code = "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request is too large, allowed are {limit:,} bytes")


class Unusable(Problem):
    """A post that cannot be asked about; `code` is the reason."""

    status = 422

    @classmethod
    def of(cls, rejected: Rejected) -> Unusable:
        """With the reason that the predictor gave."""
        return cls(rejected.detail, code=rejected.reason)


class ClientLeft(Problem):
    """Nobody is there to read the reply; the status is for the log alone."""

    status = 499
    code = "client_left"
    message = "the client left before its answer was complete"


class Busy(Problem):
    """Too much is waiting, or too much was asked by one token."""

    status = 429
    code = "busy"
    message = "too many requests are waiting"

    def __init__(self, seconds: float = 1, message: str | None = None, *, code: str | None = None) -> None:
        super().__init__(message, code=code, Retry_After=str(max(1, round(seconds + 0.5))))


class Closing(Problem):
    """The service is about to end."""

    status = 503
    code = "closing"
    message = "the service is shutting down"


class NoMemory(Problem):
    """It did not fit into memory, even alone."""

    status = 503
    code = "out_of_memory"
    message = "there is not enough memory for this request"


class TooLate(Problem):
    """The deadline has passed."""

    status = 504
    code = "deadline"
    message = "the answer was not ready before the deadline"


def code_locations(error: Exception) -> str:
    """Where it happened, without what was in the variables or the message."""
    return ", ".join(
        f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-3:]
    )
