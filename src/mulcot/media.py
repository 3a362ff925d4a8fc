"""Opening pictures from strangers, and keeping those that came without a file.

A file is read once, its format is told by its first bytes (never by its name), its size is taken from the header and
compared with the limits, and only then is it decoded. Whatever is wrong becomes a `MediaError` with a stable reason.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import os
import re
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from pydantic import Field

from mulcot.errors import MediaError
from mulcot.imageformats import Size, format_of, is_beginning, other_format, upright_rgb, upright_size
from mulcot.records import ImageRef
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
        return upright_rgb(_decode(source, limits, "the picture"))
    return upright_rgb(_decode(_read(source, limits, source.name), limits, source.name))


def encode_jpeg(image: Image.Image, size: Size | None = None, quality: int = 85) -> bytes:
    """The picture as JPEG without any metadata, shrunk to fit into `size` with its shape kept."""
    image = image if image.mode == "RGB" else upright_rgb(image)
    if size is not None and (image.width > size[0] or image.height > size[1]):
        image = image.copy()
        image.thumbnail(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, exif=b"", icc_profile=None)
    return out.getvalue()


class Store:
    """Pictures that came without a file of their own, each written once under the hash of its bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextmanager
    def temporary(cls) -> Iterator[Store]:
        """A store that is deleted afterwards."""
        with tempfile.TemporaryDirectory(prefix="mulcot-") as folder:
            yield cls(Path(folder))

    def put(self, data: bytes, suffix: str) -> ImageRef:
        """Writes the picture unless it is there. 256 folders keep each small, also with 100 000 pictures."""
        if not re.fullmatch(r"\.[a-z0-9]{1,5}", suffix):
            raise ValueError(f"{suffix!r} is not a suffix such as '.png'")
        digest = hashlib.sha256(data).hexdigest()
        ref = ImageRef(path=f"{digest[:2]}/{digest[2:34]}{suffix}", stored=True, sha256=digest)
        path = self.path(ref)
        try:
            written = path.stat().st_size == len(data)
        except FileNotFoundError:
            written = False
        if not written:
            self._write(path, data)
        return ref

    def path(self, ref: ImageRef) -> Path:
        """Where a stored picture lies."""
        return self.folder / ref.path

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        # No fsync: a stage's pictures can be made again, and `put` notices a wrong size.
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(part).chmod(0o644)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


