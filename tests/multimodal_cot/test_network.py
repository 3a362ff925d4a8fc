"""The fusion equals the published equations; padding and neighbours change nothing."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mulcot.features import FeatureStore
from mulcot.multimodal_cot import T5Fusion, T5Question
from mulcot.multimodal_cot.model import FusionModel, load_fusion
from mulcot.multimodal_cot.network import Fusion

PICTURES = ((), ("one",), ("two",), ("three", "two"))


def questions(count: int = 4) -> list[T5Question]:
    texts = ["Which flag is blue?", "Why?", "Which of the two flags is blue, left or right?", "A"]
    targets = ["The answer is (A).", "left", "Solution: the right flag is blue.", "B"]
    rows = zip(texts, targets, PICTURES, strict=True)
    return [T5Question(str(n), text, target, keys) for n, (text, target, keys) in enumerate(rows)][:count]


def by_hand(fusion: Fusion, text: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """The equations of the paper for one row, with the projections that the published code has beside them."""
    width = text.shape[-1]
    seen = patches @ fusion.project.weight.T + fusion.project.bias
    weight, bias = fusion.attention.in_proj_weight, fusion.attention.in_proj_bias
    query, key, value = (
        source @ weight[n * width : (n + 1) * width].T + bias[n * width : (n + 1) * width]
        for n, source in enumerate((text, seen, seen))
    )
    looked = torch.softmax(query @ key.T / width**0.5, dim=-1) @ value
    looked = looked @ fusion.attention.out_proj.weight.T + fusion.attention.out_proj.bias
    gate = torch.sigmoid(torch.cat([text, looked], dim=-1) @ fusion.gate.weight.T + fusion.gate.bias)
    return (1 - gate) * text + gate * looked


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 3), tokens=st.integers(1, 6), lengths=st.lists(st.integers(1, 5), min_size=3, max_size=3))
def test_the_fusion_equals_the_equations_on_copied_weights(rows: int, tokens: int, lengths: list[int]) -> None:
    torch.manual_seed(rows * 100 + tokens)
    fusion = Fusion(6, 8)
    published = {"mha": nn.MultiheadAttention(8, num_heads=1, kdim=8, vdim=8, batch_first=True)}
    published["mha"].load_state_dict(fusion.attention.state_dict())  # the published module has the same tensors
    text, patches = torch.randn(rows, tokens, 8), torch.randn(rows, 5, 6)
    there = torch.arange(5)[None] < torch.tensor(lengths[:rows])[:, None]
    with torch.no_grad():
        mixed = fusion(text, patches, there)
        for row in range(rows):
            wanted = by_hand(fusion, text[row], patches[row, : lengths[row]])
            torch.testing.assert_close(mixed[row], wanted, rtol=1e-5, atol=1e-5)


def test_each_row_alone_has_the_encoding_it_has_in_a_batch(model: FusionModel, store: FeatureStore) -> None:
    rows = [model.encode(question) for question in questions()]
    together = model.network.encode(model.pack(rows, store))
    for number, row in enumerate(rows):
        alone = model.network.encode(model.pack([row], store))
        torch.testing.assert_close(together[number, : len(row.input_ids)], alone[0], rtol=1e-4, atol=1e-5)


def test_a_row_without_picture_keeps_the_text_as_it_is(model: FusionModel, store: FeatureStore) -> None:
    batch = model.pack([model.encode(question) for question in questions()], store)
    assert batch.row_P.tolist() == [1, 2, 3] and batch.there_PN.sum(1).tolist() == [4, 7, 11]
    blind = dataclasses.replace(batch, patches_PNF=None)
    seen, unseen = model.network.encode(batch), model.network.encode(blind)
    assert torch.equal(seen[0], unseen[0])
    assert all(not torch.allclose(seen[n], unseen[n]) for n in (1, 2, 3))


def test_a_batch_without_any_picture_has_no_patches_at_all(model: FusionModel, store: FeatureStore) -> None:
    batch = model.pack([model.encode(questions()[0])], store)
    assert batch.patches_PNF is None and batch.there_PN.numel() == 0


def test_published_blank_patches_are_attended_like_any_number_of_zero_patches(
    settings: T5Fusion, store: FeatureStore
) -> None:
    model = load_fusion(settings, features=store, published_blank_patches=True)
    row = model.encode(questions()[0])
    batch = model.pack([row], store)
    many = dataclasses.replace(
        batch, patches_PNF=torch.zeros(1, 145, store.width), there_PN=torch.ones(1, 145, dtype=torch.bool)
    )
    with torch.no_grad():
        one, all_blank = model.network.encode(batch), model.network.encode(many)
        ignored = model.network.encode(dataclasses.replace(batch, patches_PNF=None))
    torch.testing.assert_close(one, all_blank, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(one, ignored)


def test_the_loss_is_the_cross_entropy_of_real_tokens_alone(model: FusionModel, store: FeatureStore) -> None:
    rows = [model.encode(question) for question in questions()]
    total, tokens = model.loss(model.pack(rows, store))
    alone = [model.loss(model.pack([row], store)) for row in rows]
    assert tokens == sum(len(row.target_ids or ()) for row in rows) == sum(number for _, number in alone)
    torch.testing.assert_close(total, torch.stack([loss for loss, _ in alone]).sum(), rtol=1e-5, atol=1e-4)
    batch = model.pack(rows[:1], store)
    reference = model.network.inner(input_ids=batch.input_BS, labels=batch.target_BT).loss
    torch.testing.assert_close(alone[0][0] / alone[0][1], reference, rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_weight_and_equal_those_of_full_logits(settings: T5Fusion, store: FeatureStore) -> None:
    model = load_fusion(settings, features=store, trainable=True)
    batch = model.pack([model.encode(question) for question in questions()], store)
    model.loss(batch)[0].backward()
    grads = {name: p.grad.clone() for name, p in model.network.named_parameters() if p.grad is not None}
    assert grads.keys() == dict(model.network.named_parameters()).keys()
    model.network.zero_grad()
    inner = model.network.inner
    memory = model.network.encode(batch)
    out = inner(encoder_outputs=(memory,), attention_mask=batch.mask_BS, labels=batch.target_BT)
    (out.loss * batch.target_tokens).backward()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_bf16_losses_are_close_and_gradients_finite(
    settings: T5Fusion, store: FeatureStore, model: FusionModel, checkpointing: bool
) -> None:
    own = load_fusion(settings, features=store, trainable=True, dtype="bf16", gradient_checkpointing=checkpointing)
    rows = [own.encode(question) for question in questions()]
    total, _ = own.loss(own.pack(rows, store))
    total.backward()
    assert all(p.dtype == torch.float32 and p.grad is not None for p in own.network.parameters())
    assert all(torch.isfinite(p.grad).all() for p in own.network.parameters() if p.grad is not None)
    exact, _ = model.loss(model.pack(rows, store))
    assert abs(total.item() - exact.item()) < 0.02 * exact.item()
