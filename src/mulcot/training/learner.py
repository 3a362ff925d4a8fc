"""What the loop trains, whatever it is: a network with its loss, and the examples it learns from.

`JointLearner` learns chain and label together (MulCoT-RD); the stages of Multimodal-CoT bring one of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mulcot.backbones.vlm.encoded import Encoded
from mulcot.backbones.vlm.loaded import LoadedModel
from mulcot.backbones.vlm.packing import Batch, Counts, pack
from mulcot.objectives.settings import DistillationObjective, JointObjective
from mulcot.objectives.total_loss import BatchSoftTargets, Joint


class Source(Protocol):
    """What is learned from, by index. Reading must be safe from several threads."""

    def __len__(self) -> int: ...

    def length(self, index: int) -> int:
        """How long the example is, roughly and cheaply: steps are grouped by it."""

    def encoded(self, index: int) -> Any:
        """The example as the model sees it, made when it is asked for."""


class SoftLabelledSource(Source, Protocol):
    """Examples to which a teacher may have left soft labels."""

    def encoded(self, index: int) -> Encoded:
        """See `Source`."""

    def soft_targets(self, examples: Sequence[Encoded], device: torch.device) -> BatchSoftTargets | None:
        """The stored soft labels of some examples, in the order they are packed; None where there are none."""


@dataclass(frozen=True)
class Packed:
    """Examples as one batch, on their way to the device."""

    batch: Any
    counts: Mapping[str, int]
    """How much there is to learn from; losses are divided by the sums over a whole optimizer step."""


@dataclass(frozen=True)
class Learned:
    """The losses of a batch: `total` is to be differentiated, `curves` are sums to be looked at."""

    total: Tensor
    curves: Mapping[str, Tensor]


class Learner(Protocol):
    """What the loop needs to know of a model and its objective."""

    @property
    def source(self) -> Source:
        """The examples."""

    @property
    def curves(self) -> Mapping[str, str]:
        """Every loss that is reported, and the count that makes a mean of it."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The counts that are target tokens; each has a curve of its name."""

    @property
    def saves_frozen(self) -> bool:
        """Whether `save` needs the weights that do not learn as well."""

    @property
    def network(self) -> nn.Module:
        """What is switched between training and evaluation."""

    def module(self) -> nn.Module:
        """The network with its loss on top: what is wrapped, called and differentiated."""

    def layers(self) -> Sequence[nn.Module]:
        """The parts of the module that are spread over processes one by one."""

    def pack(self, portion: Sequence[Any]) -> Packed:
        """Some examples of the source as one batch."""

    def learn(
        self, module: nn.Module, portion: Sequence[Any], batch: Any, counts: Mapping[str, int], device: torch.device
    ) -> Learned:
        """The losses of a batch. `counts` are those of the whole optimizer step."""

    def save(self, folder: Path, weights: dict[str, Tensor] | None) -> None:
        """Writes the model; `weights`, by their names in the module, where its own are spread over processes."""


Teach = Callable[[Sequence[Encoded], torch.device], BatchSoftTargets]
"""What a teacher in memory says about some examples, in the order they are packed."""


class JointLearner:
    """Chain and label from one row, with soft labels where the objective wants them."""

    tasks = ("chain", "label")

    def __init__(
        self,
        model: LoadedModel,
        source: SoftLabelledSource,
        objective: JointObjective,
        teach: Teach | None = None,
    ) -> None:
        self.model = model
        self.source = source
        self.objective = objective
        self.teach = teach
        """A teacher in memory, instead of stored soft labels."""
        self.curves = _curves(objective)
        self.saves_frozen = model.settings.lora is None

    @property
    def network(self) -> nn.Module:
        """See `Learner`."""
        return self.model.network

    def module(self) -> nn.Module:
        """See `Learner`."""
        return Joint(self.model.network, self.objective)

    def layers(self) -> Sequence[nn.Module]:
        """The layers of the language model: a vision tower takes no part in steps without a picture."""
        return list(self.model.network.layers)

    def pack(self, portion: Sequence[Encoded]) -> Packed:
        """See `Learner`."""
        batch = pack(portion, self.model.layout, self.model.pad)
        return Packed(batch, batch.counts._asdict())

    def learn(
        self, module: nn.Module, portion: Sequence[Encoded], batch: Batch, counts: Mapping[str, int],
        device: torch.device,
    ) -> Learned:  # fmt: skip
        """See `Learner`."""
        soft_targets = (self.teach or self.source.soft_targets)(portion, device)
        losses = module(batch, Counts(**counts), soft_targets)
        return Learned(losses.total, {name: getattr(losses, name) for name in self.curves})

    def save(self, folder: Path, weights: dict[str, Tensor] | None) -> None:
        """See `Learner`."""
        if weights is not None:
            weights = {name.removeprefix("network.model."): weight for name, weight in weights.items()}
        self.model.save(folder, weights)


def _curves(objective: JointObjective) -> dict[str, str]:
    """The losses that this objective has."""
    curves = {"chain": "chain", "label": "label"}
    if isinstance(objective, DistillationObjective) and objective.soft > 0:
        soft = ("chain", "label") if objective.soft_tokens == "both" else (objective.soft_tokens,)
        curves |= {f"soft_{name}": name for name in soft}
        if objective.classes > 0:
            curves["classes"] = "examples"
    return curves
