"""A flower pot before a window."""

from __future__ import annotations

from mulcot.world import props, vocabulary
from mulcot.world.canvas import Canvas
from mulcot.world.props import GOLD, PAPER, WOOD
from mulcot.world.scene import Scene


def paint(c: Canvas, scene: Scene) -> None:
    """Back to front."""
    c.ground(props.SKY_COLOURS[scene.setting])
    props.sky(c, scene.setting, 22, 16)
    if scene.setting == "rain":
        props.drops(c, 12, 25, 80, 50)
    wall = c.style.wall
    for area in ((-9, -9, 7, 93), (77, -9, 93, 93), (-9, -9, 93, 3), (-9, 56, 93, 93)):
        c.box(area, wall, line=False)
    for points in ([(7, 3), (77, 3), (77, 56), (7, 56), (7, 3)], [(42, 3), (42, 56)]):
        c.stroke(points, PAPER, 2.6)
    c.box((2, 56, 82, 61), WOOD)
    _blossom(c, scene.main)
    c.box((27, 58, 57, 65), vocabulary.COLOURS[scene.colour])
    c.shape([(30, 65), (54, 65), (50, 82), (34, 82)], vocabulary.COLOURS[scene.colour])
    for n in range(scene.count):
        c.disc((6, 16, 26)[n] if n < 2 else 11, 78 if n < 2 else 71, 4.6, 3.6, "#8b8f94")
    props.extra(c, scene.extra)


def _blossom(c: Canvas, main: str) -> None:
    green, dry = "#3f9f57", "#8b7a3a"
    if main in ("blooming", "thriving"):
        c.stroke([(42, 60), (42, 30)], green, 2.6)
        for side in (-1, 1):
            c.disc(42 + 6 * side, 50, 6, 3, green)
        if main == "thriving":
            for x in (27, 57):
                c.stroke([(42, 58), (x, 38)], green, 2.2)
                _petals(c, x, 36, 4.6)
            _petals(c, 42, 22, 5.4)
        else:
            _petals(c, 42, 26, 8)
    elif main == "closed":
        c.stroke([(42, 60), (42, 36)], green, 2.6)
        c.disc(48, 50, 6, 3, green)
        c.disc(42, 31, 4.6, 8, "#e86a9a")
        c.shape([(37, 33), (47, 33), (42, 42)], green)
    elif main == "wilted":
        c.stroke([(42, 60), (43, 40), (50, 32), (58, 36), (60, 44)], dry, 2.6)
        c.disc(35, 56, 6, 3, dry)
        c.disc(60, 48, 6, 6, "#8c6a4f")
        for x, y in ((26, 57), (64, 57)):
            c.disc(x, y, 3.4, 1.8, "#8c6a4f")
    else:
        c.stroke([(42, 60), (42, 44)], green, 2.6)
        c.stroke([(42, 44), (36, 41), (30, 50)], green, 2.6)
        c.disc(48, 54, 6, 3, green)
        _petals(c, 25, 53, 5)


def _petals(c: Canvas, x: float, y: float, size: float) -> None:
    for dx, dy in ((0, -1), (0.95, -0.3), (0.6, 0.8), (-0.6, 0.8), (-0.95, -0.3)):
        c.disc(x + dx * size, y + dy * size, size * 0.75, size * 0.75, "#ee5f93")
    c.disc(x, y, size * 0.6, size * 0.6, GOLD)
