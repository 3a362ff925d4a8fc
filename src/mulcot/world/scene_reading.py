"""Reading a scene off pixels: `read_scene` looks at a picture and says what was painted.

It knows the painters and nothing else: it starts from the most similar kind, setting and style, then changes one
attribute at a time, paints again and keeps what comes closer. A new scene needs no code here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import cycle
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mulcot.world import vocabulary
from mulcot.world.canvas import GRID
from mulcot.world.picture import paint
from mulcot.world.scene import KINDS, SHIFTS, STYLES, Look, Scene
from mulcot.world.vocabulary_types import SceneKind

Pixels = NDArray[np.int16]
T = TypeVar("T")
Axis: TypeAlias = Callable[[T], list[T]]
"""All values of one attribute, everything else unchanged."""

COARSE = 7
"""Starting points are compared on pictures this many times smaller."""
CAP = 90
"""A pixel's difference counts up to this much, so that scratches and words cannot outweigh the rest."""
GOOD, POOR = 7.0, 20.0
"""Mean difference below which the first answer is taken, and above which none is given in any case."""
STARTS = 6


class Sight(NamedTuple):
    """What was seen, and how far the painted guess is from the picture."""

    scene: Scene
    distance: float


def read_scene(image: Image.Image) -> Scene | None:
    """The scene of a picture, or None where it is none of ours. Sizes, JPEG and noise are forgiven."""
    target = pixels(image)
    found = nearest(target)
    return found.scene if resembles(target, found.distance) else None


def resembles(target: Pixels, distance: float) -> bool:
    """Whether so near a guess is the picture itself: much nearer than an even surface of its mean colour would be."""
    even = np.broadcast_to(target.mean(axis=(0, 1)).astype(np.int16), target.shape)
    return distance < min(POOR, difference(target, even) / 2)


def nearest(target: Pixels) -> Sight:
    """The nearest scene with its distance."""
    best: Sight | None = None
    for start in _starts(target):
        found = Sight(*approach(target, start, AXES, _painted, CHECKS))
        if found.scene.extra == "none":
            # With nothing in its corner a symmetric scene is easily taken for its mirror image.
            flipped = Sight(*approach(target, _flipped(found.scene), AXES, _painted, CHECKS))
            found = min(found, flipped, key=_distance)
        best = found if best is None else min(best, found, key=_distance)
        if best.distance < GOOD:
            break
    assert best is not None
    return best


def _distance(sight: Sight) -> float:
    return sight.distance


def _flipped(scene: Scene) -> Scene:
    return _with_look(scene, mirrored=not scene.look.mirrored, across=-scene.look.across)


def pixels(image: Image.Image) -> Pixels:
    """The picture in the grid's own size."""
    image = image.convert("RGB")
    if image.size != (GRID, GRID):
        image = image.resize((GRID, GRID), Image.Resampling.BOX if min(image.size) > GRID else Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.int16)


def difference(a: Pixels, b: Pixels) -> float:
    """The mean capped difference of two pictures."""
    return float(np.minimum(np.abs(a - b), CAP).mean())


def approach(
    target: Pixels, state: T, axes: Sequence[Axis[T]], painted: Callable[[T], Pixels], checks: int
) -> tuple[T, float]:
    """Changes one attribute at a time to its nearest value, and all again while one of the first `checks` still moves.

    The first axes move large parts of the picture; the others are local, so their choice holds while those hold.
    """
    known: dict[T, float] = {}

    def distance(candidate: T) -> float:
        if candidate not in known:
            known[candidate] = difference(target, painted(candidate))
        return known[candidate]

    while True:
        for axis in axes:
            state = min((state, *axis(state)), key=distance)
        before = state
        for axis in axes[:checks]:
            state = min((state, *axis(state)), key=distance)
        if state == before:
            return state, distance(state)


def _painted(scene: Scene) -> Pixels:
    return pixels(paint(scene, GRID))


def _with_look(scene: Scene, **changes: Any) -> Scene:
    return dataclasses.replace(scene, look=dataclasses.replace(scene.look, **changes))


def _across(scene: Scene) -> list[Scene]:
    return [_with_look(scene, across=across) for across in SHIFTS]


def _down(scene: Scene) -> list[Scene]:
    return [_with_look(scene, down=down) for down in SHIFTS]


def _written(scene: Scene) -> list[Scene]:
    """Any word at all, since most pictures have none."""
    return [] if scene.look.word else [_with_look(scene, word=vocabulary.GLOOMY_CUES[0])]


def _words(scene: Scene) -> list[Scene]:
    words = ("", *vocabulary.CHEERFUL_CUES, *vocabulary.GLOOMY_CUES)
    return [_with_look(scene, word=word) for word in words] if scene.look.word else []


def _values(name: str) -> Axis[Scene]:
    def axis(scene: Scene) -> list[Scene]:
        values: tuple[Any, ...] = {
            "main": tuple(entry.name for entry in scene.terms.main),
            "setting": tuple(entry.name for entry in scene.terms.setting),
            "colour": tuple(vocabulary.COLOURS),
            "count": vocabulary.COUNTS,
            "extra": vocabulary.EXTRAS,
        }[name]
        return [dataclasses.replace(scene, **{name: value}) for value in values]

    return axis


AXES: tuple[Axis[Scene], ...] = (
    *(_across, _down, _values("main"), _values("colour"), _written, _words),
    *(_values("colour"), _values("setting"), _values("extra"), _values("count")),
)
CHECKS = 3


def _starts(target: Pixels) -> list[Scene]:
    """The most similar typical pictures, nearest first."""
    scenes, typical = _typical()
    distances = np.abs(typical - coarse(target)).mean(axis=(1, 2, 3))
    return [scenes[n] for n in np.argsort(distances)[:STARTS]]


@lru_cache(maxsize=1)
def _typical() -> tuple[list[Scene], NDArray[np.float32]]:
    """For every kind, setting, style and side: what its pictures have in common."""
    scenes, means = [], []
    for kind in KINDS.values():
        for setting in kind.setting:
            for look in (Look(style=style, mirrored=mirrored) for style in STYLES for mirrored in (False, True)):
                colours = cycle(vocabulary.COLOURS)
                group = [_scene(kind, entry.name, setting.name, next(colours), look) for entry in kind.main]
                scenes.append(group[0])
                means.append(np.mean([coarse(_painted(scene)) for scene in group], axis=0))
    return scenes, np.stack(means).astype(np.float32)


def _scene(kind: SceneKind, main: str, setting: str, colour: str, look: Look) -> Scene:
    return Scene(kind=kind.name, main=main, setting=setting, colour=colour, count=2, extra="none", look=look)


def coarse(image: Pixels) -> NDArray[np.float32]:
    """The picture in few pixels."""
    small = GRID // COARSE
    means: NDArray[np.float32] = image.reshape(small, COARSE, small, COARSE, 3).mean(axis=(1, 3), dtype=np.float32)
    return means
