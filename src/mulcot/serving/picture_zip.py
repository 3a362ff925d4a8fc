"""An untrusted zip of pictures: judged by its table of contents, read picture by picture, never unpacked to disk.

Whatever is suspicious refuses the whole archive before anything is decompressed: names that lead out of it, links,
archives inside, encryption, rare compressions, overlapping entries, too many entries, too much when unpacked. What
remains is read by name, and each picture within the size that its entry states.
"""

from __future__ import annotations

import stat
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO

from pydantic import Field

from mulcot.errors import MediaError, MulcotError, printable
from mulcot.settings import Settings

ARCHIVES = {
    ".zip", ".jar", ".war", ".apk", ".docx", ".xlsx", ".pptx", ".odt", ".epub", ".tar", ".tgz", ".tbz", ".txz", ".gz",
    ".bz2", ".xz", ".zst", ".lz4", ".br", ".7z", ".rar", ".cab", ".iso", ".z",
}  # fmt: skip
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, LookupError)
"""What `zipfile` raises on damaged or dishonest archives."""
CLUTTER = "__MACOSX/"
SMALL = 2**20
"""Bytes below which any ratio of compression is harmless."""
BYTES_PER_ENTRY = 512
"""Room in the table of contents: Python would read it whole, however large the archive says it is."""


