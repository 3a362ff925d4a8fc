from __future__ import annotations

import pytest
import torch

from mulcot.backbones import Lora
from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.trainable_weights import trainable
from mulcot.errors import MulcotError


def learning(settings: QwenVL, **changes: object) -> set[str]:
    network = settings.model_copy(update=changes).load().network
    return {name for name, parameter in network.inner.named_parameters() if parameter.requires_grad}


def test_language_adapters_leave_the_vision_tower_alone(settings: QwenVL) -> None:
    names = learning(settings)
    assert names
    assert all("lora_" in name and "language_model" in name for name in names)
    assert settings.lora is not None
    reached = {name.split(".")[-4] for name in names if name.endswith("lora_A.default.weight")}
    assert reached == set(settings.lora.modules)


def test_both_reaches_the_feed_forward_layers_of_the_tower_as_the_published_code_does(demo: QwenVL) -> None:
    vision = {name for name in learning(demo, trained="both") if "visual" in name}
    assert vision
    assert all(".mlp." in name and "merger" not in name for name in vision)


def test_modules_can_be_named_down_to_one_layer(demo: QwenVL) -> None:
    names = learning(demo, trained="vision", lora=Lora(modules=("blocks.1.attn.qkv",)))
    assert names == {f"model.visual.blocks.1.attn.qkv.lora_{half}.default.weight" for half in "AB"}


def test_a_module_that_is_not_there_is_refused_with_those_that_are(demo: QwenVL) -> None:
    with pytest.raises(MulcotError, match="no linear layer in the vision part ends in 'q_proj'") as caught:
        learning(demo, trained="vision")
    assert "qkv" in caught.value.hint


def test_without_adapters_the_chosen_part_learns_itself(demo: QwenVL) -> None:
    everything = learning(demo, trained="both", lora=None)
    language, vision = learning(demo, lora=None), learning(demo, trained="vision", lora=None)
    assert language | vision == everything
    assert not language & vision
    assert "model.language_model.embed_tokens.weight" in language
    assert "model.visual.merger.mlp.0.weight" in vision


def test_adapters_stay_in_fp32_above_bf16_weights(demo: QwenVL) -> None:
    network = demo.model_copy(update={"dtype": "bf16"}).load().network
    assert {parameter.dtype for parameter in trainable(network)} == {torch.float32}
    assert network.head_VD.dtype == torch.bfloat16


def test_a_model_to_answer_with_has_nothing_to_learn(demo: QwenVL) -> None:
    model = demo.load(trainable=False)
    assert trainable(model.network) == []
    assert not model.network.training


def test_merged_adapters_answer_the_same(settings: QwenVL) -> None:
    network = settings.load().network.eval()
    torch.manual_seed(0)
    for name, weight in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    ids_BS, positions_ABS = torch.randint(0, 300, (2, 9)), torch.arange(9).expand(3, 2, 9)
    with torch.inference_mode():
        before = network(ids_BS, positions_ABS, torch.ones_like(ids_BS).bool())
        network.merge()
        after = network(ids_BS, positions_ABS, torch.ones_like(ids_BS).bool())
    assert not [name for name, _ in network.named_parameters() if "lora" in name]
    assert not any(weight.requires_grad for weight in network.parameters())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_adapters_stay_apart_where_merging_would_round(demo: QwenVL) -> None:
    network = demo.model_copy(update={"dtype": "bf16"}).load().network
    network.merge()
    assert [name for name, _ in network.named_parameters() if "lora" in name]
