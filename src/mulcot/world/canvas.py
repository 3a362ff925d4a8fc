"""A sheet to paint on: an 84 x 84 grid of any real size, mirrored or moved, in one style."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFont

from mulcot.world.scene import STYLES, Look

GRID = 84
FINE = 2
"""Everything is painted this much larger and then reduced, which smooths the edges."""

Point = tuple[float, float]
Rgb = tuple[int, int, int]


class Canvas:
    """Drawing in grid units; y grows downwards. `line=False` leaves the outline away."""

    def __init__(self, size: int, look: Look) -> None:
        self.size = size
        self.look = look
        self.style = STYLES[look.style]
        self.scale = size * FINE / GRID
        self.image = Image.new("RGB", (size * FINE, size * FINE))
        self._draw = ImageDraw.Draw(self.image)
        self._ink = _mixed(self.style.ink, self.style.ink, 0)
        self._line = max(1, round(self.style.line * self.scale))

    def ground(self, colour: str, top: float = -9) -> None:
        """Fills everything below `top`."""
        self.box((-9, top, GRID + 9, GRID + 9), colour, line=False)

    def box(self, area: tuple[float, float, float, float], colour: str, *, line: bool = True) -> None:
        """A rectangle from its left upper to its right lower corner."""
        x0, y0, x1, y1 = area
        fill = self._rgb(colour)
        self._draw.rectangle(self._area(x0, y0, x1, y1), fill, self._ink if line else None, self._line)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: str, *, line: bool = True) -> None:
        """An ellipse around (x, y)."""
        fill = self._rgb(colour)
        self._draw.ellipse(self._area(x - rx, y - ry, x + rx, y + ry), fill, self._ink if line else None, self._line)

    def shape(self, points: Sequence[Point], colour: str, *, line: bool = True) -> None:
        """A closed polygon."""
        placed = [self._place(x, y) for x, y in points]
        self._draw.polygon(placed, self._rgb(colour))
        if line:
            self._draw.line([*placed, placed[0]], self._ink, self._line, joint="curve")

    def stroke(self, points: Sequence[Point], colour: str, width: float) -> None:
        """An open line."""
        placed = [self._place(x, y) for x, y in points]
        self._draw.line(placed, self._rgb(colour), max(1, round(width * self.scale)), joint="curve")

    def arc(self, x: float, y: float, r: float, start: int, end: int, colour: str, width: float) -> None:
        """Part of a circle, clockwise from `start` to `end` degrees; 0 is on the right, 90 below."""
        if self.look.mirrored:
            start, end = 180 - end, 180 - start
        area = self._area(x - r, y - r, x + r, y + r)
        self._draw.arc(area, start, end, self._rgb(colour), max(1, round(width * self.scale)))

    def half(self, x: float, y: float, r: float, start: int, colour: str) -> None:
        """Half a disc, from `start` degrees clockwise."""
        area = self._area(x - r, y - r, x + r, y + r)
        if self.look.mirrored:
            start = -start
        self._draw.chord(area, start, start + 180, self._rgb(colour), self._ink, self._line)

    def letters(self, x: float, y: float, text: str, size: float, colour: str) -> None:
        """Writing around (x, y), never mirrored."""
        font = _font(round(size * self.scale))
        self._draw.text(self._place(x, y), text, self._rgb(colour), font, anchor="mm")

    def finished(self) -> Image.Image:
        """The picture in its real size, with its word and its noise."""
        if self.look.word:
            self._write_word(self.look.word)
        image = self.image.reduce(FINE)
        return _grained(image, self.look.grain) if self.look.grain else image

    def _write_word(self, word: str) -> None:
        middle, band = GRID / 2 - self.look.across, GRID - 6 - self.look.down
        self.box((middle - 18, band - 5, middle + 18, band + 5), "#fffbe8")
        self.letters(middle, band, word, 9, "#22201c")

    def _rgb(self, colour: str) -> Rgb:
        return _mixed(colour, self.style.wash, self.style.strength)

    def _place(self, x: float, y: float) -> tuple[int, int]:
        x += self.look.across
        y += self.look.down
        x = GRID - x if self.look.mirrored else x
        return round(x * self.scale), round(y * self.scale)

    def _area(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        (left, top), (right, bottom) = self._place(x0, y0), self._place(x1, y1)
        if left > right:
            left, right = right, left
        return left, top, right, bottom


@lru_cache(maxsize=1024)
def _mixed(colour: str, wash: str, strength: float) -> Rgb:
    pairs = zip(ImageColor.getrgb(colour)[:3], ImageColor.getrgb(wash)[:3], strict=True)
    red, green, blue = (round(a + (b - a) * strength) for a, b in pairs)
    return red, green, blue


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(6, size))


def _grained(image: Image.Image, seed: int) -> Image.Image:
    """Sensor noise and two scratches."""
    rng = Random(seed)
    width, height = image.size
    noise = Image.frombytes("RGB", image.size, rng.randbytes(width * height * 3))
    grained = ImageChops.add(image, noise.point(lambda value: value // 4), 1, -32)
    pen = ImageDraw.Draw(grained)
    for _ in range(2):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        end = (x + rng.uniform(-0.3, 0.3) * width, y + rng.uniform(-0.3, 0.3) * height)
        pen.line(((x, y), end), (rng.randrange(256),) * 3, max(1, width // 84))
    return grained
