import dataclasses
import io
from random import Random

import pytest
from PIL import Image

from mulcot.world import vocabulary
from mulcot.world.picture import paint
from mulcot.world.posts import make_post
from mulcot.world.scene import Scene, random_scene
from mulcot.world.scene_reading import read_scene


def sent(image: Image.Image, size: int = 280, quality: int = 85) -> Image.Image:
    """The picture as a client sends it."""
    out = io.BytesIO()
    image.resize((size, size), Image.Resampling.BICUBIC).save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue()))


def moods(scene: Scene | None) -> tuple[str, str, str] | None:
    return (scene.kind, scene.main, scene.setting) if scene else None


def recognised(count: int, seed: int) -> int:
    rng = Random(seed)
    right = 0
    for _ in range(count):
        scene = random_scene(rng)
        image = sent(paint(scene, rng.choice((84, 84, 112, 280, 512))), quality=rng.choice((85, 90, 95)))
        right += moods(read_scene(image)) == moods(scene)
    return right


def recognised_hard(count: int) -> int:
    posts = (make_post(3, "hard", number) for number in range(count))
    return sum(moods(read_scene(sent(paint(post.scene)))) == moods(post.scene) for post in posts)


def test_clean_pictures_are_read_exactly_after_resizing_and_jpeg() -> None:
    assert recognised(120, seed=1) == 120


def test_pictures_of_the_hard_split_are_read_too() -> None:
    assert recognised_hard(40) >= 38


@pytest.mark.slow
def test_a_thousand_clean_pictures_are_read_exactly() -> None:
    assert recognised(1000, seed=2) >= 999


@pytest.mark.slow
def test_hundreds_of_hard_pictures_are_read() -> None:
    assert recognised_hard(200) >= 190


def test_every_attribute_and_the_look_are_found_on_an_untouched_picture() -> None:
    for seed in range(20):
        scene = random_scene(Random(seed))
        assert read_scene(paint(scene)) == scene


def test_a_word_written_into_a_picture_is_seen_as_a_word() -> None:
    scene = random_scene(Random(8))
    scene = dataclasses.replace(scene, look=dataclasses.replace(scene.look, word=vocabulary.CHEERFUL_CUES[0]))
    assert read_scene(sent(paint(scene))) == scene


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (84, 84), "white"),
        Image.new("L", (300, 200), 90),
        Image.radial_gradient("L"),
        Image.linear_gradient("L").convert("RGBA"),
    ],
)
def test_pictures_of_other_origin_are_not_recognised(image: Image.Image) -> None:
    assert read_scene(image) is None


def test_a_grey_picture_of_ours_is_not_taken_for_a_scene() -> None:
    assert read_scene(Image.new("RGB", (280, 280), (128, 128, 128))) is None
