from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mulcot.predict.posts import Post
from mulcot.predict.streaming import StreamEvent
from mulcot.records import Prediction
from mulcot.serving.batching_engine import GATHER, SLICE
from mulcot.serving.settings import Limits

from .fakes import LABELS, Fake, Unfolding, chain_of, label_of
from .running import Running, served


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with served(Unfolding()) as running:
        yield running


def picture(kind: str = "PNG", size: tuple[int, int] = (20, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind)
    return out.getvalue()


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def events(raw: bytes) -> list[tuple[str, Any]]:
    found = []
    for block in raw.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def form(fields: list[tuple[str, str]], *images: bytes | None) -> tuple[bytes, dict[str, str]]:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in fields]
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="../../x.png"\r\n\r\n'
    parts += [head + image + b"\r\n" for image in images if image is not None]
    return b"".join([*parts, b"--b--\r\n"]), {"Content-Type": "multipart/form-data; boundary=b"}


def test_an_answer_has_label_chain_and_timings(service: Running) -> None:
    status, found = service.json("/v1/predict", {"text": "a post", "image": encoded(picture()), "id": "mine"})
    assert status == 200
    assert (found["id"], found["label"], found["model"]) == ("mine", label_of("a post"), "fake")
    assert set(found["probabilities"]) == set(LABELS)
    assert found["chain"] == chain_of("a post")
    assert list(found["fields"]) == list(service.service.predictor.task.fields)
    assert (found["chain_label"], found["agrees"], found["cut"]) == (found["label"], True, False)
    timings = found["timings"]
    assert timings["total_ms"] >= timings["model_ms"] >= 0


def test_label_only_leaves_the_chain_out_and_keeps_all_keys(service: Running) -> None:
    _, whole = service.json("/v1/predict", {"text": "a post"})
    _, label = service.json("/v1/predict", {"text": "a post", "label_only": True})
    assert label.keys() == whole.keys()
    assert (label["label"], label["chain"], label["fields"]) == (whole["label"], None, {})


@pytest.mark.parametrize("choices", [[("choices", "x"), ("choices", "y")], [("choices", '["x", "y"]')]])
def test_a_form_may_list_choices_in_two_ways(service: Running, choices: list[tuple[str, str]]) -> None:
    body, headers = form([("text", "a post"), *choices])
    assert service.ask("/v1/predict", body, headers=headers)[0] == 200
    assert service.service.predictor.choices == ("x", "y")


def test_what_is_wrong_with_a_request_is_said_plainly(service: Running) -> None:
    _, found = service.json("/v1/predict", {})
    assert found["error"]["message"] == "the body: give either `text` or `items`"


def test_a_post_may_have_several_pictures_in_json_and_in_a_form(service: Running) -> None:
    raw = [picture(size=(20, 30)), picture(size=(40, 10))]
    body, headers = form([("text", "a post of two pictures")], *raw)
    fake = service.service.predictor
    for sent, options in (({"text": "a post of two pictures", "image": [*map(encoded, raw)]}, {}), (body, headers)):
        assert service.ask("/v1/predict", sent, headers=options)[0] == 200
        assert fake.sizes == [(20, 30), (40, 10)]
    assert service.ask("/v1/predict", {"text": "a post", "image": [encoded(raw[0])] * 9})[0] == 400


@pytest.mark.parametrize("image", [picture("JPEG"), picture("WEBP"), None])
def test_a_form_is_the_same_as_json(service: Running, image: bytes | None) -> None:
    body, headers = form([("text", "a post"), ("label_only", "true"), ("id", "x")], image)
    status, found = service.json("/v1/predict", body, headers=headers)
    assert (status, found["label"], found["chain"], found["id"]) == (200, label_of("a post"), None, "x")


