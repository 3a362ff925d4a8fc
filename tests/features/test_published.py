"""Published arrays are read where they lie, and never by unpickling."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulcot.errors import DataError
from mulcot.features.published_files import Published


def save(folder: Path, array: Any, rows: Any) -> Published:
    np.save(folder / "vit.npy", array, allow_pickle=True)
    (folder / "map.json").write_text(json.dumps(rows))
    return Published(array=folder / "vit.npy", name_map=folder / "map.json")


def test_the_array_and_its_rows_are_read(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    found, rows = save(tmp_path, array, {"7": 1, "9": "0"}).read()
    assert isinstance(found, np.memmap) and rows == {"7": 1, "9": 0}
    np.testing.assert_array_equal(found, array)


def test_a_pickle_is_not_opened_whatever_it_is_called(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "run",))

    for name in ("vit.pth", "vit.npy"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(DataError) as caught:
            Published(array=tmp_path / name, name_map=tmp_path / "map.json").read()
        assert "weights_only=True" in caught.value.hint
    np.save(tmp_path / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"is no \S+ file"):
        Published(array=tmp_path / "objects.npy", name_map=tmp_path / "map.json").read()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("array", [np.zeros((2, 3)), np.zeros((2, 3, 4), dtype=np.int32)])
def test_another_shape_or_type_is_told(tmp_path: Path, array: Any) -> None:
    with pytest.raises(DataError, match="questions x patches x values of floats are needed"):
        save(tmp_path, array, {}).read()


@pytest.mark.parametrize("rows", [{"7": 2}, {"7": -1}, {"7": "x"}, [1]])
def test_a_row_that_is_not_there_is_told(tmp_path: Path, rows: Any) -> None:
    with pytest.raises(DataError, match=r"map\.json"):
        save(tmp_path, np.zeros((2, 4, 3)), rows).read()
