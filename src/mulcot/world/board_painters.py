"""How the pictures of science questions are painted, back to front, in grid units; see `canvas.py`."""

from __future__ import annotations

from math import cos, pi, sin

from mulcot.world import props
from mulcot.world.canvas import Canvas
from mulcot.world.props import DARK, GOLD, GRASS, PAPER, WOOD
from mulcot.world.science_vocabulary import DAYS, FLAGS, HIGHEST

CELL = 26
"""The distance between the cells of shelves and maps."""


def paint_shelf(c: Canvas, cells: tuple[str, ...]) -> None:
    """Three rows of three small things."""
    c.ground(c.style.wall)
    for row in range(3):
        c.box((2, 24 + row * CELL, 82, 28 + row * CELL), WOOD)
    for number, thing in enumerate(cells):
        x, y = _middle(number)
        _thing(c, thing, x, y - 1)


def _middle(number: int) -> tuple[float, float]:
    return 16 + CELL * (number % 3), 15 + CELL * (number // 3)


def _thing(c: Canvas, thing: str, x: float, y: float) -> None:
    if thing == "apple":
        c.disc(x, y + 2, 7.5, 7, "#d6423a")
        c.stroke([(x, y - 4), (x + 2, y - 9)], WOOD, 1.8)
    elif thing == "leaf":
        c.shape([(x - 8, y + 8), (x - 7, y - 2), (x + 1, y - 8), (x + 8, y - 8), (x + 7, y + 1), (x, y + 8)], "#3f9f57")
        c.stroke([(x - 8, y + 8), (x + 5, y - 5)], "#d8efc0", 1.2)
    elif thing == "fish":
        c.shape([(x + 4, y), (x + 11, y - 6), (x + 11, y + 6)], "#3a6fd0")
        c.disc(x - 1, y, 8, 5.5, "#3a6fd0")
        c.disc(x - 5, y - 1, 1.3, 1.3, PAPER, line=False)
    elif thing == "star":
        points = [
            (x + r * sin(n * pi / 5), y - r * cos(n * pi / 5))
            for n, r in ((n, 9 if n % 2 == 0 else 4) for n in range(10))
        ]
        c.shape(points, GOLD)


def paint_chart(c: Canvas, cells: tuple[str, ...]) -> None:
    """Four bars over the initials of four days; each line across is one step."""
    c.ground(PAPER)
    for step in range(1, HIGHEST + 1):
        c.stroke([(10, 72 - 10 * step), (80, 72 - 10 * step)], "#c5ccd3", 0.8)
        if step % 2 == 0:
            c.letters(6, 72 - 10 * step, str(step), 8, DARK)
    for number, height in enumerate(cells):
        x = 15 + 17 * number
        c.box((x, 72 - 10 * int(height), x + 11, 72), "#3a8fd0")
        c.letters(x + 5.5, 78, DAYS[number][0], 9, DARK)
    c.stroke([(10, 6), (10, 72), (81, 72)], DARK, 1.4)


def paint_map(c: Canvas, cells: tuple[str, ...]) -> None:
    """Nine fields with at most one place each; north is up."""
    c.ground(GRASS)
    for number, place in enumerate(cells):
        x, y = _middle(number)
        _place(c, place, x, y + 1)
    for n in (29, 55):
        c.stroke([(n, -9), (n, 93)], "#c9e2ad", 1)
        c.stroke([(-9, n - 1), (93, n - 1)], "#c9e2ad", 1)


def _place(c: Canvas, place: str, x: float, y: float) -> None:
    if place == "house":
        c.box((x - 6, y - 2, x + 6, y + 8), "#f6ead6")
        c.shape([(x - 9, y - 2), (x, y - 10), (x + 9, y - 2)], "#d6423a")
    elif place == "forest":
        for dx in (-5, 5):
            c.shape([(x + dx - 5, y + 7), (x + dx, y - 9), (x + dx + 5, y + 7)], "#1f6b3a")
    elif place == "lake":
        c.disc(x, y, 10, 7, "#3a8fd0")
    elif place == "hill":
        c.shape([(x - 11, y + 8), (x - 2, y - 9), (x + 11, y + 8)], "#9a8f86")
        c.shape([(x - 5, y - 3), (x - 2, y - 9), (x + 2, y - 3)], PAPER, line=False)
    elif place == "school":
        c.box((x - 9, y - 2, x + 9, y + 8), "#e0a13c")
        c.stroke([(x, y - 2), (x, y - 11)], DARK, 1)
        c.shape([(x, y - 11), (x + 7, y - 9), (x, y - 6)], "#3a6fd0", line=False)


def paint_beakers(c: Canvas, cells: tuple[str, ...]) -> None:
    """Two beakers, A and B, with the same amount of water and some particles."""
    c.ground(c.style.wall)
    for side, number in enumerate(cells):
        x = 4 + 41 * side
        c.box((x, 16, x + 35, 68), PAPER)
        c.box((x + 2, 26, x + 33, 66), "#bfe3f5", line=False)
        for n in range(int(number)):
            c.disc(x + 10 + 15 * (n % 2), 60 - 12 * (n // 2), 4, 4, "#3f9f57")
        c.letters(x + 17.5, 76, "AB"[side], 11, DARK)


def paint_flag(c: Canvas, cells: tuple[str, ...]) -> None:
    """A flag on the beach."""
    c.ground("#a9dcf5")
    props.sun(c, 68, 14)
    c.ground("#3a8fd0", 44)
    c.ground("#efdca5", 58)
    c.stroke([(26, 12), (26, 74)], WOOD, 2.4)
    c.shape([(27, 13), (60, 22), (27, 34)], FLAGS[cells[0]])
    for x in (50, 66):
        c.disc(x, 74, 5, 2.5, PAPER)
