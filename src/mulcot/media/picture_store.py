"""Where pictures are kept that came without a file of their own: drawn ones, and those unpacked from Parquet."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mulcot.records import ImageRef


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
