from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from .fakes import Unfolding, chain_of, label_of
from .running import Running, served


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with served(Unfolding()) as running:
        yield running


@pytest.fixture
def client(service: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def picture() -> str:
    out = io.BytesIO()
    Image.new("RGB", (20, 30), "red").save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def post(text: str) -> list[Any]:
    content = [{"type": "image_url", "image_url": {"url": picture()}}, {"type": "text", "text": text}]
    return [{"role": "system", "content": "ignored"}, {"role": "user", "content": content}]


def test_a_message_is_a_post_and_the_reply_its_chain(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="fake", messages=post("a post"), temperature=0)
    assert reply.choices[0].message.content == chain_of("a post")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == 50
    assert reply.model_extra["mulcot"]["label"] == label_of("a post")


def test_a_stream_says_the_same_piece_by_piece(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="fake", messages=post("a post"), stream=True, stream_options={"include_usage": True}
        )
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == chain_of("a post")
    assert sum(bool(piece) for piece in said) == 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 40


def test_the_model_is_listed_and_others_do_not_exist(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["fake"]
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="other", messages=post("a"))
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    "option",
    [
        {"n": 2},
        {"stop": ["x"]},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"extra_body": {"mulcot": {"raw": True}}},
        {"extra_body": {"mulcot": {"unknown": True}}},
    ],
)
def test_what_cannot_be_honoured_is_refused(client: openai.OpenAI, option: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="fake", messages=post("a"), **option)


def test_problems_reach_the_client_as_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as empty:
        client.chat.completions.create(model="fake", messages=post("  "))
    assert empty.value.code == "empty_text"
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="fake", messages=post("poison"))
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="fake", messages=post("poison"), stream=True))
    many = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture()}}] * 9}]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="fake", messages=many)
