"""The picture formats we open: told by their first bytes, measured by their header, decoded by Pillow.

Pillow's own classes are called directly and are handed only the parts of a file that make its first picture. So texts,
profiles and animations, where bombs and warnings hide, never reach it, and no global setting of Pillow is touched.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

Size = tuple[int, int]
Admit = Callable[[Size], None]
"""Raises for a picture that is too large."""

MAX_SCANS = 200
"""Progressive JPEGs have about ten; thousands of scans would keep a decoder busy for minutes."""

PNG_PARTS = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}


class Format(NamedTuple):
    """One format."""

    open: Callable[[bytes, Admit], ImageFile]
    """Reads the header, admits the size, then opens; nothing of the picture is decoded yet."""
    ends_early: Callable[[bytes], bool]
    """Whether the end of the file is missing; asked only where decoding failed."""


def format_of(data: bytes) -> Format | None:
    """The format by content; a file's name tells nothing."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in {12, 40, 52, 56, 64, 108, 124}:
        return BMP
    return next((known for start, known in STARTS.items() if data.startswith(start)), None)


def other_format(data: bytes) -> str:
    """The name of a format that we know but do not open, or nothing: every decoder more is one more way in."""
    if data[4:8] == b"ftyp":
        return "AVIF, HEIC or a film"
    return next((name for start, name in OTHER_STARTS.items() if data.startswith(start)), "")


def is_beginning(data: bytes) -> bool:
    """Whether so little is left of the file that only its format can be guessed."""
    riff = b"RIFF".startswith(data[:4]) and b"WEBP".startswith(data[8:12])
    return riff or any(start.startswith(data) for start in STARTS)


def upright_size(image: Image.Image) -> Size:
    """The size after EXIF orientation."""
    return (image.height, image.width) if orientation(image) >= 5 else image.size


def upright_rgb(image: Image.Image) -> Image.Image:
    """The decoded picture in 8-bit RGB, transparent parts white, turned as EXIF says."""
    turn = UPRIGHT.get(orientation(image))
    plain = _rgb(image) if turn is None else _rgb(image).transpose(turn)
    plain.info = {}  # whoever turned it again by the old EXIF data would turn it wrong
    return plain


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. Pillow's own reader parses far more than this one number, and warns."""
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == 0x0112:
                return value if value in UPRIGHT else 1
    except struct.error:
        pass
    return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:  # of a 16-bit picture, which Pillow has read as 8-bit
        image.info["transparency"] = tuple(value >> 8 for value in key)
    rgba = image.convert("RGBA")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits, scaled; Pillow's own conversion cuts everything above 255 to white."""
    values = np.asarray(image)
    gray = Image.fromarray((values >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        gray.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return gray


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Resolution is of no use here, and reading it warns about broken EXIF data."""


def _open_jpeg(data: bytes, admit: Admit) -> ImageFile:
    image = _Jpeg(io.BytesIO(data))
    if image.info.get("progressive") and data.count(b"\xff\xda") > MAX_SCANS:
        raise SyntaxError(f"more than {MAX_SCANS} scans")
    admit(image.size)
    return image


def _open_png(data: bytes, admit: Admit) -> ImageFile:
    view, parts, at = memoryview(data), [data[:8]], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind in PNG_PARTS:
            parts.append(view[at:end])  # type: ignore[arg-type]
        at = len(data) if kind == b"IEND" else end
    image = PngImageFile(io.BytesIO(b"".join(parts)))
    admit(image.size)
    return image


def _open_gif(data: bytes, admit: Admit) -> ImageFile:
    """Only the first frame, with the control block that names its transparent colour."""
    width, height = struct.unpack_from("<HH", data, 6)
    flags = data[10]
    start = at = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
    control = b""
    while data[at] != ord(","):
        if data[at] == ord(";"):
            raise SyntaxError("no frame")
        if data[at] != ord("!"):
            at += 1
            continue
        begin, at = at, at + 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        if data[begin + 1] == 0xF9 and at - begin == 8:
            control = data[begin:at]
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, at + 1)
    admit((max(width, left + frame_width), max(height, top + frame_height)))
    return GifImageFile(io.BytesIO(data[:start] + control + data[at:]))


def _open_webp(data: bytes, admit: Admit) -> ImageFile:
    """The size first: the decoder allocates the whole canvas as soon as it is made."""
    kind, field = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        size = 1 + int.from_bytes(field[4:7], "little"), 1 + int.from_bytes(field[7:10], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(field[1:5], "little")
        size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        size = int.from_bytes(field[6:8], "little") & 0x3FFF, int.from_bytes(field[8:10], "little") & 0x3FFF
    else:
        size = (0, 0)
    if 0 in size:
        raise SyntaxError("no size in the header")
    admit(size)
    return WebPImageFile(io.BytesIO(data))


def _open_bmp(data: bytes, admit: Admit) -> ImageFile:
    image = BmpImageFile(io.BytesIO(data))
    admit(image.size)
    return image


JPEG = Format(_open_jpeg, lambda data: b"\xff\xd9" not in data[-4096:])
PNG = Format(_open_png, lambda data: b"IEND" not in data[-4096:])
GIF = Format(_open_gif, lambda data: not data.rstrip(b"\0").endswith(b";"))
WEBP = Format(_open_webp, lambda data: int.from_bytes(data[4:8], "little") + 8 > len(data))
BMP = Format(_open_bmp, lambda data: int.from_bytes(data[2:6], "little") > len(data))

STARTS = {b"\xff\xd8\xff": JPEG, b"\x89PNG\r\n\x1a\n": PNG, b"GIF87a": GIF, b"GIF89a": GIF}

OTHER_STARTS = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"\0\0\1\0": "ICO",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"<svg": "SVG",
}

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How each EXIF orientation is undone."""
