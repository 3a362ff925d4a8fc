"""The shared part of all answers: everything that is given goes through the network once, in one batch.

    [ system, pictures, post ][ ask for chain ][ ask for label | label 1 | label 2 | ... ]

This is the row of training. What the label branch leaves in the cache is scratch: it is blind to the chain, and the
chain's tokens overwrite it.

Letters: B examples, S tokens of a row, C columns of the cache, D hidden width, A rope axes, E examples, Q labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mulcot.encoded import Branch, Encoded
from mulcot.inference.cache import SlotCache
from mulcot.inference.labels import Labels
from mulcot.objectives.rows import mask, pack

if TYPE_CHECKING:
    from mulcot.backbones.runtime.loaded import LoadedModel


@dataclass
class Prefilled:
    """Examples whose prefixes and chain prompts the network has read: their chains can be written."""

    model: LoadedModel
    ids: list[str]
    cache: SlotCache
    length_B: Tensor
    """Tokens that count, per slot."""
    position_B: Tensor
    """The rope position of the next token, per slot."""
    hidden_BD: Tensor
    """What the next token is predicted from, per slot."""
    axes: int
    scores_EQ: Tensor | None = None
    """The log-probability of every label, where the examples have label branches."""

    @torch.inference_mode()
    def read_token(self, token_B: Tensor, grows_B: Tensor) -> None:
        """Adds one token to every slot that grows; what the others show from then on is meaningless."""
        seen = int(self.length_B.max()) + 1
        column_C = torch.arange(seen, device=self.length_B.device)
        mask_BC = column_C <= self.length_B[:, None]
        positions_AB1 = self.position_B[None, :, None].expand(self.axes, -1, 1)
        self.cache.aim(self.length_B[:, None], seen)
        hidden_B1D: Tensor = self.model.network(
            token_B[:, None], positions_AB1, mask_BC[:, None, None], cache=self.cache
        )
        self.hidden_BD = hidden_B1D[:, 0]
        self.length_B = self.length_B + grows_B
        self.position_B = self.position_B + grows_B

    def select(self, slots: Sequence[int]) -> Prefilled:
        """The given slots in that order; for fewer live chains, or for several chains of one example."""
        index = torch.tensor(slots, device=self.length_B.device)
        return dataclasses.replace(
            self,
            ids=[self.ids[slot] for slot in slots],
            cache=self.cache.select(index),
            length_B=self.length_B[index],
            position_B=self.position_B[index],
            hidden_BD=self.hidden_BD[index],
            scores_EQ=None if self.scores_EQ is None else self.scores_EQ[index],
        )

    def join(self, other: Prefilled) -> Prefilled:
        """The slots of both, for chains alone."""
        return dataclasses.replace(
            self,
            ids=self.ids + other.ids,
            cache=self.cache.join(other.cache),
            length_B=torch.cat([self.length_B, other.length_B]),
            position_B=torch.cat([self.position_B, other.position_B]),
            hidden_BD=torch.cat([self.hidden_BD, other.hidden_BD]),
            scores_EQ=None,
        )


@torch.inference_mode()
def prefill(model: LoadedModel, examples: Sequence[Encoded], tokens: int) -> Prefilled:
    """Reads everything about examples with a chain branch; `tokens` is how long their chains may become.

    Their labels are scored in the same pass, where they all have a label branch.
    """
    prompts = [len(_chain(example).prompt) for example in examples]
    labels = Labels(examples) if all(example.label is not None for example in examples) else None
    bare = [dataclasses.replace(example, chain=Branch(_chain(example).prompt)) for example in examples]
    bare = [dataclasses.replace(example, label=None) for example in bare] if labels is None else labels.folded(bare)
    batch = pack(bare, "shared_prefix", model.pad).to(model.device)
    lengths = [len(example.prefix) + prompt for example, prompt in zip(examples, prompts, strict=True)]
    width = batch.ids_BS.shape[1]
    cache = SlotCache(len(bare), max(width, max(lengths) + tokens))
    cache.aim(torch.arange(width, device=model.device).expand(len(bare), -1), width)
    network = model.network
    length_B = torch.tensor(lengths, device=model.device)
    wanted_BW = length_B[:, None] - 1
    if labels is not None:
        wanted_BW = torch.cat([wanted_BW, labels.sources(batch)], dim=1)
    with network.answering(), network.wanting(wanted_BW):
        hidden_BSD: Tensor = network(
            batch.ids_BS, batch.positions_ABS, mask(batch, "sdpa"), batch.pixels_NF, batch.grids_I3,
            cache=cache, plain=batch.plain,
        )  # fmt: skip
        scores_EQ = None if labels is None else labels.score(hidden_BSD, network.head_VD, batch)
    starts = [example.next_position + prompt for example, prompt in zip(examples, prompts, strict=True)]
    return Prefilled(
        model=model,
        ids=[example.id for example in examples],
        cache=cache,
        length_B=length_B,
        position_B=torch.tensor(starts, device=model.device),
        hidden_BD=hidden_BSD[torch.arange(len(bare), device=model.device), length_B - 1],
        axes=batch.positions_ABS.shape[0],
        scores_EQ=scores_EQ,
    )


def _chain(example: Encoded) -> Branch:
    if example.chain is None:
        raise ValueError("a chain can only be written where the example has a chain branch")
    return example.chain
