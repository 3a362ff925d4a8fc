"""A player on a pitch, in front of the stands."""

from __future__ import annotations

from mulcot.world import props, vocabulary
from mulcot.world.canvas import Canvas, Point
from mulcot.world.props import DARK, GOLD, GRASS, HAIR, PAPER, SKIN, WOOD
from mulcot.world.scene import Scene

SHORTS = "#f4f4f4"


def paint(c: Canvas, scene: Scene) -> None:
    """Back to front."""
    _stands(c, scene.setting)
    c.ground(GRASS, 27)
    for y in (38, 60):
        c.box((-9, y, 93, y + 11), "#82b95e", line=False)
    c.stroke([(-9, 29), (93, 29)], PAPER, 1.6)
    shirt = vocabulary.COLOURS[scene.colour]
    if scene.main == "kneeling":
        _kneeling(c, shirt)
    elif scene.main == "fallen":
        _fallen(c, shirt)
    else:
        _upright(c, scene.main, shirt)
    for n in range(scene.count):
        x, y = (8, 18, 8)[n], (77, 77, 66)[n]
        c.disc(x, y, 5, 5, PAPER)
        c.disc(x, y, 1.9, 1.9, DARK, line=False)
    props.extra(c, scene.extra)


def _stands(c: Canvas, setting: str) -> None:
    if setting == "flags":
        c.ground("#a9dcf5")
        for n, colour in enumerate(("#e8504a", GOLD, "#4f8fe0", "#e8504a", GOLD)):
            x = 8 + 17 * n
            c.stroke([(x, 3), (x, 27)], DARK, 1.2)
            c.shape([(x, 3), (x + 12, 8), (x, 14)], colour)
    elif setting == "fence":
        c.ground("#dfe6e9")
        for n in range(8):
            c.box((-4 + 12 * n, 8, 4 + 12 * n, 27), "#f7f3ea")
    else:
        c.ground("#6f7884")
        for row in range(3):
            for n in range(8):
                c.box((-5 + 12 * n, 2 + 9 * row, 2 + 12 * n, 8 + 9 * row), "#9da6b1")


def _limb(c: Canvas, points: list[Point], colour: str) -> None:
    c.stroke(points, colour, 5)
    x, y = points[-1]
    c.disc(x, y, 2.5, 2.5, colour, line=False)


def _head(c: Canvas, x: float, y: float) -> None:
    c.disc(x, y, 7.5, 7.5, SKIN)
    c.half(x, y - 1.5, 7.2, 180, HAIR)


def _upright(c: Canvas, main: str, shirt: str) -> None:
    for side in (-1, 1):
        leg = 11 if main == "cheering" else 5
        _limb(c, [(42 + 4 * side, 60), (42 + leg * side, 77)], SKIN)
        if main == "standing":
            _limb(c, [(42 + 8 * side, 46), (42 + 12 * side, 62)], SKIN)
        elif main == "cheering":
            _limb(c, [(42 + 8 * side, 46), (42 + 19 * side, 25)], SKIN)
        else:
            _limb(c, [(42 + 8 * side, 46), (42 + 13 * side, 33), (42 + 7 * side, 21)], SKIN)
    c.shape([(33, 43), (51, 43), (50, 60), (34, 60)], shirt)
    c.box((34, 58, 50, 66), SHORTS)
    _head(c, 42, 35)
    for side in (-3, 3):
        c.disc(42 + side, 35, 1.1, 1.3, DARK, line=False)
    if main == "standing":
        c.stroke([(39.5, 39), (44.5, 39)], DARK, 1.2)
    else:
        c.half(42, 37.5, 3.4, 0, "#8e2522")
    if main == "winning":
        c.shape([(33, 3), (51, 3), (47, 15), (37, 15)], GOLD)
        c.box((40, 15, 44, 19), GOLD, line=False)
        c.box((35, 18, 49, 22), WOOD)


def _kneeling(c: Canvas, shirt: str) -> None:
    _limb(c, [(48, 66), (48, 77), (33, 77)], SKIN)
    _limb(c, [(46, 64), (58, 66), (57, 77)], SKIN)
    c.shape([(33, 50), (46, 46), (54, 64), (42, 69)], shirt)
    c.shape([(41, 64), (53, 60), (56, 68), (44, 71)], SHORTS)
    _limb(c, [(36, 52), (30, 62), (33, 70)], SKIN)
    _head(c, 32, 48)
    c.half(30, 51, 5, 45, HAIR)


def _fallen(c: Canvas, shirt: str) -> None:
    _limb(c, [(54, 60), (68, 54), (75, 60)], SKIN)
    _limb(c, [(54, 63), (70, 64)], SKIN)
    c.shape([(34, 53), (52, 55), (53, 67), (34, 67)], shirt)
    c.box((50, 55, 58, 67), SHORTS)
    _limb(c, [(37, 55), (30, 43)], SKIN)
    _head(c, 26, 60)
    for x in (22, 27):
        c.stroke([(x - 1.5, 57.5), (x + 1.5, 61)], DARK, 1)
        c.stroke([(x + 1.5, 57.5), (x - 1.5, 61)], DARK, 1)
    c.shape([(57, 60), (63, 57), (65, 62), (59, 65)], PAPER)
    c.stroke([(60, 59.5), (62, 63)], "#d6423a", 1.8)
