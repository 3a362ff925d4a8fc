"""A published layout that is not there: one error that says what was found and what is expected."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mulcot.errors import DataError

SHOWN = 8


def need_folder(path: Path, expected: str) -> Path:
    """The folder, or a `DataError`."""
    if path.is_dir():
        return path
    what = "is a file, not a folder" if path.exists() else "does not exist"
    raise DataError(f"{path} {what}", hint=_hint(path.parent, expected))


def need_file(path: Path, expected: str) -> Path:
    """The file, or a `DataError`."""
    if path.is_file():
        return path
    what = "is a folder, not a file" if path.is_dir() else "does not exist"
    raise DataError(f"{path} {what}", hint=_hint(path.parent, expected))


def first_folder(candidates: Iterable[Path], option: str, root: Path, expected: str) -> Path:
    """The first candidate that is a folder, or a `DataError` that names the option to set."""
    need_folder(root, expected)
    tried = list(candidates)
    for path in tried:
        if path.is_dir():
            return path
    hint = f"Looked for {', '.join(map(str, tried))}. Set `{option}` to the folder. {_hint(root, expected)}"
    raise DataError(f"{root}: there is no folder of pictures", hint=hint)


def found(folder: Path) -> str:
    """What lies in a folder, in one sentence."""
    if not folder.is_dir():
        return f"{folder} does not exist either."
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in entries)
    except OSError as error:
        return f"{folder} cannot be listed: {error.strerror}."
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{folder} holds {', '.join(names[:SHOWN])}{more}." if names else f"{folder} is empty."


def _hint(folder: Path, expected: str) -> str:
    return f"{found(folder)} Expected: {' '.join(expected.split())}"
