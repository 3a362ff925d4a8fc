"""One example as a model sees it: token ids in segments, rope positions, pictures as patches. Plain arrays, no torch.

    [prefix: system, pictures, post] --> [chain: prompt, target]
                                     --> [label: prompt, target]

A backbone makes it, an objective packs several of them into a batch, inference continues it. The prefix is tokenised on
its own, so it is the same for both branches, in training and in inference, by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Ids = tuple[int, ...]
Layout = Literal["shared_prefix", "two_rows"]
"""One row per example whose branches share the prefix, or an ordinary causal row for every path through it."""


@dataclass(frozen=True, slots=True)
class Branch:
    """What follows the prefix: the question that is asked of it and the answer."""

    prompt: Ids
    """Never empty: it ends by opening the model's turn."""
    target: Ids = ()
    """The answer with its end token; empty where the model is to find it."""
    choices: tuple[Ids, ...] = ()
    """Every label of the label set as a target; only where their scores are wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One example. Letters: A rope axes, P prefix tokens, N picture patches, F values of a patch."""

    id: str
    prefix: Ids
    positions_AP: npt.NDArray[np.int64]
    next_position: int
    """Where both branches begin, on every rope axis."""
    chain: Branch | None = None
    label: Branch | None = None
    pixels_NF: npt.NDArray[np.float32] | None = None
    grids: tuple[tuple[int, int, int], ...] = ()
    """Time, height and width of every picture, in patches."""

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches that exist, the chain first."""
        return tuple(branch for branch in (self.chain, self.label) if branch is not None)

    @property
    def tokens(self) -> int:
        """How many tokens there are, the shared prefix counted once."""
        return len(self.prefix) + sum(len(branch.prompt) + len(branch.target) for branch in self.branches)
