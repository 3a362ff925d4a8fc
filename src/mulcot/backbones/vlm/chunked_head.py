"""The language-model head, applied to target tokens only and to a few of them at a time.

A vocabulary of 152 000 makes the full logits of one batch larger than the model. Here a slice of logits is made, its
losses and their gradients are taken, and it is dropped before the next one. Computing the gradient at once needs no
second pass through the head; it is possible because every token's weight in the total is known beforehand.

Letters: T target tokens, C those of one slice, D hidden width, V vocabulary, L kinds of loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

SliceLosses = Callable[[Tensor, slice], Tensor]
"""From the fp32 logits_CV of the target tokens in a slice to their losses_CL."""


def weighted_loss(
    hidden_TD: Tensor, head_VD: Tensor, weights_TL: Tensor, losses: SliceLosses, size: int
) -> tuple[Tensor, Tensor]:
    """The weighted sum of all losses, which can be differentiated, and the losses_TL, which cannot."""
    if not torch.is_grad_enabled():
        hidden_TD, head_VD = hidden_TD.detach(), head_VD.detach()
    total, losses_TL = _Head.apply(hidden_TD, head_VD, weights_TL, losses, size)  # type: ignore[no-untyped-call]
    return total, losses_TL


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_TD: Tensor, head_VD: Tensor, weights_TL: Tensor, losses: SliceLosses, size: int
    ) -> tuple[Tensor, Tensor]:
        needs_hidden, needs_head = ctx.needs_input_grad[:2]
        grad_TD = torch.zeros_like(hidden_TD) if needs_hidden else None
        grad_VD = torch.zeros_like(head_VD, dtype=torch.float32) if needs_head else None
        total = weights_TL.new_zeros((), dtype=torch.float32)
        losses_TL = torch.zeros_like(weights_TL, dtype=torch.float32)
        for start in range(0, len(hidden_TD), size):
            part = slice(start, start + size)
            with torch.enable_grad():
                hidden_CD = hidden_TD[part].detach().requires_grad_(needs_hidden)
                local_VD = head_VD.detach().requires_grad_(needs_head)
                losses_CL = losses(linear(hidden_CD, local_VD).float(), part)
                weighted = (losses_CL * weights_TL[part]).sum()
            if needs_hidden or needs_head:
                wanted = [tensor for tensor in (hidden_CD, local_VD) if tensor.requires_grad]
                grads = list(torch.autograd.grad(weighted, wanted))
                if grad_VD is not None:
                    grad_VD += grads.pop()
                if grad_TD is not None:
                    grad_TD[part] = grads.pop()
            losses_TL[part] = losses_CL.detach()
            total += weighted.detach()
        ctx.head_dtype = head_VD.dtype
        ctx.save_for_backward(grad_TD, grad_VD)
        ctx.mark_non_differentiable(losses_TL)
        return total, losses_TL

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad_TD, grad_VD = ctx.saved_tensors
        scale = upstream[0]
        hidden = None if grad_TD is None else grad_TD * scale.to(grad_TD.dtype)
        head = None if grad_VD is None else (grad_VD * scale).to(ctx.head_dtype)
        return hidden, head, None, None, None


def token_logprobs(hidden_TD: Tensor, head_VD: Tensor, token_T: Tensor, size: int) -> Tensor:
    """The log-probability of every given token, as something that can be combined and differentiated further."""
    parts = []
    for start in range(0, len(hidden_TD), size):
        part = slice(start, start + size)
        parts.append(checkpoint(_logprobs, hidden_TD[part], head_VD, token_T[part], use_reentrant=False))
    return torch.cat(parts) if parts else hidden_TD.new_zeros(0, dtype=torch.float32)


def _logprobs(hidden_CD: Tensor, head_VD: Tensor, token_C: Tensor) -> Tensor:
    logits_CV = linear(hidden_CD, head_VD).float()
    return logits_CV.gather(-1, token_C[:, None])[:, 0] - logits_CV.logsumexp(-1)