class UploadRefused(MulcotError):
    """An upload that is not worked on at all; single bad rows are rejected instead."""

    def __init__(self, message: str, *, hint: str = "", too_large: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.too_large = too_large


class ArchiveLimits(Settings):
    """Archives beyond these limits are refused before anything in them is decompressed."""

    max_archive_bytes: int = Field(default=300_000_000, ge=1)
    """The largest zip, in bytes."""
    max_entries: int = Field(default=20_000, ge=1)
    """The most files in it."""
    max_unpacked_bytes: int = Field(default=2_000_000_000, ge=1)
    """What all its files may amount to when unpacked."""
    max_ratio: int = Field(default=200, ge=1)
    """How much larger than packed one file may be; pictures hardly shrink."""
    max_picture_bytes: int = Field(default=15_000_000, ge=1)
    """The largest picture, in bytes."""


class ArchivePictures:
    """The files of a checked archive, by name."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits = ArchiveLimits()) -> None:  # noqa: B008  (frozen)
        self._limits = limits
        try:
            self._archive = zipfile.ZipFile(_Cautious(file, limits))
            entries = self._archive.infolist()
        except BROKEN as error:
            raise UploadRefused("the archive of pictures is not a zip file, or is damaged", hint=REPACK) from error
        self._entries = dict(_checked(entries, limits))
        self._by_last_name: dict[str, list[str]] = defaultdict(list)
        for name in self._entries:
            self._by_last_name[PurePosixPath(name).name].append(name)

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, name: str) -> bytes:
        """The bytes of the picture that a row names; raises `MediaError` where there is none or it is damaged."""
        entry = self._entries[self._find(name)]
        if entry.file_size > self._limits.max_picture_bytes:
            allowed = f"allowed {self._limits.max_picture_bytes:,}"
            raise MediaError("too_many_bytes", f"{_shown(name)} has {entry.file_size:,} bytes, {allowed}")
        try:
            with self._archive.open(entry) as file:
                return file.read(self._limits.max_picture_bytes)
        except BROKEN as error:
            raise MediaError("damaged_in_zip", f"{_shown(name)} is damaged inside the zip") from error

    def _find(self, name: str) -> str:
        """The entry of that path; else the only one whose path ends with it, since zips often hold one folder more."""
        wanted = _plain(name.strip()).removeprefix("./")
        if wanted in self._entries:
            return wanted
        last = PurePosixPath(wanted).name
        found = [path for path in self._by_last_name.get(last, ()) if path.endswith(f"/{wanted}")]
        if len(found) == 1:
            return found[0]
        if found:
            raise MediaError("ambiguous_image", f"{_shown(name)} stands in the zip {len(found)} times")
        raise MediaError("missing_image", f"{_shown(name)} is not in the zip")


REPACK = "Pack the pictures again as an ordinary zip."


class _Cautious:
    """A file that refuses to be read in pieces larger than an honest table of contents."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits) -> None:
        self._file = file
        self._most = max(SMALL, limits.max_entries * BYTES_PER_ENTRY)
        self._limits = limits
        self.seekable = file.seekable
        self.tell = file.tell
        self.seek = file.seek
        self.close = file.close
        if file.seek(0, 2) > limits.max_archive_bytes:
            raise _too_much(f"the zip has {file.tell():,} bytes, allowed {limits.max_archive_bytes:,}")

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        if size < 0:
            # Asked for by `zipfile` alone at the archive's end, where little more than a comment can follow.
            size = SMALL
        if size > self._most:
            raise _too_much(f"the zip has more files than the {self._limits.max_entries:,} allowed")
        return self._file.read(size)


def _checked(entries: Iterable[zipfile.ZipInfo], limits: ArchiveLimits) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    files = [entry for entry in entries if not entry.is_dir() and not entry.filename.startswith(CLUTTER)]
    if len(files) > limits.max_entries:
        raise _too_much(f"the zip has {len(files):,} files, allowed {limits.max_entries:,}")
    unpacked = sum(entry.file_size for entry in files)
    if unpacked > limits.max_unpacked_bytes:
        raise _too_much(f"unpacked, the zip has {unpacked:,} bytes, allowed {limits.max_unpacked_bytes:,}")
    _refuse_overlaps(files)
    seen: set[str] = set()
    for entry in files:
        _refuse_odd(entry, limits)
        name = _plain(entry.filename)
        if name in seen:
            raise UploadRefused(f"{_shown(name)} stands twice in the zip", hint=REPACK)
        seen.add(name)
        yield name, entry


def _refuse_odd(entry: zipfile.ZipInfo, limits: ArchiveLimits) -> None:
    """Raises for an entry that no honest zip of pictures has."""
    name = entry.orig_filename
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0] or "\0" in name:
        raise UploadRefused(f"the zip holds {_shown(name)}, a name that leads out of it", hint=REPACK)
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise UploadRefused(f"the zip holds {_shown(name)}, which is a link or a device, not a file", hint=REPACK)
    if PurePosixPath(name).suffix.lower() in ARCHIVES:
        hint = "Put the pictures into the zip themselves."
        raise UploadRefused(f"the zip holds {_shown(name)}, an archive inside the archive", hint=hint)
    if entry.flag_bits & 0x1:
        raise UploadRefused("the zip is protected by a password", hint="Pack it without one.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UploadRefused(f"{_shown(name)} is packed with a rare compression", hint=REPACK)
    if entry.file_size > SMALL and entry.file_size > entry.compress_size * limits.max_ratio:
        ratio = entry.file_size // max(1, entry.compress_size)
        raise UploadRefused(
            f"{_shown(name)} grows {ratio:,}-fold when unpacked (allowed {limits.max_ratio}): a zip bomb",
            hint="Save pictures as JPEG or PNG.",
        )


def _refuse_overlaps(files: Iterable[zipfile.ZipInfo]) -> None:
    """Files that share their bytes are how small bombs become large ones."""
    end = 0
    for entry in sorted(files, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise UploadRefused(f"{_shown(entry.filename)} overlaps another file of the zip", hint=REPACK)
        end = entry.header_offset + entry.compress_size


def _plain(name: str) -> str:
    """One spelling for what systems write differently: macOS decomposes letters, Windows turns slashes."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _shown(name: str) -> str:
    return repr(printable(name if len(name) <= 100 else name[:97] + "..."))


def _too_much(message: str) -> UploadRefused:
    return UploadRefused(message, hint="Split the upload into several.", too_large=True)
