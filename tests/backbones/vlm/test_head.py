from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from mulcot.backbones.vlm.chunked_head import token_logprobs, weighted_loss


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    hidden_TD = torch.randn(13, 6, requires_grad=True)
    head_VD = torch.randn(17, 6, requires_grad=True)
    return hidden_TD, head_VD, torch.randint(0, 17, (13,)), torch.rand(13, 1)


@pytest.mark.parametrize("size", [1, 4, 13, 100])
def test_slices_give_the_loss_and_gradients_of_full_logits(size: int) -> None:
    hidden_TD, head_VD, token_T, weights_T1 = inputs()
    full_T = cross_entropy(linear(hidden_TD, head_VD), token_T, reduction="none")
    expected = 3 * (full_T * weights_T1[:, 0]).sum()
    expected_grads = torch.autograd.grad(expected, [hidden_TD, head_VD])

    def losses(logits_CV: torch.Tensor, part: slice) -> torch.Tensor:
        assert len(logits_CV) <= size, "no more logits than one slice may exist"
        return cross_entropy(logits_CV, token_T[part], reduction="none")[:, None]

    total, losses_T1 = weighted_loss(hidden_TD, head_VD, weights_T1, losses, size)
    torch.testing.assert_close(3 * total, expected)
    torch.testing.assert_close(losses_T1[:, 0], full_T)
    torch.testing.assert_close(torch.autograd.grad(3 * total, [hidden_TD, head_VD]), expected_grads)
    assert not losses_T1.requires_grad


def test_a_frozen_head_gets_no_gradient_and_measuring_takes_none_at_all() -> None:
    hidden_TD, head_VD, token_T, weights_T1 = inputs()

    def losses(logits_CV: torch.Tensor, part: slice) -> torch.Tensor:
        return cross_entropy(logits_CV, token_T[part], reduction="none")[:, None]

    total, _ = weighted_loss(hidden_TD, head_VD.detach(), weights_T1, losses, 4)
    total.backward()
    assert hidden_TD.grad is not None
    assert head_VD.grad is None
    with torch.no_grad():
        again, _ = weighted_loss(hidden_TD, head_VD, weights_T1, losses, 4)
    torch.testing.assert_close(again, total.detach())
    with torch.inference_mode():
        once_more, _ = weighted_loss(hidden_TD, head_VD, weights_T1, losses, 4)
    torch.testing.assert_close(once_more, total.detach())


def test_nothing_to_predict_is_a_loss_of_zero() -> None:
    hidden_TD, head_VD, _, weights_T1 = inputs()
    total, losses_T1 = weighted_loss(hidden_TD[:0], head_VD, weights_T1[:0], lambda *_: torch.zeros(0, 1), 4)
    assert total == 0
    assert losses_T1.shape == (0, 1)
    assert token_logprobs(hidden_TD[:0], head_VD, torch.zeros(0, dtype=torch.long), 4).shape == (0,)


@pytest.mark.parametrize("size", [1, 5, 50])
def test_token_logprobs_equal_those_of_full_logits(size: int) -> None:
    hidden_TD, head_VD, token_T, weights_T1 = inputs()
    full_T = linear(hidden_TD, head_VD).log_softmax(-1).gather(-1, token_T[:, None])[:, 0]
    found_T = token_logprobs(hidden_TD, head_VD, token_T, size)
    torch.testing.assert_close(found_T, full_T)
    weights_T = weights_T1[:, 0]
    expected = torch.autograd.grad((full_T * weights_T).sum(), [hidden_TD, head_VD])
    torch.testing.assert_close(torch.autograd.grad((found_T * weights_T).sum(), [hidden_TD, head_VD]), expected)
