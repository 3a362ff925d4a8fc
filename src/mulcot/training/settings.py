"""How long, how fast and how often: the settings of the training loop, importable without torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from pydantic import Field

from mulcot.settings import Settings, volatile


class Plateau(Settings):
    """The published schedule: lower the rate when dev accuracy stops rising."""

    kind: Literal["plateau"] = "plateau"
    """Picks this schedule."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    """The rate is multiplied by this."""
    patience: int = Field(default=2, ge=0)
    """Evaluations without a better accuracy that are borne before."""
    minimum: float = Field(default=1e-6, ge=0)
    """The lowest rate."""


class Cosine(Settings):
    """Rises linearly, then falls as half a cosine over the whole training."""

    kind: Literal["cosine"] = "cosine"
    """Picks this schedule."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of all steps in which the rate rises."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Where the rate ends, as a share of its height."""


class Linear(Settings):
    """Rises linearly, then falls linearly to nothing; the schedule published for Multimodal-CoT, without the rise."""

    kind: Literal["linear"] = "linear"
    """Picks this schedule."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps in which the rate rises."""


class Training(Settings):
    """The training loop. The defaults are the published ones where they are stated."""

    epochs: float = Field(default=20, gt=0)
    """How often each example is seen."""
    batch_size: int = Field(default=40, ge=1)
    """Examples per optimizer step, over all processes together: results do not depend on how many there are."""
    micro_batch: int = volatile(2, ge=1)
    """Examples a process works on at once; memory depends on it, results do not."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """The highest rate of AdamW."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW."""
    clip: float | None = Field(default=None, gt=0)
    """The largest norm of the gradients of one step; null does not clip, as MulCoT-RD is
    published. Published for Multimodal-CoT: 1."""
    schedule: Plateau | Cosine | Linear = Field(default=Plateau(), discriminator="kind")
    """How the rate changes."""
    evaluate_every: float = Field(default=1.0, gt=0)
    """Epochs between looks at dev accuracy; the best state is kept."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many looks without a better one; null continues to the end."""
    group_by_length: bool = True
    """Puts examples of like length into one step, which saves padding; the order stays deterministic."""
    checkpoint_minutes: float = volatile(10.0, gt=0)
    """Time between checkpoints; there is always one at the end of an epoch and on SIGTERM."""
    loaders: int = volatile(2, ge=0)
    """Threads that decode pictures and tokenise ahead; 0 does it in line."""
    sharding: Literal["none", "full"] = volatile("none")
    """`full` spreads weights, gradients and the optimizer over the processes (FSDP2), for models that fit no single
    device; `none` gives every process a whole copy."""
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = volatile(())
    """Where metrics go in addition to `metrics.jsonl`; none by default. The package of that name must be installed."""

    def problems(self) -> list[str]:
        """Trackers that are wished but not installed."""
        missing = [name for name in self.trackers if find_spec(name) is None]
        return [f"training.trackers: {name} is not installed: pip install {name}" for name in missing]
