"""Proof that a model is read in ordinary causal rows alone."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from mulcot.backbones.vlm.network import Network
from mulcot.backbones.vlm.qwen import LoadedQwen


def refuse_branches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every network stands for one whose attention takes no branch mask, and raises where it is given one.

    Returns a list that grows by the rows of every pass.
    """
    forward, passes = Network.forward, []

    def strict(self: Network, ids_BS: Tensor, positions_ABS: Tensor, mask: Any, *rest: Any, **options: Any) -> Tensor:
        if not isinstance(mask, Tensor) or mask.ndim != 2 or options.get("plain") or self._wanted_BW is not None:
            raise AssertionError("a mask of branches was passed to a model that cannot take one")
        passes.append(len(ids_BS))
        return forward(self, ids_BS, positions_ABS, mask, *rest, **options)

    monkeypatch.setattr(LoadedQwen, "branches", False)
    monkeypatch.setattr(Network, "forward", strict)
    return passes
