"""Pictures inside tables: Hugging Face writes `{"bytes": ..., "path": ...}`, others bare bytes or a path."""

from __future__ import annotations

from typing import Any

from mulcot.datasets.cell_values import BadRow, shown
from mulcot.media import Store
from mulcot.records import ImageRef

SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


def picture(value: Any, store: Store, of: str = "") -> ImageRef | None:
    """The picture that a cell holds or names; None where it is empty."""
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (None, value)
    if isinstance(path, bytes):
        data = path
    if isinstance(data, bytes):
        return _stored(data, store, of)
    if path is None or path == "":
        return None
    if not isinstance(path, str):
        raise BadRow("bad_value", f"the picture is {shown(value)}; a path, bytes or both are needed")
    return ImageRef(path=path, of=of)


def _stored(data: bytes, store: Store, of: str) -> ImageRef:
    # The name only helps whoever looks into the folder: pictures are opened by their content.
    suffix = next((suffix for start, suffix in SUFFIXES.items() if data.startswith(start)), ".bin")
    ref = store.put(data, suffix)
    return ImageRef(path=ref.path, stored=True, sha256=ref.sha256, of=of)
