"""The processes and devices a training runs on, through accelerate: one process, or several started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from mulcot.errors import TrainingError

T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """One process among its peers."""

    accelerator: Accelerator
    sharded: bool = False
    """Whether every process holds only its part of the weights (FSDP2)."""

    @classmethod
    def start(
        cls, *, trackers: Sequence[str] = (), folder: Path | None = None, unused: bool = False, sharded: bool = False
    ) -> Machine:
        """Joins the peers. `unused` is for models of which some trained weights may take no part in a step.

        Trackers must be installed: accelerate drops those that are not without a word.
        """
        accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            log_with=list(trackers) or None,
            project_dir=folder,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)],
        )
        expected = int(os.environ.get("WORLD_SIZE", "1"))
        if accelerator.num_processes != expected:
            raise TrainingError(
                f"{expected} processes were started, but {accelerator.num_processes} found each other",
                hint="Start several processes with `torchrun --nproc-per-node N -m mulcot run RECIPE`.",
            )
        if trackers:
            accelerator.init_trackers("mulcot")
        return cls(accelerator, sharded and expected > 1)

    @property
    def rank(self) -> int:
        """The number of this process; 0 writes what all share."""
        return int(self.accelerator.process_index)

    @property
    def world(self) -> int:
        """How many processes there are."""
        return int(self.accelerator.num_processes)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device: torch.device = self.accelerator.device
        return device

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all processes."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        summed: torch.Tensor = self.accelerator.reduce(tensor, "sum")
        return summed.tolist()

    def gather(self, items: list[T]) -> list[T]:
        """The items of all processes, in the order of the processes."""
        return items if self.world == 1 else list(gather_object(items))

    @contextmanager
    def no_grad_sync(self, model: nn.Module, last: bool) -> Iterator[None]:
        """Backward passes inside do not exchange gradients, unless it is the last one of a step."""
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)
        with nullcontext() if last or self.world == 1 or self.sharded else self.accelerator.no_sync(model):
            yield

    @contextmanager
    def unsharded(self, model: nn.Module) -> Iterator[None]:
        """Every process has all weights inside, and may use the model without its peers."""
        parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        yield
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()

    def prepare(self, model: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
        """The model on this process's device, tied to its peers; `layers` are sharded one by one, the rest as a whole.

        Sharded by torch itself: accelerate does it on GPUs alone, and keeps the choice for the whole process. Every
        layer must be part of every step, which a vision tower is not where a batch has no picture.
        """
        if not self.sharded:
            wrapped: nn.Module = self.accelerator.prepare(model)
            return wrapped
        model = model.to(self.device)
        for layer in layers:
            fully_shard(layer)
        fully_shard(model)
        return model

    def release(self) -> None:
        """Lets go of what was prepared, so that the next model finds its memory free."""
        self.accelerator.free_memory()
