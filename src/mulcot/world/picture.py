"""From a scene to a picture, and to the bytes of its file."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

from mulcot.world.canvas import GRID, Canvas
from mulcot.world.painters import PAINTERS
from mulcot.world.scene import Scene

SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2


def paint(scene: Scene, size: int = GRID) -> Image.Image:
    """The picture of a scene, `size` x `size` pixels; the same scene always gives the same picture."""
    canvas = Canvas(size, scene.look)
    PAINTERS[scene.kind](canvas, scene)
    return canvas.finished()


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file of an RGB picture, without any metadata.

    Written here since Pillow tries all five filters on every line, which costs more than painting; drawn pictures need
    only one: the difference from the line above.
    """
    width, height = image.size
    lines = np.frombuffer(image.tobytes(), np.uint8).reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), np.uint8)
    filtered[:, 0] = UP
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(filtered.tobytes(), 1)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
