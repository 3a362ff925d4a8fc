"""The last layer where it is wanted: the same hidden states, and the same keys and values for who comes later."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from mulcot.backbones.qwen_vl import QwenVL
from mulcot.backbones.vlm.cache import SlotCache


def test_wanted_places_are_as_in_a_whole_pass_and_leave_the_same_cache(settings: QwenVL) -> None:
    network = settings.load(trainable=False).network
    torch.manual_seed(0)
    ids_BS, positions_ABS = torch.randint(0, 300, (2, 12)), torch.arange(12).expand(3, 2, 12)
    mask_B1SS = torch.ones(2, 1, 12, 12).tril().bool()
    mask_B1SS[0, :, 9:, 7:9] = False
    wanted_BW = torch.tensor([[11, 7, 11], [5, 8, 10]])
    rows = torch.arange(2)[:, None]
    for causal_prefix in (0, 5):
        found, caches = [], []
        for wanted in (None, wanted_BW):
            cache = SlotCache(2, 12)
            cache.aim(torch.arange(12).expand(2, -1), 12)
            with torch.inference_mode(), nullcontext() if wanted is None else network.only_positions(wanted):
                hidden_BSD = network(ids_BS, positions_ABS, mask_B1SS, cache=cache, causal_prefix=causal_prefix)
            found.append(hidden_BSD[rows, wanted_BW])
            caches.append([*cache._keys, *cache._values])
        torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(caches[1], caches[0], rtol=1e-4, atol=1e-5)


def test_the_layer_does_all_its_work_again_afterwards(demo: QwenVL) -> None:
    network = demo.load(trainable=False).network
    ids_BS, positions_ABS = torch.arange(6)[None], torch.arange(6).expand(3, 1, 6)
    mask_B1SS = torch.ones(1, 1, 6, 6).tril().bool()
    with torch.inference_mode():
        before = network(ids_BS, positions_ABS, mask_B1SS)
        with network.only_positions(torch.tensor([[2]])):
            part = network(ids_BS, positions_ABS, mask_B1SS)
        after = network(ids_BS, positions_ABS, mask_B1SS)
    assert torch.equal(before, after)
    assert not part[0, 3:5].abs().gt(1e-3).any()
    torch.testing.assert_close(part[0, 2], before[0, 2], rtol=1e-4, atol=1e-5)
