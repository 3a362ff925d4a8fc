"""The published feature files: one array of questions x patches x values, and a map from question to row.

The array is read as `.npy`, where it lies. A `.pth` file is a pickle, which could run anything, and is not opened.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mulcot.errors import DataError
from mulcot.features.store import Array
from mulcot.settings import Settings

CONVERT = "Convert it once where you trust it: read it with torch, weights_only=True, and write it with numpy.save."


class Published(Settings):
    """Features that were made elsewhere."""

    array: Path
    """The `.npy` file: questions x patches x values."""
    name_map: Path
    """The JSON file that gives each question's id its row in the array."""

    def problems(self) -> list[str]:
        """A file that is not opened, whatever it holds."""
        pickled = self.array.suffix in (".pth", ".pt", ".pkl", ".bin")
        return [f"{self.array} is a pickle, which is not opened. {CONVERT}"] if pickled else []

    def read(self) -> tuple[Array, dict[str, int]]:
        """The array, memory-mapped, and the rows by question."""
        if self.problems():
            raise DataError(f"{self.array} is a pickle, which is not opened", hint=CONVERT)
        try:
            array: Array = np.load(self.array, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{self.array} is no .npy file: {error}", hint=CONVERT) from None
        if array.ndim != 3 or array.dtype.kind != "f":
            found = f"{' x '.join(map(str, array.shape))} of {array.dtype}"
            raise DataError(f"{self.array} holds {found}; questions x patches x values of floats are needed")
        return array, _rows(self.name_map, len(array))


def _rows(path: Path, count: int) -> dict[str, int]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", hint='Expected: {"4": 0, "6": 1}') from None
    if not isinstance(rows, dict):
        raise DataError(f"{path} is no map from question to row", hint='Expected: {"4": 0, "6": 1}')
    found: dict[str, int] = {}
    for name, row in rows.items():
        if not str(row).isdecimal() or int(row) >= count:
            raise DataError(f"{path}: question {name!r} is at row {row!r}, the array has rows 0 to {count - 1}")
        found[name] = int(row)
    return found
