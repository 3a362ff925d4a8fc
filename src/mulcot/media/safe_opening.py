"""Opening one untrusted picture.

A file is read once, its format is told by its first bytes (never by its name), its size is taken from the header and
compared with the limits, and only then is it decoded. Whatever is wrong becomes a `MediaError` with a stable reason.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zlib
from pathlib import Path

from PIL import Image
from pydantic import Field

from mulcot.errors import MediaError
from mulcot.media.formats import Size, format_of, is_beginning, other_format, upright_rgb
from mulcot.settings import Settings

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AssertionError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on broken files."""


class ImageLimits(Settings):
    """Pictures beyond these limits are rejected before they are decoded."""

    max_bytes: int = Field(default=50_000_000, ge=1)
    """The largest file, in bytes."""
    max_pixels: int = Field(default=50_000_000, ge=1, le=89_000_000)
    """The largest picture, as width times height; Pillow's own limit lies just above 89 million."""
    max_side: int = Field(default=30_000, ge=1)
    """The longest side, in pixels."""
    max_ratio: float = Field(default=200, ge=1)
    """The longer side divided by the shorter one; vision models refuse more than 200."""


DEFAULT_LIMITS = ImageLimits()


def open_image(source: Path | bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """The picture upright and in RGB: transparency on white, 16 bits scaled to 8, first frame of animations."""
    if isinstance(source, bytes):
        return upright_rgb(decode(source, limits, "the picture"))
    return upright_rgb(decode(read_file(source, limits, source.name), limits, source.name))


def encode_jpeg(image: Image.Image, size: Size | None = None, quality: int = 85) -> bytes:
    """The picture as JPEG without any metadata, shrunk to fit into `size` with its shape kept."""
    plain = upright_rgb(image)
    if size is not None:
        plain.thumbnail(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    plain.save(out, "JPEG", quality=quality)
    return out.getvalue()


def shown(name: str) -> str:
    """An untrusted file name, quoted and shortened."""
    return repr(name if len(name) <= 100 else name[:97] + "...")


def read_file(path: Path, limits: ImageLimits, name: str) -> bytes:
    """The bytes of a regular file within the limit; never waits."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer that never comes.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise unreadable(error, name) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise MediaError("not_a_file", f"{name} is not a regular file")
        if status.st_size > limits.max_bytes:
            raise _too_many_bytes(status.st_size, limits, name)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(status.st_size)
    except OSError as error:
        raise unreadable(error, name) from error
    finally:
        os.close(handle)


def unreadable(error: OSError | ValueError, name: str) -> MediaError:
    """The reason behind an error of the file system."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM, errno.EIO}:
        return MediaError("unreadable_image", f"{name} cannot be read: {os.strerror(number or 0)}")
    return MediaError("missing_image", f"{name} does not exist")


def decode(data: bytes, limits: ImageLimits, name: str) -> Image.Image:
    """The decoded picture in its own mode and orientation. Limits come first, from the header."""
    if not data:
        raise MediaError("empty_image", f"{name} has no bytes")
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(len(data), limits, name)
    known = format_of(data)
    if known is None:
        raise _unknown(data, name)
    try:
        image = known.open(data, lambda size: _admit(size, limits, name))
        image.load()
    except DECODER_ERRORS as error:
        early = known.ends_early(data)
        message = f"{name} {'ends too early' if early else 'is broken'}: {str(error)[:200]}"
        raise MediaError("truncated_image" if early else "broken_image", message) from error
    return image


def _admit(size: Size, limits: ImageLimits, name: str) -> None:
    """Raises for a size outside the limits."""
    long, short = max(size), min(size)
    what = f"{name} is {size[0]} x {size[1]}"
    if long * short > limits.max_pixels:
        raise MediaError("too_many_pixels", f"{what} = {long * short:,} pixels, allowed {limits.max_pixels:,}")
    if long > limits.max_side:
        raise MediaError("too_many_pixels", f"{what}, allowed side {limits.max_side:,}")
    if long > short * limits.max_ratio:
        raise MediaError("too_narrow", f"{what}, allowed 1 to {limits.max_ratio:g}")


def _too_many_bytes(count: int, limits: ImageLimits, name: str) -> MediaError:
    return MediaError("too_many_bytes", f"{name} has {count:,} bytes, allowed {limits.max_bytes:,}")


def _unknown(data: bytes, name: str) -> MediaError:
    other = other_format(data)
    if other:
        hint = "Convert it to JPEG, PNG, WebP, GIF or BMP."
        return MediaError("unsupported_format", f"{name} is {other}, which is not opened", hint=hint)
    if is_beginning(data):
        return MediaError("truncated_image", f"{name} ends after {len(data)} bytes")
    return MediaError("not_an_image", f"{name} is not a picture")
