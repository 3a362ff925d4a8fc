"""A fused T5 is saved and comes back equal; features it was not trained with are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mulcot.backbones.base import Lora
from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.errors import DataError, MulcotError
from mulcot.features import FeatureStore
from mulcot.multimodal_cot import T5Fusion, T5Question, saved_fusion
from mulcot.multimodal_cot.model import FusionModel, load_fusion

QUESTION = T5Question("a", "Which flag is blue?", "left", ("one",))


def disturb(model: FusionModel) -> None:
    """As if it had learned: every weight that can learn is another one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)


def loss_of(model: FusionModel, store: FeatureStore | None) -> float:
    model.network.eval()
    with torch.no_grad():
        return model.loss(model.pack([model.encode(QUESTION)], store))[0].item()


@pytest.mark.parametrize("lora", [None, Lora(rank=2, modules=("q", "v", "wo"))])
@pytest.mark.parametrize("tied", [True, False])
def test_a_trained_model_comes_back_equal(
    tmp_path: Path, store: FeatureStore, t5_writer: Callable[..., Path], lora: Lora | None, tied: bool
) -> None:
    base = t5_writer(tmp_path / "base", tied=tied)
    model = load_fusion(T5Fusion(model=str(base), dtype="fp32", lora=lora), trainable=True, features=store)
    before = loss_of(model, store)
    disturb(model)
    model.save(tmp_path / "model")
    again = load_fusion(tmp_path / "model")
    assert loss_of(again, store) == pytest.approx(loss_of(model, store), abs=1e-6) != before
    assert not any(parameter.requires_grad for parameter in again.network.parameters())
    assert not list((tmp_path / "model").glob("*.bin")) and (tmp_path / "model" / "fusion.safetensors").is_file()
    further = load_fusion(tmp_path / "model", trainable=True)
    assert sum(p.requires_grad for p in further.network.parameters()) == sum(
        p.requires_grad for p in model.network.parameters()
    )


def test_adapters_leave_the_t5_frozen_and_the_fusion_learning(settings: T5Fusion, store: FeatureStore) -> None:
    model = load_fusion(settings, trainable=True, features=store, lora=Lora(rank=2, modules=("q", "v")))
    learning = {name for name, p in model.network.named_parameters() if p.requires_grad}
    assert all(".lora_" in name or name.startswith("fusion.") for name in learning)
    assert {name.partition(".")[0] for name in learning} == {"t5", "fusion"}


def test_an_unknown_adapter_place_is_told_with_those_there_are(settings: T5Fusion) -> None:
    with pytest.raises(MulcotError, match="no linear layer ends in 'q_proj'") as caught:
        load_fusion(settings, trainable=True, lora=Lora(modules=("q_proj",)))
    assert "wi_0" in caught.value.hint


def test_a_text_only_model_has_no_fusion_and_passes_pictures_over(settings: T5Fusion, store: FeatureStore) -> None:
    model = load_fusion(settings)
    assert model.network.fusion is None
    batch = model.pack([model.encode(QUESTION)], store)
    assert batch.patches_PNF is None and model.generate(batch, Decoding(max_tokens=3))


def test_features_of_another_extractor_are_refused(
    tmp_path: Path, model: FusionModel, store_maker: Callable[..., FeatureStore]
) -> None:
    other = store_maker(tmp_path / "other", extractor_hash="f" * 64)
    with pytest.raises(DataError, match=r"another extractor: found ffff.*expected eeee"):
        model.pack([model.encode(QUESTION)], other)
    model.save(tmp_path / "model")
    with pytest.raises(DataError, match="another extractor"):
        load_fusion(tmp_path / "model", features=other)


def test_questions_with_pictures_need_features(model: FusionModel) -> None:
    with pytest.raises(MulcotError, match="have pictures, but no features"):
        model.pack([model.encode(QUESTION)], None)


def test_a_missing_feature_row_names_the_picture(model: FusionModel, store: FeatureStore) -> None:
    with pytest.raises(DataError, match="no features of the picture 'four'"):
        model.pack([model.encode(T5Question("a", "Why?", None, ("one", "four")))], store)


def test_another_tokenizer_is_noticed(tmp_path: Path, model: FusionModel) -> None:
    model.save(tmp_path)
    path = tmp_path / "preprocess.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokenizer": "other"}))
    with pytest.raises(MulcotError, match="another tokenizer"):
        load_fusion(tmp_path)


@pytest.mark.parametrize("gone", ["fusion.json", "fusion.safetensors", "preprocess.json", "model.safetensors"])
@pytest.mark.parametrize("damaged", [True, False])
def test_a_damaged_folder_is_an_error_with_a_hint(tmp_path: Path, model: FusionModel, gone: str, damaged: bool) -> None:
    model.save(tmp_path)
    if damaged:
        (tmp_path / gone).write_text("{")
    else:
        (tmp_path / gone).unlink()
    with pytest.raises(MulcotError) as caught:
        load_fusion(tmp_path)
    assert str(tmp_path) in caught.value.message and caught.value.hint


def test_what_is_no_t5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MulcotError, match="'bert' model; this backbone reads 't5'"):
        load_fusion(T5Fusion(model=str(tmp_path)))
    with pytest.raises(MulcotError, match="no model at"):
        load_fusion(T5Fusion(model=str(tmp_path / "nothing")))


def test_a_pickled_checkpoint_is_not_opened(tmp_path: Path, t5_writer: Callable[..., Path]) -> None:
    folder = t5_writer(tmp_path / "t5")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(MulcotError, match="cannot be read") as caught:
        load_fusion(T5Fusion(model=str(folder)))
    assert "safetensors" in caught.value.hint


def test_the_tiny_t5_is_the_same_for_every_seed_and_comes_back(tmp_path: Path) -> None:
    settings = T5Fusion(model="tiny", dtype="fp32")
    one, same, other = (load_fusion(settings, seed=seed) for seed in (1, 1, 2))
    weights = [next(iter(model.network.parameters())) for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])
    assert one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    one.save(tmp_path)
    assert saved_fusion(tmp_path) == (settings, None)
    assert loss_of(load_fusion(tmp_path), None) == pytest.approx(loss_of(one, None), abs=1e-6)
