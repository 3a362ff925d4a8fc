"""What the fused T5 writes and what it thinks of given texts. The encoder runs once per row.

Letters: B rows, S source tokens, K choices of all rows, T target tokens, D hidden width, N new tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import EncoderDecoderCache

from mulcot.backbones.vlm.decoding_settings import Decoding
from mulcot.backbones.vlm.sampling import choose, uniform
from mulcot.multimodal_cot.batch import FusionBatch
from mulcot.multimodal_cot.network import FusionNetwork
from mulcot.multimodal_cot.questions import Ids


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text that the model wrote."""

    text: str
    tokens: Ids
    """Without the end token."""
    complete: bool
    """False where it was cut off at `max_tokens`."""
    shortened: bool = False
    """The question was longer than the model reads."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What may be written."""

    start: int
    end: int
    banned: tuple[int, ...]
    """Control tokens that no target has: all but the end and the one for unknown characters."""
    known: int
    """Ids from here on mean nothing; a head may be wider than the vocabulary."""


@torch.inference_mode()
def score_choices(network: FusionNetwork, batch: FusionBatch, choices: Sequence[Sequence[Ids]]) -> list[list[float]]:
    """The log-probability of every choice of every row, over all its tokens."""
    flat = [ids for row in choices for ids in row]
    if not flat:
        return [[] for _ in choices]
    row_K = torch.tensor([number for number, row in enumerate(choices) for _ in row], device=network.device)
    length_K = torch.tensor([len(ids) for ids in flat], device=network.device)
    target_KT = torch.zeros(len(flat), int(length_K.max()), dtype=torch.long)
    for number, ids in enumerate(flat):
        target_KT[number, : len(ids)] = torch.tensor(ids)
    target_KT = target_KT.to(network.device)
    with network.precision():
        memory_BSD = network.encode(batch)
        start_K1 = torch.full_like(target_KT[:, :1], network.inner.config.decoder_start_token_id)
        input_KT = torch.cat([start_K1, target_KT[:, :-1]], dim=1)
        hidden_KTD = network.decode(input_KT, memory_BSD[row_K], batch.mask_BS[row_K])
        real_KT = torch.arange(target_KT.shape[1], device=network.device)[None] < length_K[:, None]
        logits_CV = network.logits(hidden_KTD[real_KT])
    chosen_C = logits_CV.gather(-1, target_KT[real_KT][:, None])[:, 0] - logits_CV.logsumexp(-1)
    scores = iter(torch.zeros_like(target_KT, dtype=torch.float32).masked_scatter(real_KT, chosen_C).sum(-1).tolist())
    return [[next(scores) for _ in row] for row in choices]


def write(
    network: FusionNetwork, batch: FusionBatch, decoding: Decoding, vocabulary: Vocabulary, keys: Sequence[str]
) -> list[tuple[list[int], bool]]:
    """The tokens of one text per row, and whether it ended by itself. `keys` decide what is sampled."""
    ids: list[list[int]] = [[] for _ in keys]
    complete = [False] * len(keys)
    for row, token in stream_tokens(network, batch, decoding, vocabulary, keys):
        if token is None:
            complete[row] = True
        else:
            ids[row].append(token)
    return list(zip(ids, complete, strict=True))


@torch.inference_mode()
def stream_tokens(
    network: FusionNetwork, batch: FusionBatch, decoding: Decoding, vocabulary: Vocabulary, keys: Sequence[str]
) -> Iterator[tuple[int, int | None]]:
    """`write`, token by token: (row, token), and (row, None) where a text ends by itself."""
    uniform_BN = torch.stack([uniform(key, decoding) for key in keys]).to(network.device)
    rows = list(range(len(keys)))
    """The row of every slot."""
    over: set[int] = set()
    banned = torch.tensor(vocabulary.banned, dtype=torch.long, device=network.device)
    mask_BS = batch.mask_BS
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    token_B = torch.full((len(rows),), vocabulary.start, device=network.device)
    with network.precision():
        memory_BSD = network.encode(batch)
    for step in range(decoding.max_tokens):
        # Never left open while others work between two tokens.
        with network.precision():
            hidden_B1D = network.decode(token_B[:, None], memory_BSD, mask_BS, cache)
            logits_BV = _allowed(network.logits(hidden_B1D[:, -1]), banned, vocabulary.known)
        token_B = choose(logits_BV, uniform_BN[rows, step], decoding)
        for row, token in zip(rows, token_B.tolist(), strict=True):
            if row not in over:
                over |= {row} if token == vocabulary.end else set()
                yield row, None if row in over else token
        live = [slot for slot, row in enumerate(rows) if row not in over]
        if not live:
            return
        if 2 * len(live) <= len(rows):
            slots = torch.tensor(live, device=network.device)
            memory_BSD, mask_BS, token_B = memory_BSD[slots], mask_BS[slots], token_B[slots]
            cache.batch_select_indices(slots)
            rows = [rows[slot] for slot in live]


def _allowed(logits_BV: Tensor, banned: Tensor, known: int) -> Tensor:
    return logits_BV[:, :known].index_fill(-1, banned, float("-inf"))
