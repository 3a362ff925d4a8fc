"""A dataset saved by Hugging Face's `save_to_disk`, without needing their library.

    posts/dataset_dict.json                      {"splits": ["train", "test"]}
    posts/train/state.json                       {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], ...}
    posts/train/data-00000-of-00001.arrow

A dataset of one split has `state.json` at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mulcot.datasets.base import UNSPLIT
from mulcot.datasets.cell_values import shown
from mulcot.datasets.readers.jsonfile import load_json
from mulcot.datasets.readers.mapping import SPLIT_NAMES, SPLIT_ORDER
from mulcot.errors import DataError


def is_saved(folder: Path) -> bool:
    """Whether the folder is such a dataset."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def files(folder: Path) -> list[tuple[Path, str]]:
    """Its Arrow files, each with its split, in the order of train, dev, test."""
    if not (folder / "dataset_dict.json").is_file():
        return [(path, UNSPLIT) for path in _shards(folder)]
    names = _names(_object(folder / "dataset_dict.json").get("splits"), folder / "dataset_dict.json")
    unknown = [name for name in names if name not in SPLIT_NAMES]
    if unknown:
        hint = f"Allowed: {', '.join(SPLIT_NAMES)}. Set `path` to one split's folder to read it alone."
        raise DataError(f"{folder} has a split {shown(unknown[0])}", hint=hint)
    names.sort(key=lambda name: SPLIT_ORDER.index(SPLIT_NAMES[name]))
    return [(path, SPLIT_NAMES[name]) for name in names for path in _shards(folder / name)]


def _shards(folder: Path) -> list[Path]:
    state = _object(folder / "state.json")
    if state.get("_indices_data_files"):
        hint = "Call `flatten_indices()` before saving."
        raise DataError(f"{folder} keeps its rows in another order than it was saved in", hint=hint)
    entries = state.get("_data_files")
    listed = (
        [entry.get("filename") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    paths = [folder / name for name in _names(listed, folder / "state.json")]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} does not exist", hint="The saved dataset is incomplete; copy it again.")
    return paths


def _object(path: Path) -> dict[str, Any]:
    data = load_json(path)
    if not isinstance(data, dict):
        raise DataError(f"{path} holds {shown(data)}, an object is needed", hint="Save the dataset again.")
    return data


def _names(names: Any, path: Path) -> list[str]:
    """Plain names from an untrusted file: none may lead elsewhere."""
    if not isinstance(names, list) or not names:
        raise DataError(f"{path} lists nothing", hint="Save the dataset again.")
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
            raise DataError(f"{path}: {shown(name)} is no plain name", hint="Save the dataset again.")
    return list(names)