def test_several_posts_are_answered_in_their_order_and_bad_ones_in_their_place(service: Running) -> None:
    items = [{"text": "one"}, {"text": "  "}, {"text": "broken", "image": "AAAA"}, {"text": "four"}]
    status, found = service.json("/v1/predict", {"items": items, "label_only": True})
    assert status == 200
    assert [item.get("label") for item in found["items"]] == [label_of("one"), None, None, label_of("four")]
    assert found["items"][1]["rejected"]["reason"] == "empty_text"
    assert found["items"][2]["rejected"]["reason"] == "not_an_image"


def test_a_stream_tells_probabilities_first_then_the_chain_then_everything(service: Running) -> None:
    status, headers, raw = service.ask("/v1/predict/stream", {"text": "watched"})
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    told = events(raw)
    assert told[0][0] == "probabilities"
    assert set(told[0][1]["probabilities"]) == set(LABELS)
    assert "".join(data["text"] for name, data in told if name == "chain") == chain_of("watched")
    name, whole = told[-1]
    assert name == "done"
    assert whole["chain"] == chain_of("watched")
    assert whole["label"] == told[0][1]["label"]


def test_a_predictor_that_answers_in_one_go_is_streamed_in_the_same_order() -> None:
    with served(Fake()) as running:
        told = events(running.ask("/v1/predict/stream", {"text": "watched"})[2])
        assert [name for name, _ in told] == ["probabilities", "chain", "done"]
        short = events(running.ask("/v1/predict/stream", {"text": "watched", "label_only": True})[2])
    assert [name for name, _ in short] == ["probabilities", "done"]


def test_a_failure_within_a_stream_is_an_event(service: Running) -> None:
    told = events(service.ask("/v1/predict/stream", {"text": "poison"})[2])
    assert (told[0][0], told[-1][0]) == ("probabilities", "error")
    assert "secret" not in str(told)


