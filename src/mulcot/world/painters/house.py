"""A house on a meadow."""

from __future__ import annotations

from mulcot.world import props, vocabulary
from mulcot.world.canvas import Canvas
from mulcot.world.props import DARK, GOLD, GRASS, PAPER, WOOD
from mulcot.world.scene import Scene

WALL = "#f6ead6"


def paint(c: Canvas, scene: Scene) -> None:
    """Back to front."""
    _sky(c, scene.setting)
    c.ground(GRASS, 58)
    roof = vocabulary.COLOURS[scene.colour]
    c.box((24, 46, 60, 74), WALL)
    if scene.main == "ruined":
        c.shape([(19, 46), (34, 32), (38, 40), (44, 31), (50, 42), (55, 38), (65, 46)], roof)
    else:
        c.shape([(19, 46), (42, 26), (65, 46)], roof)
    c.box((38, 58, 46, 74), WOOD)
    _windows(c, scene.main)
    for n in range(scene.count):
        props.tree(c, (8, 76, 17)[n], (68, 60, 80)[n])
    props.extra(c, scene.extra)


def _sky(c: Canvas, setting: str) -> None:
    if setting == "rainbow":
        c.ground("#b9e3f5")
        for n, colour in enumerate(("#e8504a", "#f5a623", GOLD, "#58b368", "#4f8fe0", "#8d5fc4")):
            c.arc(42, 52, 49 - 2.6 * n, 180, 360, colour, 2.8)
    elif setting == "moon":
        c.ground("#aab7cc")
        c.disc(15, 14, 8, 8, "#f4f1dc", line=False)
        c.disc(19, 12, 7, 7, "#aab7cc", line=False)
    else:
        c.ground("#566070")
        for x in (14, 40, 68):
            props.cloud(c, x, 9, "#333a45")
        for x in (16, 70):
            c.shape(
                [(x, 14), (x + 6, 14), (x + 3, 22), (x + 8, 22), (x - 3, 38), (x, 26), (x - 4, 26)], GOLD, line=False
            )


def _windows(c: Canvas, main: str) -> None:
    glass = {"lit": "#ffdf5a", "festive": "#ffdf5a", "shut": "#7c8a72", "ruined": "#39414c", "burning": "#ff9a1f"}[main]
    for x in (27, 48):
        c.box((x, 51, x + 9, 60), glass)
        if main == "shut":
            for y in (53, 55.5, 58):
                c.stroke([(x, y), (x + 9, y)], DARK, 0.8)
        elif main == "ruined":
            c.stroke([(x - 1, 50), (x + 10, 61)], WOOD, 2)
            c.stroke([(x + 10, 50), (x - 1, 61)], WOOD, 2)
    if main == "lit":
        for x in (27, 48):
            c.stroke([(x + 4.5, 51), (x + 4.5, 60)], WOOD, 1.2)
        c.box((52, 26, 58, 38), WOOD)
        c.disc(56, 20, 3, 3, PAPER, line=False)
        c.disc(59, 13, 4, 4, PAPER, line=False)
    elif main == "festive":
        c.stroke([(22, 46), (42, 50), (62, 46)], DARK, 0.9)
        for n, colour in enumerate(("#e8504a", GOLD, "#4f8fe0", "#58b368", "#e8504a")):
            x = 25 + 8 * n
            c.shape([(x - 3, 46.5), (x + 3, 46.5), (x, 54)], colour, line=False)
        c.disc(42, 36, 4, 4, "#ee5f93")
        c.disc(42, 36, 1.6, 1.6, GOLD, line=False)
    elif main == "ruined":
        c.stroke([(30, 74), (33, 68), (29, 64), (34, 60)], DARK, 1.4)
        c.shape([(46, 74), (52, 67), (60, 74)], "#b7aea2")
    elif main == "burning":
        for x, y, size in ((30, 52, 9), (53, 52, 9), (34, 34, 11), (48, 32, 12)):
            flame = [(x - size / 2, y), (x - size / 3, y - size), (x, y - size / 2), (x + size / 4, y - 1.5 * size)]
            c.shape([*flame, (x + size / 2, y)], "#f2611d", line=False)
            c.disc(x, y - 2, size / 4, size / 3, GOLD, line=False)
