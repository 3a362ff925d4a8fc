"""The feature store keeps what it was given through kills, and notices every damage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulcot.errors import DataError
from mulcot.features import FeatureKind, FeatureStore, FeatureWriter

WIDTH = 3


def kind(dtype: Any = "fp32", extractor_hash: str = "a" * 64) -> FeatureKind:
    return FeatureKind({"name": "tiny"}, extractor_hash, WIDTH, dtype)


def patches(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(1 + number % 4, WIDTH)).astype(np.float32)


def fill(folder: Path, numbers: range, dtype: Any = "fp32") -> FeatureStore:
    with FeatureWriter(folder, kind(dtype)) as writer:
        for number in numbers:
            writer.add([(f"key{number}", patches(number))])
    return FeatureStore.open(folder)


@pytest.mark.parametrize(("dtype", "size", "error"), [("fp32", 4, 0), ("fp16", 2, 1e-3), ("bf16", 2, 8e-3)])
def test_features_come_back_as_they_were_given(tmp_path: Path, dtype: str, size: int, error: float) -> None:
    store = fill(tmp_path, range(6), dtype)
    assert len(store) == 6 and store.width == WIDTH and store.extractor_hash == "a" * 64
    for number in range(6):
        assert f"key{number}" in store
        np.testing.assert_allclose(store.get(f"key{number}"), patches(number), rtol=error or 1e-7, atol=0)
    rows = sum(len(patches(number)) for number in range(6))
    assert (tmp_path / "patches.bin").stat().st_size == rows * WIDTH * size


def test_bf16_rounds_to_the_nearest_as_torch_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values = np.array([[1.00390625, -3.14159265, 1e-30], [65504.0, 3e38, 1.01171875]], dtype=np.float32)
    with FeatureWriter(tmp_path, kind("bf16")) as writer:
        writer.add([("a", values)])
    wanted = torch.from_numpy(values).bfloat16().float().numpy()
    np.testing.assert_array_equal(FeatureStore.open(tmp_path).get("a"), wanted)


@settings(deadline=None, max_examples=25)
@given(lost_index=st.integers(0, 120), lost_patches=st.integers(0, 120), junk=st.binary(max_size=30))
def test_a_kill_at_any_byte_loses_only_what_was_not_whole(
    tmp_path_factory: pytest.TempPathFactory, lost_index: int, lost_patches: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("store")
    fill(folder, range(5))
    for name, lost in (("index.jsonl", lost_index), ("patches.bin", lost_patches)):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) - lost] + (junk if name == "patches.bin" else b""))
    with FeatureWriter(folder, kind()) as writer:
        kept = set(writer.done)
        writer.add([(f"key{number}", patches(number)) for number in range(5)])
    store = FeatureStore.open(folder)
    assert kept == {f"key{number}" for number in range(len(kept))}, "the first ones, without a hole"
    for number in range(5):
        if lost_patches == 0 or f"key{number}" not in kept:
            np.testing.assert_array_equal(store.get(f"key{number}"), patches(number))


WRITING = """
    import sys
    from pathlib import Path
    import numpy as np
    from mulcot.features import FeatureKind, FeatureWriter
    with FeatureWriter(Path(sys.argv[1]), FeatureKind({"name": "tiny"}, "a" * 64, 3, "fp32")) as writer:
        for number in range(3000):
            rows = np.random.default_rng(number).normal(size=(1 + number % 4, 3)).astype(np.float32)
            writer.add([(f"key{number}", rows)])
    """


def test_a_killed_process_is_continued_to_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITING), str(tmp_path / "killed")]
    process = subprocess.Popen(command)
    index = tmp_path / "killed" / "index.jsonl"
    while not (index.exists() and index.stat().st_size > 500):
        assert process.poll() is None or index.exists()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with FeatureWriter(tmp_path / "killed", kind()) as writer:
        assert 0 < len(writer.done) <= 3000
        last = max(len(writer.done), 60)
        for number in range(last):
            writer.add([(f"key{number}", patches(number))])
    fill(tmp_path / "whole", range(last))
    for name in ("index.jsonl", "patches.bin", "features.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_picture_that_is_there_is_not_written_twice(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    size = (tmp_path / "patches.bin").stat().st_size
    assert len(fill(tmp_path, range(3))) == 3
    assert (tmp_path / "patches.bin").stat().st_size == size


def test_features_of_another_extractor_or_dtype_are_not_continued(tmp_path: Path) -> None:
    fill(tmp_path, range(2))
    with pytest.raises(DataError, match="another extractor"):
        FeatureWriter(tmp_path, kind(extractor_hash="b" * 64))
    with pytest.raises(DataError, match="another extractor: found aaaa"):
        FeatureStore.open(tmp_path, extractor_hash="b" * 64)
    FeatureStore.open(tmp_path, extractor_hash="a" * 64)


def test_a_missing_row_names_the_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no features of the picture 'key9'") as caught:
        fill(tmp_path, range(2)).get("key9")
    assert "features stage" in caught.value.hint


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    data = bytearray((tmp_path / "patches.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "patches.bin").write_bytes(data)
    store = FeatureStore.open(tmp_path)
    np.testing.assert_array_equal(store.get("key1"), patches(1))
    with pytest.raises(DataError, match="'key0' are damaged"):
        store.get("key0")


@pytest.mark.parametrize("name", ["features.json", "index.jsonl", "patches.bin"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    fill(tmp_path, range(3))
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("features.json", "[]"),
        ("features.json", '{"format": 9}'),
        ("index.jsonl", '["key0", 5, 1, 0]\n'),
        ("index.jsonl", '["key0", 0, -1, 0]\n'),
        ("index.jsonl", "nonsense\n"),
        ("index.jsonl", '["key0", 0, 1000, 0]\n'),
    ],
)
def test_damaged_files_are_errors_with_a_hint(tmp_path: Path, name: str, text: str) -> None:
    fill(tmp_path, range(3))
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        FeatureStore.open(tmp_path)
    assert str(tmp_path) in caught.value.message and caught.value.hint


def test_values_that_fit_no_fp16_and_wrong_shapes_are_refused(tmp_path: Path) -> None:
    with FeatureWriter(tmp_path, kind("fp16")) as writer:
        with pytest.raises(DataError, match="no finite fp16") as caught:
            writer.add([("a", np.full((1, WIDTH), 1e6))])
        assert "bf16" in caught.value.hint
        with pytest.raises(DataError, match="1 x 9; patches x 3"):
            writer.add([("b", np.zeros((1, 9)))])
    assert len(FeatureStore.open(tmp_path)) == 0


def test_an_empty_store_opens(tmp_path: Path) -> None:
    FeatureWriter(tmp_path, kind()).close()
    assert len(FeatureStore.open(tmp_path)) == 0