def test_what_is_known_to_be_wrong_before_a_stream_begins_has_a_status(service: Running) -> None:
    status, found = service.json("/v1/predict/stream", {"text": " "})
    assert (status, found["error"]["code"]) == (422, "empty_text")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_request"),
        (b"{", "invalid_request"),
        (b'{"text": "\xff"}', "invalid_request"),
        (b'{"text": "\\ud800"}', "invalid_request"),
        (b"[" * 100_000, "invalid_request"),
        ({}, "invalid_request"),
        ({"text": "a", "items": [{"text": "b"}]}, "invalid_request"),
        ({"text": "a", "unknown": 1}, "invalid_request"),
        ({"text": 5}, "invalid_request"),
        ({"text": "x" * 100_001}, "invalid_request"),
        ({"text": "a", "id": "line\nbreak"}, "invalid_request"),
        ({"items": []}, "invalid_request"),
        ({"items": [{"text": "a"}] * 65}, "too_many_items"),
    ],
)
def test_a_body_that_is_not_understood_is_refused_calmly(service: Running, body: Any, code: str) -> None:
    status, found = service.json("/v1/predict", body)
    assert (status, found["error"]["code"]) == (400, code)
    assert len(found["error"]["message"]) < 400


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("###", "not_base64"),
        ("data:image/png,abc", "not_base64"),
        (encoded(b"GIF89a"), "truncated_image"),
        (encoded(b"hello, this is no picture"), "not_an_image"),
        (encoded(picture()[:40]), "truncated_image"),
        (encoded(picture(size=(1, 900))), "too_narrow"),
        (encoded(picture(size=(6000, 6000))), "too_many_pixels"),
        ("https://example.org/x.png", "remote_image"),
        ("file:///etc/passwd", "not_base64"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_with_its_reason(service: Running, image: str, code: str) -> None:
    status, found = service.json("/v1/predict", {"text": "a post", "image": image})
    assert (status, found["error"]["code"]) == (422, code)
    assert "passwd" not in str(found)


def test_forms_that_are_not_understood_are_refused(service: Running) -> None:
    for fields in ([("text", "a"), ("text", "b")], [("text", "a"), ("what", "b")], [("image", "a")]):
        body, headers = form(fields)
        assert service.ask("/v1/predict", body, headers=headers)[0] == 400
    broken = {"Content-Type": "multipart/form-data; boundary=other"}
    assert service.ask("/v1/predict", form([("text", "a")])[0], headers=broken)[0] == 400
    plain = {"Content-Type": "text/plain"}
    assert service.json("/v1/predict", b'{"text": "a"}', headers=plain)[1]["error"]["code"] == "content_type"


def test_a_failure_tells_nothing_of_our_insides(service: Running) -> None:
    status, headers, raw = service.ask("/v1/predict", {"text": "poison"})
    assert status == 500
    assert json.loads(raw)["error"]["code"] == "failed"
    assert not any(word in raw.decode() for word in ("secret", "Traceback", ".py", "/"))
    assert len(headers["x-request-id"]) == 16


def test_the_page_learns_what_it_needs(service: Running) -> None:
    _, found = service.json("/v1/info")
    assert found["task"]["name"] == "sentiment"
    assert set(found["task"]["labels"]) == set(LABELS)
    assert found["task"]["needs"] == {"aspect": False, "choices": False, "context": False, "caption": False}
    assert found["task"]["required"] == ["text"]
    assert found["limits"]["items"] == 64


def test_the_interface_describes_itself_with_examples_that_work(service: Running) -> None:
    _, schema = service.json("/openapi.json")
    body = schema["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    name = body["schema"]["$ref"].rsplit("/", 1)[-1]
    assert "items" in schema["components"]["schemas"][name]["properties"]
    for example in body["examples"].values():
        assert service.ask("/v1/predict", example["value"])[0] == 200
    answer = schema["paths"]["/v1/predict"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert answer.keys() == service.json("/v1/predict", {"text": "a"})[1].keys()
    assert set(Prediction.__dataclass_fields__) >= set(answer) - {"model", "timings"}


def test_the_docs_name_every_route_limit_and_option(service: Running) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    for path in service.json("/openapi.json")[1]["paths"]:
        assert path in text
    limits = Limits()
    for said in (
        f"{limits.header_seconds:g} seconds for a header, {limits.body_seconds:g} for a body, "
        f"{limits.reading_seconds:g} without reading",
        f"{limits.images.max_bytes // 10**6} MB, {limits.images.max_pixels // 10**6} megapixels",
        f"slice of {1000 * SLICE:g} milliseconds",
        f"up to {1000 * GATHER:g} milliseconds",
        f"limited to {limits.pictures // 10**6} MB",
    ):
        assert said in " ".join(text.split()), said


def test_metrics_count_requests_batches_and_tokens(service: Running) -> None:
    service.json("/v1/predict", {"text": "counted"})
    text = service.ask("/metrics")[2].decode()
    assert 'mulcot_requests_total{route="/v1/predict",status="200"}' in text
    assert 'mulcot_request_seconds_bucket{route="/v1/predict",le="+Inf"}' in text
    assert 'mulcot_batch_size_bucket{kind="chain",le="1"}' in text
    assert 'mulcot_tokens_total{kind="written"} 0' not in text
    assert "mulcot_queue_length 0" in text
    assert (service.ask("/healthz")[2], service.ask("/readyz")[2]) == (b"ok", b"ready")


def test_a_model_that_answers_after_its_chain_is_told_in_that_order() -> None:
    class Afterwards(Fake):
        def stream_batch(self, items: Sequence[Post], *, label_only: bool = False, streamed: Sequence[int] = ()) -> Any:
            (item,) = items
            answer = self.answer(item)
            assert isinstance(answer, Prediction)
            for piece in (answer.chain or "").split("\n"):
                yield StreamEvent(0, piece)
            yield StreamEvent(0, answer, True, 10, 5)

    with served(Afterwards()) as service:
        names = [name for name, _ in events(service.ask("/v1/predict/stream", {"text": "a day"})[2])]
        assert names == ["chain"] * 5 + ["probabilities", "done"]
