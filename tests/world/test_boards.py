import dataclasses
import io
from itertools import product
from random import Random

import pytest
from PIL import Image

from mulcot.world.boards import VALUES, Board, board_look, paint_board, random_board, read_board
from mulcot.world.picture import paint
from mulcot.world.scene import STYLES, Look, random_scene

KINDS = pytest.mark.parametrize("kind", VALUES)


def sent(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.resize((280, 280), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
    return Image.open(io.BytesIO(out.getvalue()))


def board(kind: str, seed: int, **look: int) -> Board:
    rng = Random(seed)
    drawn = dataclasses.replace(random_board(rng, kind), look=board_look(rng, hard=bool(look)))
    return dataclasses.replace(drawn, look=dataclasses.replace(drawn.look, **look))  # type: ignore[arg-type]


def recognised(count: int, **look: int) -> int:
    right = 0
    for seed in range(count):
        for kind in VALUES:
            drawn = board(kind, seed, **look)
            seen = read_board(sent(paint_board(drawn, (84, 140, 280)[seed % 3])))
            right += seen is not None and (seen.kind, seen.cells) == (kind, drawn.cells)
    return right


def test_every_board_is_read_exactly_after_resizing_and_jpeg() -> None:
    assert recognised(12) == 12 * len(VALUES)


def test_noisy_boards_in_unseen_styles_are_read_too() -> None:
    assert recognised(4, grain=5) >= 4 * len(VALUES) - 1


@pytest.mark.slow
def test_hundreds_of_boards_are_read_exactly() -> None:
    assert recognised(100) >= 100 * len(VALUES) - 1


@KINDS
def test_every_value_of_every_cell_can_be_seen(kind: str) -> None:
    values, count = VALUES[kind]
    for style, cell in product(STYLES, range(count)):
        pictures = set()
        for value in values:
            cells = tuple(value if n == cell else values[0] for n in range(count))
            pictures.add(paint_board(Board(kind=kind, cells=cells, look=Look(style=style))).tobytes())
        assert len(pictures) == len(values), (style, cell)


@KINDS
def test_a_board_survives_json(kind: str) -> None:
    drawn = board(kind, 3, grain=1)
    assert Board.from_json(drawn.to_json()) == drawn


def test_boards_are_never_mirrored_since_left_and_right_mean_something() -> None:
    assert not any(board_look(Random(seed)).mirrored for seed in range(50))


def test_other_pictures_are_not_boards() -> None:
    assert read_board(Image.new("RGB", (84, 84), "white")) is None
    assert read_board(Image.radial_gradient("L")) is None
    assert read_board(paint(random_scene(Random(0)))) is None
