import dataclasses
import io
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mulcot.world import vocabulary
from mulcot.world.picture import paint, png
from mulcot.world.scene import STYLES, Look, Scene, random_scene
from mulcot.world.scene_reading import difference, pixels
from mulcot.world.vocabulary_types import SceneKind

KINDS = pytest.mark.parametrize("kind", vocabulary.KINDS, ids=lambda kind: kind.name)


def plain(kind: SceneKind) -> Scene:
    main, setting = kind.main[0].name, kind.setting[0].name
    return Scene(kind=kind.name, main=main, setting=setting, colour="red", count=1, extra="none")


def test_the_same_scene_gives_the_same_bytes() -> None:
    scene = random_scene(Random(1), hard=True)
    scene = dataclasses.replace(scene, look=dataclasses.replace(scene.look, grain=7, word="YAY"))
    assert png(paint(scene)) == png(paint(scene))


@pytest.mark.parametrize("size", [56, 84, 101, 280])
def test_the_bytes_are_a_png_of_that_size_and_exactly_the_painted_pixels(size: int) -> None:
    painted = paint(random_scene(Random(2)), size)
    opened = Image.open(io.BytesIO(png(painted)))
    assert (opened.format, opened.mode, opened.size) == ("PNG", "RGB", (size, size))
    assert opened.tobytes() == painted.tobytes()
    assert opened.info == {}


@KINDS
def test_every_value_of_every_attribute_can_be_seen(kind: SceneKind) -> None:
    values: dict[str, list[Any]] = {
        "main": [entry.name for entry in kind.main],
        "setting": [entry.name for entry in kind.setting],
        "colour": list(vocabulary.COLOURS),
        "count": list(vocabulary.COUNTS),
        "extra": list(vocabulary.EXTRAS),
    }
    for style, (name, options) in product(STYLES, values.items()):
        base = dataclasses.replace(plain(kind), look=Look(style=style))
        painted = [pixels(paint(dataclasses.replace(base, **{name: value}))) for value in options]
        for n, one in enumerate(painted):
            for other in painted[:n]:
                assert (np.abs(one - other).max(axis=2) > 40).sum() >= 18, (name, style)


@KINDS
def test_a_mirrored_scene_is_the_picture_turned_around(kind: SceneKind) -> None:
    scene = dataclasses.replace(plain(kind), main=kind.main[1].name)
    mirrored = dataclasses.replace(scene, look=Look(mirrored=True))
    turned = paint(scene).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert difference(pixels(paint(mirrored)), pixels(turned)) < 8


@KINDS
def test_a_word_in_the_picture_covers_no_detail_that_bears_a_mood(kind: SceneKind) -> None:
    for main in kind.main:
        for setting in kind.setting:
            scene = dataclasses.replace(plain(kind), main=main.name, setting=setting.name)
            written = dataclasses.replace(scene, look=Look(word="AWFUL"))
            changed = np.abs(pixels(paint(scene)) - pixels(paint(written))).max(axis=2) > 10
            rows, columns = np.nonzero(changed)
            assert len(rows) > 150
            assert rows.min() >= 72 and columns.min() >= 22 and columns.max() <= 62


def test_noise_changes_with_its_seed_and_leaves_the_picture_recognisable() -> None:
    scene = random_scene(Random(3))
    noisy = [
        pixels(paint(dataclasses.replace(scene, look=dataclasses.replace(scene.look, grain=n)))) for n in (0, 1, 2)
    ]
    assert 4 < difference(noisy[0], noisy[1]) < 25
    assert difference(noisy[1], noisy[2]) > 4
