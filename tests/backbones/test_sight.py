"""What the vision tower sees: the same bits whatever the batch, and from disk the same bits as from the tower."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import forked
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.vision_cache import VisionCache, vision_features

MANY = 2**30
SIZES = ((56, 56), (90, 60), (60, 120))


@pytest.fixture
def pictures(picture) -> list:
    return [picture(*size, seed=number) for number, size in enumerate(SIZES)]


def patches(model: LoadedModel, pictures: list) -> tuple[Tensor, Tensor]:
    made = [model.pictures.patches(picture) for picture in pictures]
    return torch.from_numpy(np.concatenate([values for values, _ in made])), torch.tensor([grid for _, grid in made])


def counted(model: LoadedModel) -> Callable[[], int]:
    """How often the tower has looked since the last question."""
    looks: list[int] = []
    model.network.inner.model.visual.register_forward_pre_hook(lambda *_: looks.append(1))

    def since() -> int:
        number = len(looks)
        looks.clear()
        return number

    return since


def bits(model: LoadedModel, pictures: list) -> list[Tensor]:
    seen = vision_features(
        model.network.inner.model,
        *patches(model, pictures),
        model.network.vision_cache,
        batch_invariant=model.network.batch_invariant,
    )
    return [*seen.pooler_output, *(part for layer in seen.deepstack_features for part in layer)]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(first, second, strict=True))


def free(settings: QwenVL) -> QwenVL:
    """Pictures keep their shapes, so that a batch is as mixed as it can be."""
    return settings.model_copy(update={"image_size": None})


def batch_invariant(settings: QwenVL) -> LoadedModel:
    """A model as the stages have it that could keep what it sees."""
    model = settings.load()
    model.network.batch_invariant = True
    return model


def test_a_model_that_only_answers_looks_at_all_pictures_at_once(settings: QwenVL, pictures: list) -> None:
    model = free(settings).load()
    looks = counted(model)
    together = bits(model, pictures)
    assert looks() == 1
    model.network.batch_invariant = True
    torch.testing.assert_close(together, bits(model, pictures), rtol=1e-4, atol=1e-5)
    assert looks() == len(pictures)


def test_features_do_not_depend_on_the_batch(settings: QwenVL, pictures: list) -> None:
    model = batch_invariant(free(settings))
    together = bits(model, pictures)
    alone = [bits(model, [picture]) for picture in pictures]
    assert same(together, [part for parts in zip(*alone, strict=True) for part in parts])


def test_what_is_kept_is_what_was_seen_and_each_picture_is_looked_at_once(
    settings: QwenVL, pictures: list, tmp_path: Path
) -> None:
    model = batch_invariant(free(settings))
    plain, looks = bits(model, pictures), counted(model)
    model.network.cache_vision(tmp_path / "vision", MANY)
    first = bits(model, pictures)
    assert looks() == len(pictures)
    again = free(settings).load()
    looks = counted(again)
    again.network.cache_vision(tmp_path / "vision", MANY)
    second = bits(again, pictures[::-1] + pictures)
    assert looks() == 0
    layers = len(plain) // 3
    assert same(plain, first)
    for number in range(layers):
        both = second[number * 6 : number * 6 + 6]
        assert same(plain[number * 3 : number * 3 + 3], both[:3][::-1])
        assert same(both[3:], both[:3][::-1])


def test_the_network_answers_the_same_bits_with_it_and_without(
    settings: QwenVL, pictures: list, tmp_path: Path
) -> None:
    hidden = []
    for folder in (None, tmp_path, tmp_path):
        model = batch_invariant(free(settings))
        if folder is not None:
            model.network.cache_vision(folder, MANY)
        pixels_NF, grids_I3 = patches(model, pictures)
        count = sum(model.pictures.tokens(tuple(grid)) for grid in grids_I3.tolist())
        ids = torch.tensor([[model.words.control("<|image_pad|>")] * count])
        positions = torch.arange(count).expand(3, 1, -1)
        with torch.no_grad():
            hidden.append(model.network(ids, positions, torch.ones_like(ids).bool(), pixels_NF, grids_I3))
    assert torch.equal(hidden[0], hidden[1])
    assert torch.equal(hidden[0], hidden[2])


@pytest.mark.parametrize("change", ["picture", "size", "mean", "weights", "attention", "dtype"])
def test_nothing_that_changes_what_is_seen_ever_hits(demo: QwenVL, picture, tmp_path: Path, change: str) -> None:
    model, shown = demo.load(), picture(seed=1)
    model.network.cache_vision(tmp_path / "vision", MANY)
    bits(model, [shown])
    settings = demo
    if change == "size":
        settings = demo.model_copy(update={"image_size": 84})
    elif change == "dtype":
        settings = demo.model_copy(update={"dtype": "bf16"})
    other = settings.load()
    tower = other.network.inner.model.visual
    if change == "picture":
        shown.putpixel((3, 3), (255, 0, 255))
    elif change == "mean":
        other.pictures.processor.image_mean = [0.5, 0.5, 0.5]
    elif change == "weights":
        with torch.no_grad():
            next(tower.parameters()).view(-1)[0] += 1e-3
    elif change == "attention":
        tower.config._attn_implementation = "sdpa"
    expected, looks = bits(other, [shown]), counted(other)
    other.network.cache_vision(tmp_path / "vision", MANY)
    assert same(expected, bits(other, [shown]))
    assert looks() == 1


def test_an_unchanged_picture_hits_where_the_others_do_not(demo: QwenVL, picture, tmp_path: Path) -> None:
    for looked in (1, 0):
        model = demo.load()
        looks = counted(model)
        model.network.cache_vision(tmp_path / "vision", MANY)
        bits(model, [picture(seed=1)])
        assert looks() == looked


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "garbage", "folder"])
def test_a_damaged_file_is_noticed_and_made_anew(demo: QwenVL, picture, tmp_path: Path, damage: str) -> None:
    model = demo.load()
    model.network.cache_vision(tmp_path / "vision", MANY)
    expected, looks = bits(model, [picture()]), counted(model)
    (path,) = [path for path in (tmp_path / "vision").rglob("*") if path.is_file()]
    whole = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        flipped = bytes([*whole[:-5], whole[-5] ^ 1, *whole[-4:]])
        path.write_bytes({"cut": whole[:-8], "flipped": flipped, "empty": b"", "garbage": b"x" * 99}[damage])
    assert same(expected, bits(model, [picture()]))
    assert looks() == 1
    if damage != "folder":
        assert path.read_bytes() == whole
        assert same(expected, bits(model, [picture()]))
        assert looks() == 0


def test_no_more_is_kept_than_allowed(demo: QwenVL, picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulcot.backbones.vlm.vision_cache.RECOUNT", 1)
    model = demo.load()
    model.network.cache_vision(tmp_path / "one", MANY)
    shown = [picture(seed=seed) for seed in range(5)]
    expected = bits(model, shown)
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    size = files[0].stat().st_size
    (tmp_path / "two").mkdir()
    shutil.copy(files[0], tmp_path / "two" / "of-another-process")
    model.network.cache_vision(tmp_path / "two", 3.5 * size)
    assert same(expected, bits(model, shown))
    assert sum(path.stat().st_size for path in (tmp_path / "two").rglob("*") if path.is_file()) == 3 * size


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(demo: QwenVL, picture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    model = demo.load()
    expected = bits(model, [picture()])
    model.network.cache_vision(tmp_path / "file", MANY)
    assert same(expected, bits(model, [picture()]))


def test_a_tower_that_learns_gets_its_gradients(demo: QwenVL, pictures: list, tmp_path: Path) -> None:
    model = demo.model_copy(update={"trained": "vision", "lora": None}).load()
    model.network.vision_cache = VisionCache(tmp_path / "vision", model.network.inner.model.visual, MANY)
    sum(part.square().sum() for part in bits(model, pictures)).backward()
    assert all(weight.grad is not None for weight in model.network.inner.model.visual.parameters())
    assert not (tmp_path / "vision").exists()


WORKER = """
import sys, time, torch, numpy as np
from pathlib import Path
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.vision_cache import vision_features
torch.set_num_threads(1)
model = QwenVL(model=sys.argv[1], image_size=56, dtype="fp32").load()
model.network.cache_vision(Path(sys.argv[2]), 2**30)
pixels = torch.from_numpy(np.random.default_rng(0).standard_normal((24 * 16, 1176), dtype=np.float32))
print("ready", flush=True)
while not Path(sys.argv[3]).exists():
    time.sleep(0.001)
for _ in range(3):
    grids, cache = torch.tensor([[1, 4, 4]] * 24), model.network.vision_cache
    seen = vision_features(model.network.inner.model, pixels, grids, cache, batch_invariant=True)
print(float(torch.stack(seen.pooler_output).double().sum()))
"""


@pytest.mark.slow
def test_two_processes_share_a_folder(demo: QwenVL, tmp_path: Path) -> None:
    folder = tmp_path / "vision"
    both = [forked.Fork("-c", WORKER, demo.model, str(folder), str(tmp_path / "go")) for _ in range(2)]
    while not all(each.read("out") == "ready\n" for each in both):
        assert all(each.poll() is None for each in both), [each.read("err") for each in both]
        time.sleep(0.01)
    (tmp_path / "go").touch()
    said = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert said[0] == said[1]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 24
    assert not [path for path in files if path.name.endswith(".part")]
