"""Pictures of the science questions: shelves, charts, maps, beakers and flags, and reading them off pixels again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mulcot.records import Record
from mulcot.world import board_painters as painters
from mulcot.world.canvas import GRID, Canvas
from mulcot.world.scene import SHIFTS, STYLES, Look, random_look
from mulcot.world.scene_reading import GOOD, Axis, Pixels, approach, coarse, pixels, resembles
from mulcot.world.science_vocabulary import CELLS, FLAGS, HIGHEST, PLACES, THINGS

EMPTY = "nothing"

VALUES: dict[str, tuple[tuple[str, ...], int]] = {
    "shelf": ((EMPTY, *THINGS), len(CELLS)),
    "chart": (tuple(str(height) for height in range(1, HIGHEST + 1)), 4),
    "map": ((EMPTY, *PLACES), len(CELLS)),
    "beakers": (tuple(str(number) for number in range(1, HIGHEST + 1)), 2),
    "flag": (tuple(FLAGS), 1),
}
"""For each kind of board what its cells can hold, and how many cells it has."""

PAINTERS: dict[str, Callable[[Canvas, tuple[str, ...]], None]] = {
    "shelf": painters.paint_shelf,
    "chart": painters.paint_chart,
    "map": painters.paint_map,
    "beakers": painters.paint_beakers,
    "flag": painters.paint_flag,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Board(Record):
    """One picture of a question: what stands in its cells."""

    kind: str
    cells: tuple[str, ...]
    look: Look = field(default_factory=Look)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Board:
        """The board that wrote `data`."""
        return cls(kind=data["kind"], cells=tuple(data["cells"]), look=Look.from_json(data.get("look", {})))

    def count(self, value: str) -> int:
        """How many cells hold it."""
        return self.cells.count(value)


def random_board(rng: Random, kind: str) -> Board:
    """Any board of a kind in the plain look."""
    values, count = VALUES[kind]
    if kind == "map":
        cells = [*PLACES, *(EMPTY for _ in range(count - len(PLACES)))]
        rng.shuffle(cells)
    else:
        cells = [rng.choice(values) for _ in range(count)]
    return Board(kind=kind, cells=tuple(cells))


def board_look(rng: Random, *, hard: bool = False) -> Look:
    """A style that training shows (or any) and a place; never mirrored, since left and right mean something here."""
    return dataclasses.replace(random_look(rng, hard=hard), mirrored=False)


def paint_board(board: Board, size: int = GRID) -> Image.Image:
    """The picture of a board, `size` x `size` pixels."""
    canvas = Canvas(size, board.look)
    PAINTERS[board.kind](canvas, board.cells)
    return canvas.finished()


def read_board(image: Image.Image) -> Board | None:
    """The board of a picture, or None where it is none of ours."""
    target = pixels(image)
    boards, typical = _typical()
    best, least = None, float("inf")
    for number in np.argsort(np.abs(typical - coarse(target)).mean(axis=(1, 2, 3)))[:4]:
        start = boards[number]
        axes = (*PLACES_AXES, *(_cell(n) for n in range(len(start.cells))))
        board, distance = approach(target, start, axes, _painted, len(PLACES_AXES))
        if distance < least:
            best, least = board, distance
        if least < GOOD:
            break
    return best if resembles(target, least) else None


def _painted(board: Board) -> Pixels:
    return pixels(paint_board(board))


def _across(board: Board) -> list[Board]:
    return [_moved(board, across=across) for across in SHIFTS]


def _down(board: Board) -> list[Board]:
    return [_moved(board, down=down) for down in SHIFTS]


PLACES_AXES: tuple[Axis[Board], ...] = (_across, _down)


def _moved(board: Board, **changes: int) -> Board:
    look = dataclasses.replace(board.look, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(board, look=look)


def _cell(number: int) -> Axis[Board]:
    def axis(board: Board) -> list[Board]:
        before, after = board.cells[:number], board.cells[number + 1 :]
        return [dataclasses.replace(board, cells=(*before, value, *after)) for value in VALUES[board.kind][0]]

    return axis


@lru_cache(maxsize=1)
def _typical() -> tuple[list[Board], NDArray[np.float32]]:
    """For every kind and style: what its pictures have in common."""
    boards, means = [], []
    for kind in VALUES:
        for style in STYLES:
            group = [
                dataclasses.replace(random_board(Random(number), kind), look=Look(style=style)) for number in range(8)
            ]
            boards.append(group[0])
            means.append(np.mean([coarse(_painted(board)) for board in group], axis=0))
    return boards, np.stack(means).astype(np.float32)
