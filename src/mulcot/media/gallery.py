"""The pictures of one dataset, found safely and checked once each."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from pathlib import Path

from PIL import Image

from mulcot.errors import MediaError
from mulcot.media.formats import Size, upright_rgb, upright_size
from mulcot.media.picture_store import Store
from mulcot.media.safe_opening import DEFAULT_LIMITS, ImageLimits, decode, read_file, shown, unreadable
from mulcot.records import ImageRef


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
            path, status = _locate(root, ref.path)
        except (OSError, ValueError) as error:
            raise unreadable(error, name) from error
        if status is None:
            raise MediaError("outside_root", f"{name} leads outside the picture folder")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError("not_a_file", f"{name} is not a regular file")
        return Path(path)

    def bytes(self, ref: ImageRef) -> bytes:
        """The picture's file as it is; refused where it is no longer the file that was checked."""
        data = read_file(self.path(ref), self.limits, shown(ref.path))
        if ref.sha256 and hashlib.sha256(data).hexdigest() != ref.sha256:
            hint = "Run the dataset stage again, or put the old file back."
            raise MediaError("changed_image", f"{shown(ref.path)} has changed since it was checked", hint=hint)
        return data

    def open(self, ref: ImageRef) -> Image.Image:
        """The picture, upright and in RGB."""
        return upright_rgb(decode(self.bytes(ref), self.limits, shown(ref.path)))

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
        data = read_file(self.path(ref), self.limits, shown(ref.path))
        size = upright_size(decode(data, self.limits, shown(ref.path)))
        return hashlib.sha256(data).hexdigest(), size


def _locate(root: str, relative: str) -> tuple[str, os.stat_result | None]:
    """The real path and what lies there; None where it is outside. Only unusual paths are worth resolving in full."""
    parts = relative.split("/")
    if {"", ".", ".."}.isdisjoint(parts):
        path = root
        for part in parts:
            path = f"{path}/{part}"
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                break
        else:
            return path, status
    path = os.path.realpath(f"{root}/{relative}")
    inside = path.startswith(root.rstrip("/") + "/")
    return path, os.stat(path) if inside else None  # noqa: PTH116
