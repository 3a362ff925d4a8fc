"""Charts as inline SVG: drawn for a narrow column, coloured by the page's style, with a text that says the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 34
DASHES = ("", "6 3", "2 3", "9 3 2 3", "1 2", "12 4")
"""Lines differ in their dashes too, so colour is never the only sign."""

Point = tuple[float, float]


class Scale(NamedTuple):
    """How values of one direction become places."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value; beyond the ends it stays at the end."""
        span = self.high - self.low or 1.0
        share = min(1.0, max(0.0, (value - self.low) / span))
        return round(self.start + share * (self.end - self.start), 1)


def line_chart(lines: Mapping[str, Sequence[Point]], about: str, x_name: str, *, shares: bool = False) -> Markup:
    """Values over steps; with `shares` from 0 to 1. The legend is the caller's, in the order of the lines."""
    points = [point for line in lines.values() for point in line]
    if not points:
        return Markup("")
    top = 1.0 if shares else _rounded_up(max(value for _, value in points))
    x = Scale(min(0.0, *(step for step, _ in points)), max(step for step, _ in points), LEFT, WIDTH - RIGHT)
    y = Scale(0.0, top, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(y, shares), *_foot(x, x_name)]
    for number, line in enumerate(lines.values()):
        drawn = " ".join(f"{x.at(step)},{y.at(value)}" for step, value in line)
        tint = f'class="tint-{line_tint(number)} line"'
        parts.append(f'<polyline {tint} points="{drawn}" stroke-dasharray="{DASHES[number % len(DASHES)]}"/>')
        if len(line) < 12:
            parts += [f'<circle {tint} cx="{x.at(step)}" cy="{y.at(value)}" r="2.5"/>' for step, value in line]
    return _svg(parts, about)


def line_tint(number: int) -> int:
    """Which colour a line of this number has."""
    return (5, 2, 0, 3, 4, 6)[number % 6]


def key(number: int) -> Markup:
    """A short piece of a line, for the legend."""
    dashes = DASHES[number % len(DASHES)]
    line = f'<line class="tint-{line_tint(number)} line" x1="0" y1="5" x2="28" y2="5" stroke-dasharray="{dashes}"/>'
    return Markup(f'<svg class="key" viewBox="0 0 28 10" aria-hidden="true">{line}</svg>')


def bar_chart(bars: Sequence[tuple[str, float]], about: str, x_name: str) -> Markup:
    """Counts under their names."""
    if not bars:
        return Markup("")
    y = Scale(0.0, _rounded_up(max(value for _, value in bars)), HEIGHT - BOTTOM, TOP)
    room = (WIDTH - LEFT - RIGHT) / len(bars)
    parts = list(_grid(y, shares=False))
    every = max(1, math.ceil(len(bars) / 12))
    for number, (name, value) in enumerate(bars):
        left, top = LEFT + number * room, y.at(value)
        height = round(HEIGHT - BOTTOM - top, 1)
        place = f'x="{left + room * 0.12:.1f}" y="{top}" width="{room * 0.76:.1f}" height="{height}"'
        parts.append(f'<rect class="tint-5 bar" {place}/>')
        if number % every == 0:
            parts.append(_text(left + room / 2, HEIGHT - BOTTOM + 14, name, "middle"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_name, "middle"))
    return _svg(parts, about)


def reliability_chart(bins: Sequence[tuple[float, float, int]], about: str) -> Markup:
    """Confidence, accuracy and number of answers: bars against the diagonal; the emptier a bin, the thinner its bar."""
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, HEIGHT - BOTTOM, TOP)
    most = max((count for _, _, count in bins), default=1) or 1
    parts = [*_grid(y, shares=True), *_foot(Scale(0, 100, LEFT, WIDTH - RIGHT), "confidence, %")]
    for confidence, accuracy, count in bins:
        if count:
            wide = 4 + 14 * math.sqrt(count / most)
            top = y.at(accuracy)
            parts.append(
                f'<rect class="tint-5 bar" x="{x.at(confidence) - wide / 2:.1f}" y="{top}" width="{wide:.1f}" '
                f'height="{max(1.0, HEIGHT - BOTTOM - top):.1f}"/>'
            )
    ends = f'x1="{x.at(0)}" y1="{y.at(0)}" x2="{x.at(1)}" y2="{y.at(1)}"'
    return _svg([*parts, f'<line class="ideal" {ends}/>'], about)


def _grid(y: Scale, shares: bool) -> list[str]:
    parts = []
    for quarter in range(5):
        value = y.low + (y.high - y.low) * quarter / 4
        shown = f"{value:.0%}" if shares else f"{value:,.3g}" if y.high < 1000 else f"{value:,.0f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.at(value)}" y2="{y.at(value)}"/>')
        parts.append(_text(LEFT - 6, y.at(value) + 4, shown, "end"))
    return parts


def _foot(x: Scale, name: str) -> list[str]:
    places = [(x.low, "start"), ((x.low + x.high) / 2, "middle"), (x.high, "end")]
    parts = [_text(x.at(value), HEIGHT - BOTTOM + 14, f"{value:,.0f}", anchor) for value, anchor in places]
    return [*parts, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, name, "middle")]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], about: str) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")


def _rounded_up(value: float) -> float:
    """The next number that is easy to read on an axis."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if value <= step * unit * (1 + 1e-9))
