"""Every registered extractor keeps the promises of `Extractor`, with random weights and without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, CLIPVisionModel, ViTModel

from mulcot.errors import MulcotError
from mulcot.extractors import Extractor, extractors, load_extractor
from mulcot.extractors.clip import Clip
from mulcot.extractors.vit import Vit

torch.set_num_threads(1)


def picture(seed: int = 0, size: tuple[int, int] = (50, 40)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (*reversed(size), 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(params=extractors.names())
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Extractor:
    return extractors.get(request.param).demo(tmp_path)


def test_a_picture_has_the_same_features_in_any_batch(settings: Extractor) -> None:
    loaded = settings.load()
    prepared = [loaded.prepare(picture(seed, (40 + seed, 60))) for seed in range(3)]
    together = loaded.extract(prepared)
    for own, found in zip(prepared, together, strict=True):
        assert found.dtype == np.float32 and found.ndim == 2 and found.shape[1] == loaded.width
        np.testing.assert_allclose(loaded.extract([own])[0], found, rtol=1e-4, atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-2), "other pictures, other features"


def test_nothing_of_it_learns_and_loading_again_gives_the_same(settings: Extractor) -> None:
    loaded, again = settings.load(), settings.load()
    assert not any(parameter.requires_grad for parameter in loaded.tower.parameters()) and not loaded.tower.training
    assert loaded.fingerprint() == again.fingerprint()
    prepared = loaded.prepare(picture())
    np.testing.assert_array_equal(loaded.extract([prepared])[0], again.extract([prepared])[0])


def test_its_fingerprint_changes_with_weights_and_preprocessing(
    settings: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = settings.load().fingerprint()
    other = settings.load()
    with torch.no_grad():
        next(other.tower.parameters()).view(-1)[0] += 1e-3
    described = settings.load()
    monkeypatch.setattr(described, "describe", lambda: {"other": "preprocessing"})
    assert len({plain, other.fingerprint(), described.fingerprint()}) == 3


def test_a_store_remembers_enough_to_load_it(settings: Extractor) -> None:
    saved = {"name": settings.name, **settings.model_dump(mode="json")}
    expected = settings.load().fingerprint()
    assert load_extractor(saved, expected=expected).fingerprint() == expected
    with pytest.raises(MulcotError, match=r"has changed: found \w{12}, expected bbbb"):
        load_extractor(saved, expected="b" * 64)


def test_imported_features_have_no_extractor_for_new_pictures() -> None:
    with pytest.raises(MulcotError, match="nothing is known of their extractor"):
        load_extractor({})


@pytest.mark.parametrize(("kind", "model"), [(Vit, ViTModel), (Clip, CLIPVisionModel)])
def test_features_are_all_tokens_of_the_last_layer(tmp_path: Path, kind: type[Vit | Clip], model: type) -> None:
    loaded = kind.demo(tmp_path).load()
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    pixels = processor(images=[picture()], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        wanted = model.from_pretrained(tmp_path)(pixel_values=pixels).last_hidden_state[0]  # type: ignore[attr-defined]
    found = loaded.extract([loaded.prepare(picture())])[0]
    assert found.shape == (10, 16)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_another_architecture_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    Clip.demo(tmp_path)
    with pytest.raises(MulcotError, match="is a 'clip_vision_model' model; this extractor reads 'vit'"):
        Vit(model=str(tmp_path)).load()
    with pytest.raises(MulcotError, match="no extractor at") as caught:
        Vit(model=str(tmp_path / "nothing")).load()
    assert "safetensors" in caught.value.hint


def test_settings_are_read_without_torch() -> None:
    code = "import sys; from mulcot.extractors import extractors; extractors.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
