"""The chat completions protocol: writing a request, reading a reply or an error, however broken.

The body is put together from bytes: the pictures, which are nearly all of it, are copied once and never escaped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mulcot.teacher.base import CallError, ErrorKind, Finish, Reply, Request, Usage
from mulcot.teacher.transport.key_redaction import Key

FINISHES = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "content_filter": Finish.FILTERED,
    "refusal": Finish.REFUSED,
}
FILTERED = re.compile(
    "content_filter|content_policy|content management policy|data_inspection|inappropriate content|moderation"
)
TOO_LONG = re.compile("context.{0,20}length|maximum context|too many tokens|prompt is too long|longer than the maximum")
NO_MONEY = re.compile("insufficient_quota|insufficient balance|billing")
NO_MODEL = re.compile("model_not_found|model .{0,80}(does not|doesn't) exist|unknown model")
NO_SCHEMA = re.compile("response_format|json_schema|structured|guided|schema|grammar")
REPEATS = "A server that writes keys into its replies is not to be trusted with one: ask another, or change the key."
RESERVED = frozenset({"model", "messages", "stream", "n", "response_format"})


@dataclass(slots=True)
class Dialect:
    """What a server turned out to understand; learnt from its refusals and remembered for the session."""

    schema: bool
    """It forces replies into a JSON Schema."""
    limit_field: str = "max_tokens"
    """What it calls the token limit."""

    def learn(self, refusal: str, sent: Dialect) -> bool:
        """Whether a request refused in the form `sent` may pass in another one, which is used from now on."""
        lowered = refusal.lower()
        if sent.limit_field == "max_tokens" and "max_completion_tokens" in lowered:
            self.limit_field = "max_completion_tokens"
            return True
        if sent.schema and NO_SCHEMA.search(lowered):
            self.schema = False
            return True
        return False


def write_body(
    request: Request, model: str, pictures: list[bytes], dialect: Dialect, extra: Mapping[str, Any]
) -> bytes:
    """The JSON body. Pictures are data URLs and stand before the text, so the post follows what it shows."""
    rest = request.sampling.sent()
    if "max_tokens" in rest:
        rest[dialect.limit_field] = rest.pop("max_tokens")
    if dialect.schema and request.schema is not None:
        chain = {"name": "chain", "strict": True, "schema": request.schema}
        rest["response_format"] = {"type": "json_schema", "json_schema": chain}
    rest |= extra
    system = b'{"role":"system","content":%b},' % _json(request.system) if request.system else b""
    content = _json(request.user)
    if pictures:
        parts = b"".join(b'{"type":"image_url","image_url":{"url":"%b"}},' % picture for picture in pictures)
        content = b'[%b{"type":"text","text":%b}]' % (parts, content)
    tail = b"," + _json(rest)[1:] if rest else b"}"
    return b'{"model":%b,"messages":[%b{"role":"user","content":%b}],"stream":false%b' % (
        _json(model),
        system,
        content,
        tail,
    )


def read_reply(status: int, raw: bytes, key: Key) -> Reply:
    """The reply, or the `CallError` that this answer means. `latency` is not yet set."""
    try:
        data = json.loads(raw.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        data = None
    if status != 200:
        return _read_failure(status, data, raw, key)
    if not isinstance(data, dict):
        raise _garbage("not a JSON object", raw, key)
    choice = _first(data.get("choices"))
    message = choice.get("message")
    if not isinstance(message, dict):
        if data.get("error"):
            code = data["error"].get("code") if isinstance(data["error"], dict) else None
            return _read_failure(code if type(code) is int and 400 <= code < 600 else 500, data, raw, key)
        raise _garbage("no choices", raw, key)
    text = _text(message.get("content"))
    refusal = _text(message.get("refusal"))
    finish = FINISHES.get(str(choice.get("finish_reason")).lower(), Finish.UNKNOWN)
    if refusal and not text:
        text, finish = refusal, Finish.REFUSED
    reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    model = _text(data.get("model"))
    if any(key.repeated_in(words) for words in (text, reasoning, model)):
        raise CallError(
            ErrorKind.KEY_REPEATED, "the server's reply repeats the key; nothing of it is kept", hint=REPEATS
        )
    return Reply(
        text=_plain(text),
        finish=finish,
        reasoning=_plain(reasoning),
        usage=_usage(data.get("usage")),
        model=_plain(model)[:200],
    )


def _read_failure(status: int, data: Any, raw: bytes, key: Key) -> Reply:
    message, code = _error_words(data)
    words = key.hidden(message or raw.decode("utf-8", "replace"))
    told = f"{code} {words}".lower()
    if status in (400, 403, 422, 451) and FILTERED.search(told):
        return Reply(text="", finish=Finish.FILTERED)
    kind, hint = _classify(status, told)
    outage = status in (502, 503, 504, 529)
    raise CallError(kind, f"HTTP {status}: {words or 'no explanation'}", hint=hint, outage=outage)


def _classify(status: int, told: str) -> tuple[ErrorKind, str]:
    if status == 401 or (status == 403 and "model" not in told):
        return ErrorKind.UNAUTHORIZED, "Check the variable named in `api_key_env` and what the key may do."
    if status == 402 or (status in (403, 429) and NO_MONEY.search(told)):
        return ErrorKind.QUOTA, "The account has no money left. Afterwards the same command continues."
    if status == 429:
        return ErrorKind.RATE_LIMIT, "Lower `concurrency`, or set `requests_per_minute`."
    if status in (403, 404) or (status < 500 and NO_MODEL.search(told)):
        return ErrorKind.UNKNOWN_MODEL, "Check `model`, and `base_url`, which usually ends in /v1."
    if 300 <= status < 400 or status == 405:
        return ErrorKind.ENDPOINT, "Set `base_url` to the final address; redirects are not followed with a key."
    if status == 413:
        return ErrorKind.REQUEST_TOO_LARGE, "Lower `images.size` or `images.quality`."
    if status == 408:
        return ErrorKind.TIMEOUT, ""
    if status >= 500 or status in (409, 425):
        return ErrorKind.SERVER, ""
    if TOO_LONG.search(told):
        return ErrorKind.CONTEXT, "The post is too long for this model, or `sampling.max_tokens` is too high."
    return ErrorKind.BAD_REQUEST, "The server does not take this request; its words say why. Null options are not sent."


def _error_words(data: Any) -> tuple[str, str]:
    """Message and code in the shapes that servers use: `{"error": {...}}`, `{"error": "..."}`, flat, or `detail`."""
    if not isinstance(data, dict):
        return "", ""
    inner = data.get("error")
    holder = inner if isinstance(inner, dict) else data
    message = inner if isinstance(inner, str) else holder.get("message") or holder.get("detail") or ""
    code = " ".join(str(holder.get(key)) for key in ("code", "type") if isinstance(holder.get(key), str | int))
    return message if isinstance(message, str) else json.dumps(message), code


def _usage(found: Any) -> Usage:
    if not isinstance(found, dict):
        return Usage()
    details = found.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else found.get("prompt_cache_hit_tokens")
    return Usage(
        prompt=_count(found.get("prompt_tokens")),
        completion=_count(found.get("completion_tokens")),
        cached=_count(cached),
    )


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value < 2**53 else None


def _first(choices: Any) -> dict[str, Any]:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(content: Any) -> str:
    """A string, or the text parts of a list; anything else is nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _garbage(what: str, raw: bytes, key: Key) -> CallError:
    start = key.hidden(raw.decode("utf-8", "replace"))[:120]
    hint = "The address may not be a chat completions server."
    return CallError(ErrorKind.GARBAGE, f"the reply is no chat completion ({what}): {start!r}", hint=hint)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _plain(text: str) -> str:
    """Lone surrogates can be written in JSON but not in UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
