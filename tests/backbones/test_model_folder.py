from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mulcot.backbones import load_folder, saved_backbone
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.errors import MulcotError


def trained(settings: QwenVL, folder: Path) -> Path:
    model = settings.load()
    with torch.no_grad():
        for parameter in model.network.parameters():
            if parameter.requires_grad:
                parameter += 0.01
    model.save(folder)
    return folder


def test_an_adapter_comes_back_with_its_settings(demo: QwenVL, tmp_path: Path) -> None:
    folder = trained(demo, tmp_path / "adapter")
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "backbone.json", "preprocess.json",
    }  # fmt: skip
    assert saved_backbone(folder) == demo
    weights = load_file(folder / "adapter_model.safetensors")
    loaded = dict(load_folder(folder).network.model.named_parameters())
    for name, saved in weights.items():
        assert torch.equal(loaded[name.replace(".weight", ".default.weight")], saved), name


def test_an_adapter_can_be_trained_further(demo: QwenVL, tmp_path: Path) -> None:
    folder = trained(demo, tmp_path / "adapter")
    again = load_folder(folder, trainable=True)
    assert any(parameter.requires_grad for parameter in again.network.parameters())
    assert again.network.training


def test_a_fully_trained_model_is_a_folder_of_its_own(demo: QwenVL, tmp_path: Path) -> None:
    folder = trained(demo.model_copy(update={"lora": None}), tmp_path / "whole")
    for path in Path(demo.model).iterdir():
        path.unlink()
    assert not list(folder.glob("*.bin"))
    again = load_folder(folder)
    norm = again.network.inner.model.language_model.norm.weight
    torch.testing.assert_close(norm, torch.full_like(norm, 1.01))


@pytest.mark.parametrize("change", [{"image_size": 84}, {"image_size": None}])
def test_differently_prepared_pictures_are_refused(demo: QwenVL, tmp_path: Path, change: dict[str, int]) -> None:
    folder = trained(demo, tmp_path / "adapter")
    with pytest.raises(MulcotError, match="another preprocessing: pictures"):
        demo.model_copy(update=change).load(adapter=folder)


def test_another_tokenizer_or_template_is_refused(demo: QwenVL, tmp_path: Path) -> None:
    folder = trained(demo, tmp_path / "adapter")
    path = folder / "preprocess.json"
    saved = json.loads(path.read_text())
    for key in ("tokenizer", "template"):
        path.write_text(json.dumps({**saved, key: "other"}))
        with pytest.raises(MulcotError, match=f"another preprocessing: {key}"):
            load_folder(folder)
    path.unlink()
    with pytest.raises(MulcotError, match=r"has no preprocess\.json"):
        load_folder(folder)
