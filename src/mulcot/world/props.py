"""Things that several scenes share: skies, trees and the small things in the corner."""

from __future__ import annotations

from math import cos, pi, sin

from mulcot.world.canvas import Canvas

SKIN, HAIR, DARK, PAPER = "#f2c49b", "#6b4429", "#2b2422", "#fdfbf4"
GRASS, WOOD, GOLD, TEAR = "#8fc46a", "#a06b3c", "#ffd23e", "#4aa3e8"
SKY_COLOURS = {"sun": "#a9dcf5", "cloud": "#ccd6dc", "rain": "#7d8b9c"}


def sky(c: Canvas, weather: str, x: float = 14, y: float = 13) -> None:
    """The whole background and the weather around (x, y)."""
    c.ground(SKY_COLOURS[weather])
    if weather == "sun":
        sun(c, x, y)
    elif weather == "cloud":
        cloud(c, x, y, "#f4f6f7")
    else:
        cloud(c, x, y, "#4a5360")
        cloud(c, 84 - x, y, "#4a5360")


def sun(c: Canvas, x: float, y: float) -> None:
    """A disc with rays."""
    for n in range(8):
        dx, dy = cos(n * pi / 4), sin(n * pi / 4)
        c.stroke([(x + 7 * dx, y + 7 * dy), (x + 12 * dx, y + 12 * dy)], "#f5a623", 1.6)
    c.disc(x, y, 7, 7, "#ffd23e", line=False)


def cloud(c: Canvas, x: float, y: float, colour: str) -> None:
    """Three bumps on a base."""
    c.disc(x - 6, y + 1, 6, 5, colour, line=False)
    c.disc(x + 7, y + 1, 6, 5, colour, line=False)
    c.disc(x, y - 3, 7, 6, colour, line=False)
    c.box((x - 7, y, x + 8, y + 6), colour, line=False)


def drops(c: Canvas, left: float, top: float, right: float, bottom: float) -> None:
    """Slanting rain inside an area."""
    row, y = 0, top
    while y < bottom:
        x = left + (3 if row % 2 else 0)
        while x < right:
            c.stroke([(x, y), (x - 1.5, y + 4)], "#d9ecff", 1.1)
            x += 7
        y += 7
        row += 1


def tree(c: Canvas, x: float, y: float) -> None:
    """A round tree that stands on (x, y)."""
    c.box((x - 1.5, y - 7, x + 1.5, y), "#7a5232", line=False)
    c.disc(x, y - 12, 6.5, 7, "#2f7d4a")


def bush(c: Canvas, x: float, y: float) -> None:
    """A low bush that stands on (x, y)."""
    c.disc(x, y - 4, 7, 6, "#2f7d4a")


def extra(c: Canvas, name: str, x: float = 73, y: float = 73) -> None:
    """The thing without a mood in the lower right corner."""
    if name == "cat":
        _cat(c, x, y)
    elif name == "clock":
        c.disc(x, y, 8, 8, "#fdfdf8")
        c.stroke([(x, y - 5.5), (x, y), (x + 4, y)], "#2b2b2b", 1.4)
    elif name == "book":
        c.shape([(x - 9, y - 6), (x, y - 4), (x + 9, y - 6), (x + 9, y + 5), (x, y + 7), (x - 9, y + 5)], "#fbf7ea")
        c.stroke([(x, y - 4), (x, y + 7)], "#8a3b8f", 1.6)
        for row in (-1, 2):
            c.stroke([(x - 7, y + row - 1), (x - 2, y + row)], "#8f8f8f", 0.9)
            c.stroke([(x + 2, y + row), (x + 7, y + row - 1)], "#8f8f8f", 0.9)


def _cat(c: Canvas, x: float, y: float) -> None:
    c.shape([(x - 7, y - 8), (x - 2, y - 4), (x - 7, y)], "#8d8f99")
    c.shape([(x + 7, y - 8), (x + 2, y - 4), (x + 7, y)], "#8d8f99")
    c.disc(x, y, 7.5, 7, "#8d8f99")
    for side in (-3, 3):
        c.disc(x + side, y - 1, 1.4, 1.8, "#d8f06a", line=False)
    c.disc(x, y + 2.4, 1.2, 0.9, "#e79aa5", line=False)
