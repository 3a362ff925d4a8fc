"""A person from the chest up, outdoors."""

from __future__ import annotations

from mulcot.world import props, vocabulary
from mulcot.world.canvas import Canvas
from mulcot.world.props import DARK, HAIR, PAPER, SKIN, TEAR
from mulcot.world.scene import Scene


def paint(c: Canvas, scene: Scene) -> None:
    """Back to front."""
    props.sky(c, scene.setting)
    if scene.setting == "rain":
        props.drops(c, 3, 22, 20, 60)
        props.drops(c, 68, 22, 84, 60)
    c.shape([(17, 95), (24, 66), (60, 66), (67, 95)], vocabulary.COLOURS[scene.colour])
    c.box((36, 56, 48, 66), SKIN, line=False)
    for n in range(scene.count):
        c.disc((29, 36, 55)[n], 70, 2.4, 2.4, PAPER)
    c.disc(42, 36, 22, 21, HAIR)
    c.disc(42, 41, 20, 20, SKIN)
    c.half(42, 33, 20, 180, HAIR)
    _expression(c, scene.main)
    props.extra(c, scene.extra)


def _expression(c: Canvas, main: str) -> None:
    glad = main in ("smiling", "laughing")
    sad = main in ("frowning", "crying")
    for side in (-1, 1):
        x = 42 + 8 * side
        if main == "laughing":
            c.arc(x, 42, 4, 180, 360, DARK, 1.8)
        elif main == "crying":
            c.arc(x, 38, 4, 0, 180, DARK, 1.8)
            c.disc(x + 2 * side, 48, 2.4, 5, TEAR, line=False)
        else:
            c.disc(x, 40, 2.6, 3.2, DARK, line=False)
        if sad:
            c.stroke([(x - 4 * side, 33), (x + 4 * side, 36)], DARK, 1.8)
        if glad:
            c.disc(x + 5 * side, 48, 3.4, 2.4, "#ee9a86", line=False)
    if main == "smiling":
        c.arc(42, 46, 9, 20, 160, "#b3352f", 2.4)
    elif main == "laughing":
        c.half(42, 47, 9, 0, "#8e2522")
        c.box((37, 47.5, 47, 50), PAPER, line=False)
    elif main == "calm":
        c.stroke([(36, 53), (48, 53)], "#b3352f", 2.2)
    elif main == "frowning":
        c.arc(42, 60, 9, 205, 335, "#b3352f", 2.4)
    else:
        c.half(42, 57, 6, 180, "#8e2522")
