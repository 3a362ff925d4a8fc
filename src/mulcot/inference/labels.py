"""The exact probability of every label: all its tokens and the end token, all labels of an example in one pass.

The labels stand side by side behind the label prompt, blind to each other. Scoring only their first tokens would be
wrong wherever two labels begin alike.

Letters: E examples, Q labels of the label set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mulcot.encoded import Branch
from mulcot.inference.prefill import Prefilled, follow
from mulcot.objectives.joint import label_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

SLICE = 512
"""Target tokens whose logits are made at a time."""


def score_labels(prefilled: Prefilled) -> Tensor:
    """The log-probability of every label, as scores_EQ; their softmax is the distribution over the label set."""
    branches = [_label_branch(example.label) for example in prefilled.examples]
    batch = follow(prefilled.examples, branches, prefilled.model.pad)
    network = prefilled.model.network
    with network.answering(), torch.inference_mode():
        hidden_BSD = prefilled.read(batch)
        return label_scores(hidden_BSD.flatten(0, 1), network.head_VD, batch.to(network.device), SLICE)


def room_for_labels(branches: Sequence[Branch]) -> int:
    """How many tokens scoring adds to a slot for a while."""
    return max(len(branch.prompt) + sum(map(len, branch.choices)) for branch in branches)


def _label_branch(branch: Branch | None) -> Branch:
    if branch is None or not branch.choices:
        raise ValueError("labels can only be scored where the example has a label branch with its choices")
    return branch
