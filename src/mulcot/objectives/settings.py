"""The settings of the two objectives, importable without torch.

`preset: published_code` changes the defaults to what the published code does where it differs from its description;
any field can still be given. docs/joint-training.md lists the differences.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from mulcot.settings import Settings, volatile

Preset = Literal["described", "published_code"]


class JointObjective(Settings):
    """Chain and label together: `L = reasoning * L_chain + label * L_label`, each a mean over target tokens."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "described": {},
        "published_code": {"reasoning": 1.0, "label": 1.0, "normalise": "micro_batch"},
    }

    preset: Preset = "described"
    """Where the fields that are not given come from: the method's description, or its published code."""
    reasoning: float = Field(default=0.8, ge=0)
    """Weight of the chain's loss."""
    label: float = Field(default=0.2, ge=0)
    """Weight of the label's loss."""
    normalise: Literal["update", "micro_batch"] = "update"
    """`update` takes the mean over all target tokens of one optimizer step, so how they are split into micro-batches
    and processes makes no difference; `micro_batch` takes the mean of each micro-batch's own mean."""
    head_tokens: int = volatile(256, ge=1)
    """The language-model head is applied to this many target tokens at a time. More is faster and needs more memory."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        preset = cls.presets.get(str(data.get("preset", "described")), {})
        return {**preset, **data}


class DistillationObjective(JointObjective):
    """The student's objective: `L = (1 - soft) * L_hard + soft * L_soft` for chain and for label."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "described": {},
        "published_code": {**JointObjective.presets["published_code"], "square_temperature": False},
    }

    soft: float = Field(default=0.3, ge=0, le=1)
    """Weight of the soft loss, the published lambda; 0 is training without distillation."""
    temperature: float = Field(default=2.0, gt=0)
    """Softens both distributions. With stored soft labels it must be one they were stored for."""
    square_temperature: bool = True
    """Multiplies the soft loss by the temperature squared, so its gradients keep their size at any temperature."""
    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    """`forward_kl` is KL(teacher || student); `jsd` is the Jensen-Shannon divergence."""
    soft_tokens: Literal["chain", "label", "both"] = "both"
    """The targets that carry soft labels; the others learn from the hard loss alone."""
    classes: float = Field(default=0.0, ge=0)
    """Weight, times `soft`, of the divergence between the exact label distributions of teacher and student."""
