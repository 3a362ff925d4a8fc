from __future__ import annotations

import gc
from typing import Any

import pytest

from mulcot import Post, Predictor
from mulcot.media import ImageLimits
from mulcot.predict.posts import Prepared
from mulcot.serving.error_responses import Busy, Problem, Unusable
from mulcot.serving.picture_opener import Held, PictureOpener
from mulcot.serving.remote_pictures import RemoteImages
from mulcot.serving.settings import Limits

from .fakes import Unfolding
from .running import served
from .test_predict import encoded, picture

POST = Post(text="a post")


def pictures(limit: int, **options: Any) -> PictureOpener:
    return PictureOpener(ImageLimits(), RemoteImages([], 1000), Held(limit), **options)


async def test_pictures_beyond_the_memory_are_refused_before_they_are_opened() -> None:
    opener, raw = pictures(60_000), picture(size=(100, 100))
    kept = [await opener.ready(POST, [raw], label_only=True) for _ in range(2)]
    assert opener.held.used == 60_000
    with pytest.raises(Busy):
        await opener.ready(POST, [b"not even looked at"], label_only=True)
    assert isinstance(await opener.ready(POST, [], label_only=True), Post)
    del kept[0]
    gc.collect()
    assert opener.held.used == 30_000
    with pytest.raises(Unusable):
        await opener.ready(POST, [b"looked at"], label_only=True)


async def test_a_post_of_many_pictures_stops_where_the_memory_ends() -> None:
    opener, raw = pictures(60_000), picture(size=(100, 100))
    with pytest.raises(Busy):
        await opener.ready(POST, [raw] * 3, label_only=True)
    gc.collect()
    assert opener.held.used == 0
    ready = await opener.ready(POST, [raw] * 2, label_only=True)
    assert isinstance(ready, Post)
    assert len(ready.pictures(ImageLimits())) == 2


async def test_what_is_wrong_with_a_picture_says_nothing_about_our_insides() -> None:
    def broken(item: Post, *, label_only: bool) -> Prepared:
        raise ValueError("a secret")

    with pytest.raises(Problem) as failed:
        await pictures(10**9, prepare=broken).ready(POST, [picture()], label_only=True)
    assert (failed.value.status, "secret" in failed.value.message) == (500, False)


async def test_a_prepared_post_is_answered_like_any_other_and_its_picture_is_gone(student: Predictor) -> None:
    opener = pictures(10**9, prepare=student.prepare)
    raw = picture(size=(1000, 1000))
    ready = await opener.ready(POST, [raw], label_only=False)
    assert isinstance(ready, Prepared)
    gc.collect()
    assert opener.held.used == ready.nbytes < 3_000_000
    post = Post(text=POST.text, image=raw)
    *_, one = student.stream_batch([ready])
    (other,) = student.predict([post])
    assert one.news.chain == other.chain
    assert one.news.probabilities == pytest.approx(other.probabilities, abs=1e-5)


async def test_a_prepared_post_is_rejected_for_the_same_reason(student: Predictor) -> None:
    with pytest.raises(Unusable) as refused:
        await pictures(10**9, prepare=student.prepare).ready(Post(text=" "), [picture()], label_only=True)
    assert refused.value.code == "empty_text"


def test_small_files_with_large_pictures_cannot_fill_the_memory() -> None:
    """Without the limit, waiting posts would hold 27 MB each."""
    image = encoded(picture(size=(3000, 3000)))
    with served(Unfolding(), limits=Limits(pictures=50_000_000)) as service:
        status, found = service.json("/v1/predict", {"items": [{"text": "a", "image": image}] * 8})
        assert (status, found["error"]["code"]) == (429, "busy")
        gc.collect()
        assert service.service.pictures.held.used == 0
        assert service.json("/v1/predict", {"text": "a", "image": image})[0] == 200


def test_a_picture_is_no_longer_held_when_its_answer_is_there() -> None:
    with served(Unfolding()) as service:
        assert service.json("/v1/predict", {"text": "a", "image": encoded(picture())})[0] == 200
        assert service.service.pictures.held.used == 0
