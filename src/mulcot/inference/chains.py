"""Chains, written for many examples at once behind prefixes that have been read.

A chain is text: of the control tokens only those that end it can be chosen, so it never opens a turn or places a
picture. `stream` yields every token as it comes, for a service that shows them; leaving it early stops the work.
`write` collects them. Rows that have ended leave the batch once they are half of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from mulcot.encoded import Branch
from mulcot.inference.prefill import Prefilled, follow
from mulcot.inference.sampling import choose, uniform
from mulcot.inference.settings import Decoding


@dataclass(frozen=True, slots=True)
class Token:
    """One token of one chain."""

    row: int
    """Index of the example in what was prefilled."""
    id: int
    end: bool
    """The end token: the chain is complete."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that the model wrote."""

    ids: tuple[int, ...]
    """Without the end token."""
    text: str
    complete: bool
    """False where it was cut off at `max_tokens`."""


def write(prefilled: Prefilled, decoding: Decoding, keys: Sequence[str] | None = None) -> list[Chain]:
    """One chain per example. `keys` decide the samples, by default the examples' ids."""
    ids: list[list[int]] = [[] for _ in prefilled.examples]
    complete = [False] * len(ids)
    for token in stream(prefilled, decoding, keys):
        if token.end:
            complete[token.row] = True
        else:
            ids[token.row].append(token.id)
    text = prefilled.model.text
    return [Chain(tuple(own), text(own), done) for own, done in zip(ids, complete, strict=True)]


def stream(prefilled: Prefilled, decoding: Decoding, keys: Sequence[str] | None = None) -> Iterator[Token]:
    """All chains token by token."""
    network, device = prefilled.model.network, prefilled.model.device
    keys = [example.id for example in prefilled.examples] if keys is None else keys
    uniform_BN = torch.stack([uniform(key, decoding) for key in keys]).to(device)
    banned = torch.tensor([i for i in prefilled.model.words.controls if i not in prefilled.model.stops], device=device)
    rows: list[int] = list(range(len(keys)))
    """The row of every slot."""
    ended = [False] * len(rows)
    prefilled = dataclasses.replace(prefilled)  # the caller's own lengths stay where the prefix ends
    with network.answering():
        hidden_BD = _ask(prefilled)
        for step in range(decoding.max_tokens):
            token_B = choose(_logits(prefilled, hidden_BD, banned), uniform_BN[rows, step], decoding)
            ids = token_B.tolist()
            for slot in (slot for slot, row in enumerate(rows) if not ended[row]):
                ended[rows[slot]] = ids[slot] in prefilled.model.stops
                yield Token(rows[slot], ids[slot], ended[rows[slot]])
            live = [slot for slot, row in enumerate(rows) if not ended[row]]
            if not live or step + 1 == decoding.max_tokens:
                return
            if 2 * len(live) <= len(rows):
                prefilled, token_B, rows = prefilled.select(live), token_B[live], [rows[slot] for slot in live]
            hidden_BD = prefilled.read_token(token_B)


def room_for_chain(branches: Sequence[Branch], decoding: Decoding) -> int:
    """How many tokens writing adds to a slot."""
    return max(len(branch.prompt) for branch in branches) + decoding.max_tokens


@torch.inference_mode()
def _ask(prefilled: Prefilled) -> Tensor:
    """Reads every chain prompt behind its prefix; returns the hidden state of each prompt's last token."""
    branches = [example.chain for example in prefilled.examples if example.chain is not None]
    if len(branches) < len(prefilled.examples):
        raise ValueError("a chain can only be written where the example has a chain branch")
    prompts = [Branch(branch.prompt) for branch in branches]
    hidden_BSD = prefilled.read(follow(prefilled.examples, prompts, prefilled.model.pad))
    lengths_B = torch.tensor([len(prompt.prompt) for prompt in prompts], device=hidden_BSD.device)
    prefilled.advance(lengths_B)
    return hidden_BSD[torch.arange(len(prompts), device=hidden_BSD.device), lengths_B - 1]


@torch.inference_mode()
def _logits(prefilled: Prefilled, hidden_BD: Tensor, banned: Tensor) -> Tensor:
    """What can be chosen from; a head may be wider than the vocabulary, and its rest has no meaning."""
    logits_BV = linear(hidden_BD, prefilled.model.network.head_VD).float()
    return logits_BV[:, : prefilled.model.words.known].index_fill(-1, banned, float("-inf"))
