"""A dog that sits in a garden."""

from __future__ import annotations

from mulcot.world import props, vocabulary
from mulcot.world.canvas import Canvas
from mulcot.world.props import DARK, GRASS, PAPER, TEAR
from mulcot.world.scene import Scene


def paint(c: Canvas, scene: Scene) -> None:
    """Back to front."""
    c.ground("#cfe8ef")
    for n in range(scene.count):
        props.bush(c, (12, 72, 27)[n], 32)
    c.ground(GRASS, 30)
    fur, light = "#b8804a", "#ecd2ae"
    wag = [(54, 72), (66, 60), (66, 50)] if scene.main in ("happy", "playing") else [(54, 76), (64, 80)]
    c.stroke(wag, fur, 4)
    c.disc(42, 70, 15, 17, fur)
    c.disc(42, 74, 8, 11, light, line=False)
    c.shape([(30, 53), (54, 53), (52, 61), (32, 61)], vocabulary.COLOURS[scene.colour])
    c.shape([(44, 58), (53, 58), (50, 71)], vocabulary.COLOURS[scene.colour])
    _dog_head(c, scene.main, fur, light)
    _dog_setting(c, scene.setting)
    props.extra(c, scene.extra)


def _dog_head(c: Canvas, main: str, fur: str, light: str) -> None:
    low = main in ("sad", "hurt")
    for side in (-1, 1):
        x = 42 + 14 * side
        if low:
            c.disc(x + 2 * side, 42, 4.5, 11, "#7d5128")
        else:
            c.shape([(x - 7 * side, 22), (x + 3 * side, 12), (x + 3 * side, 32)], "#7d5128")
    c.disc(42, 36, 17, 16, fur)
    c.disc(42, 43, 9, 8, light, line=False)
    for side in (-1, 1):
        x = 42 + 7 * side
        if main == "sleeping":
            c.arc(x, 31, 3.4, 10, 170, DARK, 1.6)
        elif low:
            c.disc(x, 33, 2.2, 2.4, DARK, line=False)
            c.stroke([(x - 3 * side, 27), (x + 4 * side, 30)], DARK, 1.6)
        else:
            c.disc(x, 32, 2.8, 3.2, DARK, line=False)
    c.disc(42, 39, 3, 2.2, DARK, line=False)
    if main == "happy":
        c.disc(42, 50, 3.6, 5, "#f0607c")
        c.arc(42, 42, 6, 10, 170, DARK, 1.6)
    elif main == "playing":
        c.stroke([(31, 47), (53, 47)], PAPER, 4)
        for x in (30, 54):
            c.disc(x, 45, 3, 3, PAPER, line=False)
            c.disc(x, 49, 3, 3, PAPER, line=False)
    elif main == "sleeping":
        c.letters(62, 16, "z", 9, "#44506a")
        c.letters(69, 9, "z", 11, "#44506a")
        c.stroke([(38, 46), (46, 46)], DARK, 1.4)
    else:
        c.arc(42, 50, 5, 205, 335, DARK, 1.7)
    if main == "sad":
        c.disc(33, 41, 2.2, 4.6, TEAR, line=False)
    if main == "hurt":
        c.shape([(27, 27), (50, 18), (53, 23), (29, 33)], PAPER)
        c.stroke([(38, 25), (42, 25)], "#d6423a", 4)


def _dog_setting(c: Canvas, setting: str) -> None:
    if setting == "mat":
        c.shape([(2, 72), (24, 72), (22, 80), (-1, 80)], "#b79ac4")
        return
    if setting == "full":
        c.disc(13, 69, 8, 6, "#7a4a22", line=False)
        for x in (8, 13, 18):
            c.disc(x, 66, 2.2, 2.2, "#c98a4b", line=False)
    c.disc(13, 71, 10, 3.4, "#eef2f5" if setting == "empty" else "#7a4a22")
    c.shape([(3, 71), (23, 71), (20, 80), (6, 80)], "#9fb4c4")
