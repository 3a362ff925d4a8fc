"""Pictures as the teacher gets them."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import io

import pytest
from PIL import Image

from mulcot.errors import MediaError
from mulcot.media import Gallery, Store
from mulcot.records import ImageRef
from mulcot.teacher.transport.images import EncodedPictures, ImageSettings, Picture


def put(store: Store, color: str = "red", size: tuple[int, int] = (400, 100)) -> ImageRef:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    return store.put(out.getvalue(), ".png")


def decoded(url: bytes) -> Image.Image:
    head, _, data = url.partition(b",")
    assert head == b"data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


async def test_a_picture_is_sent_as_a_square_jpeg(tmp_path):
    store = Store(tmp_path)
    with EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        image = decoded(await pictures.picture(put(store)).data_url())
    assert (image.format, image.size) == ("JPEG", (280, 280))
    assert image.getpixel((140, 140))[0] > 240


async def test_a_picture_may_keep_its_own_size(tmp_path):
    store = Store(tmp_path)
    with EncodedPictures(Gallery(None, store), ImageSettings(size=None)) as pictures:
        assert decoded(await pictures.picture(put(store)).data_url()).size == (400, 100)


async def test_the_same_picture_is_encoded_once_even_when_many_want_it_at_once(tmp_path, monkeypatch):
    store, encoded = Store(tmp_path), []
    ref = put(store)
    encode = EncodedPictures._encode
    monkeypatch.setattr(EncodedPictures, "_encode", lambda self, ref: (encoded.append(ref), encode(self, ref))[1])
    with EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        urls = await asyncio.gather(*(pictures.picture(ref).data_url() for _ in range(20)))
        urls.append(await pictures.picture(ref).data_url())
    assert len(set(urls)) == 1
    assert len(encoded) == 1


async def test_only_so_many_bytes_are_kept_and_the_least_used_go_first(tmp_path):
    store = Store(tmp_path)
    refs = [put(store, color) for color in ("red", "green", "blue", "white")]
    with EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        size = len(await pictures.picture(refs[0]).data_url())
        pictures.keep_bytes = int(size * 3.5)
        for ref in (refs[1], refs[2], refs[0], refs[3]):
            await pictures.picture(ref).data_url()
        kept = [pictures.picture(ref).digest in pictures._kept for ref in refs]
        assert pictures._kept_bytes == sum(map(len, pictures._kept.values())) <= pictures.keep_bytes
    assert kept == [True, False, True, True]


def test_the_digest_needs_no_file_and_covers_content_and_preparation(tmp_path):
    gallery = Gallery(None, Store(tmp_path))
    ref = ImageRef(path="nowhere.png", stored=True, sha256="a" * 64)
    digests = set()
    for settings in (ImageSettings(), ImageSettings(size=336), ImageSettings(quality=50), ImageSettings(size=None)):
        with EncodedPictures(gallery, settings) as pictures:
            digests.add(pictures.picture(ref).digest)
            digests.add(pictures.picture(dataclasses.replace(ref, sha256="b" * 64)).digest)
            assert pictures.picture(dataclasses.replace(ref, path="moved.png")).digest in digests
    assert len(digests) == 8


def test_a_reference_that_was_never_checked_has_no_digest_of_its_own(tmp_path):
    with (
        EncodedPictures(Gallery(None, Store(tmp_path)), ImageSettings()) as pictures,
        pytest.raises(MediaError, match="never checked"),
    ):
        pictures.picture(ImageRef(path="x.png"))


async def test_a_picture_that_changed_since_it_was_checked_is_refused(tmp_path):
    store = Store(tmp_path)
    ref = put(store)
    other = put(store, "blue")
    store.path(ref).write_bytes(store.path(other).read_bytes())
    with EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        for _ in range(2):
            with pytest.raises(MediaError, match="has changed since it was checked"):
                await pictures.picture(ref).data_url()


async def test_one_who_stops_waiting_does_not_take_the_picture_from_the_others(tmp_path):
    store = Store(tmp_path)
    picture_of = put(store)
    with EncodedPictures(Gallery(None, store), ImageSettings()) as pictures:
        picture = pictures.picture(picture_of)
        impatient = asyncio.create_task(picture.data_url())
        patient = asyncio.create_task(picture.data_url())
        await asyncio.sleep(0)
        impatient.cancel()
        assert decoded(await patient).size == (280, 280)


async def test_bytes_that_are_ready_are_their_own_picture():
    picture = Picture.of_jpeg(b"jpeg")
    assert picture.digest == hashlib.sha256(b"jpeg").hexdigest()
    assert await picture.data_url() == b"data:image/jpeg;base64,anBlZw=="