class Gallery:
    """The pictures of one dataset: those in its folder and the stored ones."""

    def __init__(self, root: Path | None, store: Store, limits: ImageLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._root = None if root is None else os.path.realpath(root)
        self._stored = os.path.realpath(store.folder)
        self._checked: dict[tuple[bool, str], tuple[str, Size] | MediaError] = {}

    def path(self, ref: ImageRef) -> Path:
        """The picture's file: a regular one, never outside the folder it belongs to, not even through a link."""
        name = shown(ref.path)
        root = self._stored if ref.stored else self._root
        if not ref.path:
            raise MediaError("missing_image", "the row names no picture")
        if root is None:
            raise MediaError("outside_root", f"{name}: this dataset has no picture folder")
        if "\0" in ref.path or ref.path.startswith("/"):
            raise MediaError("outside_root", f"{name} is not a path inside the picture folder")
        try:
            path = os.path.realpath(f"{root}/{ref.path}")
            inside = path.startswith(root.rstrip("/") + "/")
            status = os.stat(path) if inside else None  # noqa: PTH116
        except (OSError, ValueError) as error:
            raise _unreadable(error, name) from error
        if status is None:
            raise MediaError("outside_root", f"{name} leads outside the picture folder")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError("not_a_file", f"{name} is not a regular file")
        return Path(path)

    def bytes(self, ref: ImageRef) -> bytes:
        """The picture's file as it is; refused where it is no longer the file that was checked."""
        data = _read(self.path(ref), self.limits, shown(ref.path))
        if ref.sha256 and hashlib.sha256(data).hexdigest() != ref.sha256:
            hint = "Run the dataset stage again, or put the old file back."
            raise MediaError("changed_image", f"{shown(ref.path)} has changed since it was checked", hint=hint)
        return data

    def open(self, ref: ImageRef) -> Image.Image:
        """The picture, upright and in RGB."""
        return upright_rgb(_decode(self.bytes(ref), self.limits, shown(ref.path)))

    def check(self, ref: ImageRef) -> ImageRef:
        """The reference with hash and upright size, after decoding the whole picture, once for each path."""
        key = (ref.stored, ref.path)
        if key not in self._checked:
            try:
                self._checked[key] = self._measure(ref)
            except MediaError as error:
                self._checked[key] = error.with_traceback(None)
        found = self._checked[key]
        if isinstance(found, MediaError):
            raise MediaError(found.reason, found.message, hint=found.hint)
        digest, (width, height) = found
        return dataclasses.replace(ref, sha256=digest, width=width, height=height)

    def _measure(self, ref: ImageRef) -> tuple[str, Size]:
        data = _read(self.path(ref), self.limits, shown(ref.path))
        size = upright_size(_decode(data, self.limits, shown(ref.path)))
        return hashlib.sha256(data).hexdigest(), size


def shown(name: str) -> str:
    """A stranger's file name, quoted and of bearable length."""
    return repr(name if len(name) <= 100 else name[:97] + "...")


def _read(path: Path, limits: ImageLimits, name: str) -> bytes:
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer that never comes.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(error, name) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise MediaError("not_a_file", f"{name} is not a regular file")
        if status.st_size > limits.max_bytes:
            message = f"{name} has {status.st_size:,} bytes, allowed {limits.max_bytes:,}"
            raise MediaError("too_many_bytes", message)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(status.st_size)
    except OSError as error:
        raise _unreadable(error, name) from error
    finally:
        os.close(handle)


def _unreadable(error: OSError | ValueError, name: str) -> MediaError:
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM, errno.EIO}:
        return MediaError("unreadable_image", f"{name} cannot be read: {os.strerror(number or 0)}")
    return MediaError("missing_image", f"{name} does not exist")


def _decode(data: bytes, limits: ImageLimits, name: str) -> Image.Image:
    """The decoded picture in its own mode and orientation. Limits come first, from the header."""
    if not data:
        raise MediaError("empty_image", f"{name} has no bytes")
    if len(data) > limits.max_bytes:
        raise MediaError("too_many_bytes", f"{name} has {len(data):,} bytes, allowed {limits.max_bytes:,}")
    known = format_of(data)
    if known is None:
        raise _unknown(data, name)
    try:
        image = known.open(data, lambda size: _admit(size, limits, name))
        _admit(image.size, limits, name)
        image.load()
    except DECODER_ERRORS as error:
        reason, what = (
            ("truncated_image", "ends too early") if known.ends_early(data) else ("broken_image", "is broken")
        )
        raise MediaError(reason, f"{name} {what}: {str(error)[:200]}") from error
    return image


def _admit(size: Size, limits: ImageLimits, name: str) -> None:
    """Raises for a size outside the limits."""
    long, short = max(size), min(size)
    what = f"{name} is {size[0]} x {size[1]}"
    if short <= 0:
        raise MediaError("broken_image", what)
    if long * short > limits.max_pixels:
        raise MediaError("too_many_pixels", f"{what} = {long * short:,} pixels, allowed {limits.max_pixels:,}")
    if long > limits.max_side:
        raise MediaError("too_many_pixels", f"{what}, allowed side {limits.max_side:,}")
    if long > short * limits.max_ratio:
        raise MediaError("too_narrow", f"{what}, allowed 1 to {limits.max_ratio:g}")


def _unknown(data: bytes, name: str) -> MediaError:
    other = other_format(data)
    if other:
        hint = "Convert it to JPEG, PNG, WebP, GIF or BMP."
        return MediaError("unsupported_format", f"{name} is {other}, which is not opened", hint=hint)
    if is_beginning(data):
        return MediaError("truncated_image", f"{name} ends after {len(data)} bytes")
    return MediaError("not_an_image", f"{name} is not a picture")
