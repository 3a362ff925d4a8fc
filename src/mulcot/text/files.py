"""Text files of unknown encoding, as old collections of posts have them."""

from __future__ import annotations

import codecs
from pathlib import Path

from mulcot.errors import DataError

MAX_BYTES = 1_000_000

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> tuple[str, str]:
    """The file's text, and the encoding it was read with."""
    if not path.is_file():
        raise DataError(f"{path.name} {'is not a regular file' if path.exists() else 'does not exist'}")
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(f"{path.name} has more than {max_bytes:,} bytes, too many for one text")
    return decode(data)


def decode(data: bytes) -> tuple[str, str]:
    """What a byte order mark says; else UTF-8; else Windows' Western encoding; else Latin-1, which reads anything."""
    marked = [encoding for mark, encoding in _MARKS if data.startswith(mark)]
    for encoding in (*marked[:1], "utf-8", "cp1252"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"
