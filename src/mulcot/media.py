"""Opening pictures from strangers, and keeping those that came without a file."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps
from pydantic import Field

from mulcot.errors import MediaError
from mulcot.records import ImageRef
from mulcot.settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


class ImageLimits(Settings):
    """Pictures beyond these limits are rejected before they are decoded."""

    max_bytes: int = Field(default=50_000_000, ge=1)
    """The largest file, in bytes."""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """The largest picture, as width times height."""
    max_side: int = Field(default=30_000, ge=1)
    """The longest side, in pixels."""


def open_image(source: Path | bytes, limits: ImageLimits = ImageLimits()) -> Image.Image:
    """The picture upright and in RGB, transparency on white, first frame of animations."""
    data = source if isinstance(source, bytes) else _read(source, limits)
    image = ImageOps.exif_transpose(_decode(data, limits))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def encode_jpeg(image: Image.Image, size: tuple[int, int] | None = None, quality: int = 85) -> bytes:
    """The picture as JPEG, shrunk to fit into `size` with its shape kept."""
    if size is not None:
        image = image.copy()
        image.thumbnail(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


class Store:
    """Pictures without a file of their own, written once under the hash of their bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextmanager
    def temporary(cls) -> Iterator[Store]:
        """A store that is deleted afterwards."""
        with tempfile.TemporaryDirectory(prefix="mulcot-") as folder:
            yield cls(Path(folder))

    def put(self, data: bytes, suffix: str) -> ImageRef:
        """Writes the picture unless it is there already."""
        digest = hashlib.sha256(data).hexdigest()
        ref = ImageRef(path=f"{digest[:2]}/{digest[:32]}{suffix}", stored=True, sha256=digest)
        path = self.path(ref)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_bytes(data)
            temporary.replace(path)
        return ref

    def path(self, ref: ImageRef) -> Path:
        """Where a stored picture lies."""
        return self.folder / ref.path


class Gallery:
    """The pictures of one dataset: those in its folder and the stored ones."""

    def __init__(self, root: Path | None, store: Store, limits: ImageLimits = ImageLimits()) -> None:
        self.root = root
        self.store = store
        self.limits = limits
        self._checked: dict[tuple[bool, str], ImageRef | MediaError] = {}

    def path(self, ref: ImageRef) -> Path:
        """The picture's file, never outside the folder it belongs to."""
        root = self.store.folder if ref.stored else self.root
        if root is None or "\0" in ref.path or Path(ref.path).is_absolute() or ".." in Path(ref.path).parts:
            raise MediaError("outside_root", f"{ref.path!r} is not a path inside the picture folder")
        path = (root / ref.path).resolve()
        if not path.is_relative_to(root.resolve()):
            raise MediaError("outside_root", f"{ref.path!r} leads outside the picture folder")
        return path

    def bytes(self, ref: ImageRef) -> bytes:
        """The picture's file as it is."""
        return _read(self.path(ref), self.limits)

    def open(self, ref: ImageRef) -> Image.Image:
        """The picture, upright and in RGB."""
        return open_image(self.bytes(ref), self.limits)

    def check(self, ref: ImageRef) -> ImageRef:
        """Decodes the picture once and returns its reference with hash and upright size."""
        key = (ref.stored, ref.path)
        if key not in self._checked:
            try:
                data = self.bytes(ref)
                image = ImageOps.exif_transpose(_decode(data, self.limits))
                digest = hashlib.sha256(data).hexdigest()
                self._checked[key] = dataclasses.replace(ref, sha256=digest, width=image.width, height=image.height)
            except MediaError as error:
                self._checked[key] = error
        found = self._checked[key]
        if isinstance(found, MediaError):
            raise MediaError(found.reason, found.message)
        return dataclasses.replace(ref, sha256=found.sha256, width=found.width, height=found.height)


def _read(path: Path, limits: ImageLimits) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MediaError("missing_image", f"{path.name}: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise MediaError("not_a_file", f"{path.name} is not a regular file")
        if status.st_size > limits.max_bytes:
            raise MediaError("too_many_bytes", f"{path.name} has {status.st_size} bytes, allowed {limits.max_bytes}")
        return file.read()


def _decode(data: bytes, limits: ImageLimits) -> Image.Image:
    if not data:
        raise MediaError("empty_image", "the file has no bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > limits.max_pixels:
            raise MediaError("too_many_pixels", f"{image.width}x{image.height}, allowed {limits.max_pixels}")
        image.load()
    except Image.UnidentifiedImageError as error:
        raise MediaError("not_an_image", "the file is not a picture") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError("truncated_image", str(error)) from error
    return image
