from __future__ import annotations

import torch

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.prefix_attention import NAME


def test_trunk_and_branches_apart_equal_one_call_with_the_mask(settings: QwenVL) -> None:
    model = settings.model_copy(update={"lora": None}).load()
    network = model.network.eval()
    assert network.inner.config.get_text_config()._attn_implementation == NAME
    torch.manual_seed(0)
    ids_BS = torch.randint(0, 300, (2, 12))
    positions_ABS = torch.arange(12).expand(3, 2, 12)
    mask_B1SS = torch.ones(2, 1, 12, 12).tril().bool()
    mask_B1SS[0, :, 9:, 7:9] = False
    mask_B1SS[1, :, 8:, 6:8] = False
    results = []
    for causal_prefix in (0, 1, 6):
        network.zero_grad()
        hidden_BSD = network(ids_BS, positions_ABS, mask_B1SS, causal_prefix=causal_prefix)
        (hidden_BSD * torch.linspace(-1, 1, hidden_BSD.numel()).view_as(hidden_BSD)).sum().backward()
        results.append((hidden_BSD.detach(), [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    for hidden_BSD, grads in results[1:]:
        torch.testing.assert_close(hidden_BSD, results[0][0], rtol=1e-4, atol=1e-5)
        for grad, expected in zip(grads, results[0][1], strict=True):
            assert (grad - expected).norm() <= 1e-4 * expected.norm() + 1e-6


def test_the_mask_decides_behind_the_trunk(demo: QwenVL) -> None:
    network = demo.load(trainable=False).network
    ids_BS, positions_ABS = torch.arange(8)[None], torch.arange(8).expand(3, 1, 8)
    causal = torch.ones(1, 1, 8, 8).tril().bool()
    blind = causal.clone()
    blind[..., 5:, 4] = False
    with torch.no_grad():
        seen, unseen = (network(ids_BS, positions_ABS, mask, causal_prefix=4) for mask in (causal, blind))
    assert torch.allclose(seen[:, :5], unseen[:, :5], atol=1e-5)
    assert not torch.allclose(seen[:, 5:], unseen[:, 5:], atol=1e-3)
