"""Chains, written for many examples at once behind prefixes that have been read.

A chain is text: of the control tokens only those that end it can be chosen, so it never opens a turn or places a
picture. Chains end one by one: `ChainDecoder` lets others take their slots, and closes the ranks when half are empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import linear

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.prefill import Prefilled
from mulcot.backbones.vlm.sampling import choose, uniform


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that the model wrote."""

    ids: tuple[int, ...]
    """Without the end token."""
    text: str
    complete: bool
    """False where it was cut off at `max_tokens`."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of one chain."""

    row: int
    """The number of the chain, in the order in which they joined."""
    id: int
    end: bool
    """The end token: the chain is complete."""
    chain: Chain | None = None
    """The whole chain, with its last token."""


class ChainDecoder:
    """Chains under way, one token of each at a time. What a chain says does not depend on who else is there."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self._slots: list[_Slot] = []
        self._batch: Prefilled | None = None
        self._chosen_B: Tensor | None = None
        """Tokens that were chosen and not yet read."""
        self._banned_X = torch.empty(0, dtype=torch.long)
        """Control tokens that end nothing."""
        self._begun = 0

    @property
    def live(self) -> int:
        """How many chains have not ended."""
        return sum(not slot.ended for slot in self._slots)

    def join(self, prefilled: Prefilled, keys: Sequence[str] | None = None) -> None:
        """Begins a chain for every example that was read; `keys` decide the samples, by default the examples' ids."""
        self._close_ranks()
        self._read()
        if self._batch is None:
            model = prefilled.model
            banned = [control for control in model.words.controls if control not in model.stops]
            self._banned_X = torch.tensor(banned, dtype=torch.long, device=model.device)
        # The caller's own stays where its prompts end.
        self._batch = prefilled.fork() if self._batch is None else self._batch.join(prefilled)
        for key in prefilled.ids if keys is None else keys:
            self._slots.append(_Slot(self._begun, uniform(key, self.decoding).tolist()))
            self._begun += 1

    def step(self) -> list[Token]:
        """One more token of every chain that has not ended."""
        if 2 * self.live <= len(self._slots):
            self._close_ranks()
        self._read()
        if self._batch is None:
            return []
        numbers = [slot.number() for slot in self._slots]
        uniform_B = torch.tensor(numbers, dtype=torch.float64, device=self._batch.model.device)
        self._chosen_B = choose(_logits(self._batch, self._banned_X), uniform_B, self.decoding)
        pairs = zip(self._slots, self._chosen_B.tolist(), strict=True)
        return [self._add(slot, token, self._batch) for slot, token in pairs if not slot.ended]

    def _add(self, slot: _Slot, token: int, batch: Prefilled) -> Token:
        end = token in batch.model.stops
        if not end:
            slot.ids.append(token)
        slot.ended = end or len(slot.ids) == self.decoding.max_tokens
        chain = Chain(tuple(slot.ids), batch.model.text(slot.ids), end) if slot.ended else None
        return Token(slot.row, token, end, chain)

    def _close_ranks(self) -> None:
        """Those that have ended leave the batch."""
        live = [place for place, slot in enumerate(self._slots) if not slot.ended]
        if len(live) == len(self._slots):
            return
        self._slots = [self._slots[place] for place in live]
        if not live or self._batch is None:
            self._batch = self._chosen_B = None
            return
        self._batch = self._batch.select(live)
        self._chosen_B = None if self._chosen_B is None else self._chosen_B[live]

    def _read(self) -> None:
        """The network reads what was chosen last."""
        if self._batch is not None and self._chosen_B is not None:
            grows = [int(not slot.ended) for slot in self._slots]
            self._batch.read_token(self._chosen_B, torch.tensor(grows, device=self._chosen_B.device))
        self._chosen_B = None


@dataclass(slots=True)
class _Slot:
    row: int
    uniform: list[float]
    ids: list[int] = field(default_factory=list)
    ended: bool = False

    def number(self) -> float:
        """The random number of the next token; of an ended chain any."""
        return self.uniform[min(len(self.ids), len(self.uniform) - 1)]


def stream(prefilled: Prefilled, decoding: Decoding, keys: Sequence[str] | None = None) -> Iterator[Token]:
    """All chains token by token as they come, for a service that shows them; leaving early stops the work."""
    writing = ChainDecoder(decoding)
    with prefilled.model.network.answering():
        writing.join(prefilled, keys)
        while tokens := writing.step():
            yield from tokens


@torch.inference_mode()
def _logits(prefilled: Prefilled, banned_X: Tensor) -> Tensor:
    """What can be chosen from; a head may be wider than the vocabulary, and its rest has no meaning."""
    model = prefilled.model
    logits_BV = linear(prefilled.hidden_BD, model.network.head_VD).float()[:, : model.words.known]
    return logits_BV.index_fill(-1, banned_X, float("-inf"))
