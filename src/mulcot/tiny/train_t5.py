"""How the tiny T5 learns: to write what lessons ask for, while linear heads ask its fused encoder for facts.

A head asks at the words that its question is about: how many at `apples`, where at `house`, which letter at the words
of a choice. The heads are dropped afterwards. So the facts are at hand wherever they are needed, in a form that few
examples suffice to learn from.

T5 tells neighbours apart by what it adds to attention for a distance. Those few numbers have to grow from nothing to
six or more, which steps that suit the other weights do not reach; so they take larger ones.

Letters: B rows, P those with pictures, S source tokens, N patches, F values of a patch, D width, K tokens with a fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mulcot.extractors.runtime.loaded import LoadedExtractor
from mulcot.multimodal_cot.batch import FusionBatch, pack
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.network import Fusion
from mulcot.multimodal_cot.questions import EncodedQuestion, T5Question
from mulcot.progress import Reporter
from mulcot.tiny.sizes import TrainingStage
from mulcot.tiny.t5_examples import FACTS, POINTED, BoardLesson, board_lesson
from mulcot.tiny.train_steps import train_steps
from mulcot.world.boards import paint_board
from mulcot.world.science_vocabulary import CELLS

LEAST = 1e-6


class BoardPatches:
    """Patches of boards, where a batch expects a feature store."""

    def __init__(self, extractor: LoadedExtractor, lessons: Sequence[BoardLesson]) -> None:
        boards = {str(number): one.question.board for number, one in enumerate(lessons) if one.question.board}
        prepared = [extractor.prepare(paint_board(board)) for board in boards.values()]
        self.patches = dict(zip(boards, extractor.extract(prepared) if prepared else (), strict=True))

    def get(self, key: str) -> Any:
        """The patches of one picture."""
        return self.patches[key]


def pack_lessons(
    model: FusionModel, extractor: LoadedExtractor, lessons: Sequence[BoardLesson], *, taught: bool = True
) -> tuple[FusionBatch, list[EncodedQuestion]]:
    """Lessons as a batch, and its rows."""
    gallery: Any = BoardPatches(extractor, lessons)
    rows = []
    for number, one in enumerate(lessons):
        pictures = (str(number),) if one.question.board else ()
        rows.append(model.encode(T5Question(str(number), one.source, one.target if taught else None, pictures)))
    return pack(rows, model.pad, gallery), rows


def learn_boards(
    model: FusionModel, extractor: LoadedExtractor, stage: TrainingStage, seed: int, reporter: Reporter
) -> None:
    """Trains the T5 and its fusion layer."""
    fusion = model.network.fusion
    if fusion is None:
        raise ValueError("only a fused model can look at boards")
    asking = Asking(model.network.inner.config.d_model, model.network.inner.decoder, fusion)
    named = dict(model.network.named_parameters())
    distances = [name for name in named if "relative_attention_bias" in name]
    far = [named.pop(name) for name in distances]

    def loss(step: int) -> Tensor:
        lessons = [board_lesson(seed, step * stage.batch + number) for number in range(stage.batch)]
        batch, _ = pack_lessons(model, extractor, lessons)
        total, tokens = model.loss(batch)
        return total / tokens + asking.loss(model, lessons, batch)

    train_steps(loss, [*named.values(), *asking.parameters()], stage, reporter, "reading boards", far=far)
    asking.leave()


class Asking(nn.Module):
    """One linear head per question about words, on what the decoder is handed; and where the fusion layer looks."""

    def __init__(self, width: int, decoder: nn.Module, fusion: Fusion) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(values)) for name, values in FACTS.items()})
        self.taken: tuple[Tensor, ...] = ()
        self.handed_BSD = torch.empty(0)
        self._fusion = [fusion]  # in a list, so that its weights are not taken for the heads'
        self._hooks = [
            fusion.register_forward_pre_hook(self._see),
            decoder.register_forward_pre_hook(self._hear, with_kwargs=True),
        ]

    def _see(self, fusion: nn.Module, taken: tuple[Tensor, ...]) -> None:
        self.taken = taken

    def _hear(self, decoder: nn.Module, positional: Any, named: dict[str, Any]) -> None:
        self.handed_BSD = named["encoder_hidden_states"]

    def loss(self, model: FusionModel, lessons: Sequence[BoardLesson], batch: FusionBatch) -> Tensor:
        """The mean over all questions that the words and pictures of a batch answer."""
        losses = []
        right, where_BSN = facts_of(model, lessons, batch)
        for name, right_BS in right.items():
            known_BS = right_BS >= 0
            if known_BS.any():
                losses.append(cross_entropy(self.heads[name](self.handed_BSD[known_BS]), right_BS[known_BS]))
        where_PSN = where_BSN[batch.row_P]
        known_PS = where_PSN.sum(-1) > 0
        if known_PS.any():
            attended_KN, where_KN = self._attended()[known_PS], where_PSN[known_PS]
            losses.append((where_KN * (where_KN.clamp_min(LEAST) / attended_KN.clamp_min(LEAST)).log()).sum(-1).mean())
        return torch.stack(losses).mean()

    def _attended(self) -> Tensor:
        """How much every token looks at every patch."""
        text_PSD, patches_PNF, there_PN = self.taken
        (fusion,) = self._fusion
        seen_PND = fusion.project(patches_PNF)
        attended: Tensor = fusion.attention(text_PSD, seen_PND, seen_PND, key_padding_mask=~there_PN)[1]
        return attended

    def leave(self) -> None:
        """Takes the heads off the model."""
        for hook in self._hooks:
            hook.remove()


def facts_of(
    model: FusionModel, lessons: Sequence[BoardLesson], batch: FusionBatch
) -> tuple[dict[str, Tensor], Tensor]:
    """For every question the right choice at every token it is about, -1 elsewhere; and where such a token should look,
    as shares that add up to 1, or zeros.
    """
    right = {name: torch.full(batch.input_BS.shape, -1) for name in FACTS}
    where_BSN = torch.zeros(*batch.input_BS.shape, len(CELLS))
    for row, one in enumerate(lessons):
        _, places = model.reader.located(one.source)
        ends = [*places[1:], len(one.source)]
        for fact in one.facts:
            tokens = [n for n, place in enumerate(places) if ends[n] > fact.begin and place < fact.end]
            right[fact.name][row, tokens] = fact.value
            if fact.cells is not None:
                shares_N = torch.ones(len(CELLS))
                shares_N[list(fact.cells)] = POINTED[fact.name]
                where_BSN[row, tokens] = shares_N / shares_N.sum()
    return right, where_BSN
