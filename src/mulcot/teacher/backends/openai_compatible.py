"""Any server that speaks the chat completions protocol: OpenAI, vLLM, SGLang, Ollama, DashScope and many more.

    teacher:
      backend:
        name: openai_compatible
        base_url: http://127.0.0.1:8000/v1
        model: Qwen/Qwen2.5-VL-72B-Instruct
        api_key_env: TEACHER_KEY

`api_key_env` is the name of the variable that holds the key; the key itself never stands in a recipe.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator
from yarl import URL

from mulcot.records import Json
from mulcot.settings import volatile
from mulcot.teacher.base import Observer, Sampling, Session, teachers
from mulcot.teacher.transport.http_session import Target, open_session
from mulcot.teacher.transport.http_settings import HttpTeacher
from mulcot.teacher.transport.openai_protocol import RESERVED

ONE_OR_SEVERAL = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
}


def normalised(address: str) -> str:
    """One spelling per server: no final slash, no default port, no `/chat/completions`, and never a password."""
    try:
        url = URL(address.strip())
    except ValueError:
        raise ValueError("this is no address") from None  # without the value, which may hold a password
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("an address begins with http:// or https:// and a host")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise ValueError("an address holds no password, query or fragment; name the key's variable in `api_key_env`")
    path = url.path.rstrip("/").removesuffix("/chat/completions")
    return str(url.origin().with_path(path)).rstrip("/")


@teachers.register("openai_compatible")
class OpenAICompatible(HttpTeacher):
    """One model behind one or several chat completions servers."""

    base_url: Annotated[
        tuple[Annotated[str, AfterValidator(normalised)], ...], Field(min_length=1), WithJsonSchema(ONE_OR_SEVERAL)
    ] = volatile(...)
    """The server's address, usually ending in `/v1`; a list shares the work among servers with the same model."""
    model: str = Field(min_length=1)
    """The model's name as the server knows it."""
    api_key_env: str | None = volatile(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The name of the environment variable that holds the key; null where the server wants none."""
    served_as: str | None = None
    """A name of your choice that stands for the servers in the identity of requests. With it servers can move or be
    added and nothing is asked again; without it the addresses are the identity."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further keys of the request, such as `{chat_template_kwargs: {enable_thinking: false}}`."""

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("extra_body")
    @classmethod
    def _nothing_of_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(value.keys() & (RESERVED | Sampling.model_fields.keys() | {"max_completion_tokens"}))
        if taken:
            raise ValueError(f"{', '.join(taken)}: set by mulcot itself; see `sampling` and `structured`")
        return value

    @property
    def title(self) -> str:
        """The model's name."""
        return self.model

    def identity(self) -> Json:
        """The settings that decide a result, with the servers in one spelling and order."""
        return super().identity() | {"servers": self._servers()}

    def answers_as(self) -> Json:
        """Backend, servers as one set, model and flags."""
        out: Json = {"backend": self.name, "servers": self._servers(), "model": self.model}
        if self.structured != "off":
            out["structured"] = self.structured
        if self.extra_body:
            out["extra_body"] = self.extra_body
        return out

    def session(self, observer: Observer | None = None) -> AbstractAsyncContextManager[Session]:
        """Opens connections to all servers."""
        urls = tuple(dict.fromkeys(self.base_url))
        target = Target(urls=urls, model=self.model, api_key_env=self.api_key_env, extra_body=self.extra_body)
        return open_session(self, target, observer)

    def _servers(self) -> list[str]:
        return [self.served_as] if self.served_as else sorted(set(self.base_url))
