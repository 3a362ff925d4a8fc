"""How the fused T5 learns: questions as a source, and one cross entropy over the target tokens as the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mulcot.features.store import FeatureStore
from mulcot.multimodal_cot.batch import FusionBatch
from mulcot.multimodal_cot.model import FusionModel
from mulcot.multimodal_cot.questions import EncodedQuestion, T5Question
from mulcot.multimodal_cot.runner import pack_known
from mulcot.training.learner import Learned, Packed


class Questions:
    """A `Source` for the training loop."""

    def __init__(self, model: FusionModel, questions: Sequence[T5Question]) -> None:
        self.model = model
        self.questions = list(questions)

    def __len__(self) -> int:
        return len(self.questions)

    def length(self, index: int) -> int:
        """Characters: cheap, and all that grouping needs."""
        question = self.questions[index]
        return len(question.source) + len(question.target or "")

    def encoded(self, index: int) -> EncodedQuestion:
        """See `Source`."""
        return self.model.encode(self.questions[index])

    def cut(self) -> dict[str, int]:
        """How many sources and targets are longer than the model's limits."""
        encoded = [self.encoded(index) for index in range(len(self))]
        return {"cut_sources": sum(e.cut for e in encoded), "cut_targets": sum(e.target_cut for e in encoded)}


class FusionLoss(nn.Module):
    """The network and its loss: the mean over all target tokens of an optimizer step; padding counts nothing."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: FusionBatch, tokens: int) -> tuple[Tensor, Tensor]:
        """The share of the batch in the mean of the whole step, and its own sum."""
        total: Tensor = self.network(batch)
        return total / tokens, total


class FusionLearner:
    """Learns to write the targets of questions."""

    tasks = ("text",)
    curves: Mapping[str, str] = {"text": "text"}

    def __init__(self, model: FusionModel, source: Questions, features: FeatureStore | None) -> None:
        self.model = model
        self.source = source
        self.features = features
        self.saves_frozen = model.settings.lora is None

    @property
    def network(self) -> nn.Module:
        """See `Learner`."""
        return self.model.network

    def module(self) -> nn.Module:
        """See `Learner`."""
        return FusionLoss(self.model.network)

    def layers(self) -> Sequence[nn.Module]:
        """None: it is spread as a whole."""
        return ()

    def pack(self, portion: Sequence[EncodedQuestion]) -> Packed:
        """See `Learner`."""
        batch = pack_known(self.model, portion, self.features)
        return Packed(batch, {"text": batch.target_tokens, "examples": len(portion)})

    def learn(
        self, module: nn.Module, portion: object, batch: FusionBatch, counts: Mapping[str, int], device: torch.device
    ) -> Learned:
        """See `Learner`."""
        total, summed = module(batch, counts["text"])
        return Learned(total, {"text": summed})

    def save(self, folder: Path, weights: dict[str, Tensor] | None) -> None:
        """See `Learner`."""
        if weights is not None:
            weights = {name.removeprefix("network."): weight for name, weight in weights.items()}
        self.model.save(folder, weights)
