"""A laid table in a room."""

from __future__ import annotations

from mulcot.world import props, vocabulary
from mulcot.world.canvas import Canvas
from mulcot.world.props import DARK, GOLD, PAPER, WOOD
from mulcot.world.scene import Scene


def paint(c: Canvas, scene: Scene) -> None:
    """Back to front."""
    c.ground(c.style.wall)
    _setting(c, scene.setting)
    c.shape([(2, 53), (82, 53), (88, 95), (-4, 95)], vocabulary.COLOURS[scene.colour])
    _on_the_table(c, scene.main)
    for n in range(scene.count):
        c.disc((12, 28, 56)[n], 66.5, 7, 4, PAPER)
    props.extra(c, scene.extra)


def _setting(c: Canvas, setting: str) -> None:
    if setting == "balloons":
        for x, y, colour in ((11, 15, "#e8504a"), (25, 12, GOLD), (60, 12, "#4f8fe0"), (74, 15, "#58b368")):
            c.stroke([(x, y + 8), (x + 1, y + 24)], DARK, 0.8)
            c.disc(x, y, 6.5, 8, colour)
    elif setting == "lamp":
        c.stroke([(42, -4), (42, 6)], DARK, 1.6)
        c.shape([(36, 6), (48, 6), (54, 16), (30, 16)], "#b9a89a")
    else:
        for x in (6, 62):
            c.box((x, 16, x + 3, 56), WOOD)
            c.box((x + 13, 16, x + 16, 56), WOOD)
            for y in (18, 26, 34):
                c.box((x, y, x + 16, y + 4), WOOD)


def _on_the_table(c: Canvas, main: str) -> None:
    if main == "cake":
        _cake(c)
    elif main == "gift":
        c.box((29, 37, 55, 60), "#f37fa6")
        c.box((39, 37, 45, 60), GOLD, line=False)
        c.box((27, 33, 57, 40), "#f79ab9")
        c.disc(36, 29, 5.5, 4, GOLD)
        c.disc(48, 29, 5.5, 4, GOLD)
    elif main == "bread":
        c.disc(42, 50, 19, 9, "#d59a55")
        for x in (33, 42, 51):
            c.stroke([(x - 3, 53), (x + 2, 45)], "#f3d9a8", 1.8)
    elif main == "spill":
        c.disc(40, 60, 20, 4, "#5a3420", line=False)
        c.shape([(22, 38), (28, 43), (32, 39), (37, 45), (37, 57), (24, 57)], "#e9edf2")
        c.shape([(46, 48), (54, 43), (58, 50), (50, 55)], "#e9edf2")
        c.shape([(56, 57), (63, 54), (64, 60)], "#e9edf2")
    else:
        c.shape([(24, 50), (60, 50), (55, 60), (29, 60)], "#9aa0a8")
        c.disc(42, 49, 19, 6, "#1d1a19")
        for x in (33, 42, 51):
            c.stroke([(x, 42), (x + 3, 37), (x - 2, 31), (x + 2, 25)], "#55514f", 2)


def _cake(c: Canvas) -> None:
    c.box((25, 42, 59, 60), "#fbe3c0")
    c.box((25, 48, 59, 52), "#e8677f", line=False)
    c.box((23, 38, 61, 43), "#fff3f4")
    for x in (31, 42, 53):
        c.box((x - 1.3, 28, x + 1.3, 38), "#5aa7e0", line=False)
        c.disc(x, 24.5, 2.2, 3.6, "#ffb020", line=False)
