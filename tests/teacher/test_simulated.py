"""The simulated teacher, asked over HTTP as any other server."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.records import Example
from mulcot.tasks import Purpose, tasks
from mulcot.tasks.label_leak import find_leak
from mulcot.teacher.backends.simulated import Simulated
from mulcot.teacher.simulation.replies import answer
from mulcot.teacher.simulation.request_reading import BadRequest, PictureReader, understand
from mulcot.teacher.simulation.server import MODEL, SimulatedServer, serving
from mulcot.teacher.simulation.settings import Mistakes, Simulation, Troubles
from mulcot.world.picture import paint
from mulcot.world.posts import DrawnPost, make_post

SENTIMENT = tasks.get("sentiment")()
EYES = PictureReader()


def url(post: DrawnPost, size: int = 280) -> str:
    out = io.BytesIO()
    paint(post.scene).convert("RGB").resize((size, size)).save(out, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


POSTS = [make_post(3, "train", number) for number in range(60)]
URLS = [url(post) for post in POSTS]


def body(number: int, *, picture: int | None = -1, purpose: Purpose = Purpose.TEACH, **rest: Any) -> dict[str, Any]:
    post = POSTS[number]
    example = Example(id=str(number), split="train", text=post.text, label=post.truth.label)
    label = rest.pop("label", post.truth.label) if purpose is Purpose.HINT else None
    prompt = SENTIMENT.prompt(example, purpose, label)
    parts: list[dict[str, Any]] = [{"type": "text", "text": prompt.user}]
    if picture is not None:
        shown = URLS[number if picture == -1 else picture]
        parts.insert(0, {"type": "image_url", "image_url": {"url": shown}})
    messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": parts}]
    return {"model": MODEL, "messages": messages, **rest}


def reply(request: dict[str, Any], limit: int | None = None, draw: str = "", **simulation: Any) -> str:
    return answer(understand(request, EYES), Simulation(**simulation), limit, draw).text


def test_it_knows_a_post_by_what_was_sent() -> None:
    for number, post in enumerate(POSTS):
        asked = understand(body(number), EYES)
        assert asked.right == post.truth.label
        assert asked.given is None


def test_a_forgotten_or_swapped_picture_gives_wrong_answers() -> None:
    def right(picture: int | None, shift: int = 0) -> int:
        labels = []
        for number, post in enumerate(POSTS):
            shown = picture if not shift else (number + shift) % len(POSTS)
            found = SENTIMENT.read(reply(body(number, picture=shown), skill=1.0)).prediction
            labels.append(found == post.truth.label)
        return sum(labels)

    assert right(-1) == len(POSTS)
    assert right(None) < 0.8 * len(POSTS)
    assert right(-1, shift=7) < 0.8 * len(POSTS)


def test_its_skill_is_the_share_it_judges_rightly_and_it_keeps_its_opinion() -> None:
    for skill in (0.0, 0.5, 1.0):
        first = [SENTIMENT.read(reply(body(n), skill=skill)).prediction for n in range(len(POSTS))]
        again = [SENTIMENT.read(reply(body(n), draw="hotter", skill=skill)).prediction for n in range(len(POSTS))]
        right = sum(label == post.truth.label for label, post in zip(first, POSTS, strict=True))
        assert abs(right / len(POSTS) - skill) < 0.2
        assert first == again


def test_bias_makes_it_worse_at_one_label() -> None:
    neutral = [n for n, post in enumerate(POSTS) if post.truth.label == "neutral"]
    found = [SENTIMENT.read(reply(body(n), skill=1.0, bias={"neutral": -1.0})).prediction for n in neutral]
    assert neutral
    assert "neutral" not in found


def test_told_the_label_it_reasons_towards_it_right_or_wrong() -> None:
    for number in range(20):
        for label in SENTIMENT.labels():
            reading = SENTIMENT.read(reply(body(number, purpose=Purpose.HINT, label=label), skill=0.0))
            assert reading.complete
            assert reading.prediction == label


CHECKS: dict[str, Any] = {
    "missing_fields": lambda text, reading: reading.missing,
    "truncated": lambda text, reading: not reading.complete,
    "empty": lambda text, reading: text == "",
    "refused": lambda text, reading: "able" in text or "sorry" in text,
    "filtered": lambda text, reading: text == "",
    "unparsable": lambda text, reading: reading.prediction is None and not reading.missing[:-1],
    "leak": lambda text, reading: find_leak(text, SENTIMENT.labels()) is not None,
    "control_tokens": lambda text, reading: any(token in text for token in ("<|", "</s>", "[INST]")),
    "foreign": lambda text, reading: reading.complete,
    "dressed": lambda text, reading: reading.complete and not text.startswith('"Text'),
}


@pytest.mark.parametrize("kind", Mistakes.model_fields)
def test_every_kind_of_malformed_reply_is_what_it_says(kind: str) -> None:
    for number in range(20):
        text = reply(body(number, purpose=Purpose.HINT), mistakes=Mistakes(**{kind: 1.0}))
        assert CHECKS[kind](text, SENTIMENT.read(text)), (kind, text)


def test_asked_otherwise_a_malformed_reply_may_come_out_well() -> None:
    broken = Mistakes(missing_fields=0.5)
    outcomes = {SENTIMENT.read(reply(body(1), draw=str(draw), mistakes=broken)).complete for draw in range(20)}
    assert outcomes == {True, False}


def test_the_token_limit_cuts_a_reply() -> None:
    asked = understand(body(0), EYES)
    short = answer(asked, Simulation(), 20, "")
    assert short.finish == "length"
    assert 0 < len(short.text) < len(answer(asked, Simulation(), None, "").text)


def test_the_shares_of_mistakes_cannot_exceed_all() -> None:
    with pytest.raises(ValueError, match="more than 1"):
        Mistakes(empty=0.6, refused=0.6)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
@settings(max_examples=100, deadline=None)
def test_any_body_is_understood_or_refused(messages: Any) -> None:
    try:
        understand({"model": MODEL, "messages": messages}, PictureReader())
    except BadRequest:
        return


@asynccontextmanager
async def client(server: SimulatedServer) -> AsyncIterator[Any]:
    async with serving(server) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def post(session: Any, data: dict[str, Any], **rest: Any) -> tuple[int, Any, Any]:
    async with session.post("/v1/chat/completions", json=data, **rest) as response:
        content = await response.json(content_type=None) if response.content_type == "application/json" else None
        return response.status, content, response.headers


async def test_the_protocol_with_and_without_streaming_says_the_same() -> None:
    async with client(SimulatedServer(Simulation())) as session:
        _, whole, _ = await post(session, body(0))
        text = whole["choices"][0]["message"]["content"]
        assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]
        async with session.post("/v1/chat/completions", json=body(0, stream=True)) as response:
            lines = (await response.text()).splitlines()
    import json

    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    pieces = [event["choices"][0]["delta"].get("content", "") for event in events if event["choices"]]
    assert "".join(pieces) == text
    assert lines[-2] == "data: [DONE]"


async def test_it_calls_itself_simulated_and_knows_one_model() -> None:
    async with client(SimulatedServer(Simulation())) as session:
        async with session.get("/v1/models") as response:
            models = await response.json()
        assert "simulated" in models["data"][0]["owned_by"]
        status, content, _ = await post(session, {**body(0), "model": "other"})
        assert (status, content["error"]["code"]) == (404, "model_not_found")


async def test_a_wrong_key_and_a_broken_body_are_refused() -> None:
    async with client(SimulatedServer(Simulation(), key="right")) as session:
        assert (await post(session, body(0)))[0] == 401
        assert (await post(session, body(0), headers={"Authorization": "Bearer right"}))[0] == 200
    async with client(SimulatedServer(Simulation())) as session:
        for broken in ({}, {"model": MODEL}, {"model": MODEL, "messages": [{"role": "user", "content": 3}]}):
            assert (await post(session, broken))[0] in (400, 404)
        async with session.post("/v1/chat/completions", data=b"\xff{") as response:
            assert response.status == 400


async def test_trouble_passes_after_a_try_or_two_and_changes_no_answer() -> None:
    calm, rough = (
        SimulatedServer(Simulation()),
        SimulatedServer(Simulation(troubles=Troubles(rate_limited=0.5, server_errors=0.5))),
    )
    async with client(calm) as good, client(rough) as bad:
        for number in range(8):
            _, expected, _ = await post(good, body(number))
            statuses = []
            for _ in range(3):
                status, content, _ = await post(bad, body(number))
                statuses.append(status)
                if status == 200:
                    break
            assert statuses[0] in (429, 503)
            assert statuses[-1] == 200
            assert content["choices"] == expected["choices"]


async def test_a_rate_limit_may_say_how_long_to_wait() -> None:
    async with client(SimulatedServer(Simulation(troubles=Troubles(rate_limited=1.0, retry_after=2)))) as session:
        assert (await post(session, body(0)))[2]["Retry-After"] == "2"


async def test_bursts_refuse_whoever_comes() -> None:
    async with client(SimulatedServer(Simulation(troubles=Troubles(burst_every=5, burst_length=3)))) as session:
        statuses = [(await post(session, body(0)))[0] for _ in range(9)]
    assert statuses == [200] * 4 + [429] * 3 + [200, 200]


async def test_latency_is_drawn_from_the_request() -> None:
    server = SimulatedServer(Simulation(latency_ms=20))
    async with client(server) as session:
        started = asyncio.get_running_loop().time()
        await post(session, body(0))
        assert asyncio.get_running_loop().time() - started > 0.005


def test_its_identity_holds_what_decides_answers_and_its_title_says_what_it_is() -> None:
    one = Simulated(skill=0.5)
    assert one.answers_as() == Simulated(skill=0.5, latency_ms=9, troubles=Troubles(dropped=0.3)).answers_as()
    assert one.answers_as() != Simulated(skill=0.6).answers_as()
    assert one.answers_as()["backend"] == "simulated"
    assert "simulated" in one.title
