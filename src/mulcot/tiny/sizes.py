"""The two models: their shapes, and how long and how fast they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Name = Literal["assistant", "student"]

IMAGE_SIZE = 84
PATCH = 14
VOCABULARY = 1024
HEAD = 32
LONGEST = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStage:
    """One stage of learning."""

    steps: int
    batch: int
    rate: float
    """The highest learning rate: reached after a twentieth of the steps, then falling to a twentieth of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Width and depth of both parts of a model, and its three courses."""

    width: int
    inner: int
    layers: int
    keys: int
    """Heads for keys and values."""
    sight_width: int
    sight_layers: int
    seeing: TrainingStage
    copying: TrainingStage
    reading: TrainingStage

    def text_config(self) -> dict[str, Any]:
        """The language model."""
        return {
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.width // HEAD,
            "num_key_value_heads": self.keys,
            "max_position_embeddings": LONGEST,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [4, 6, 6]},
        }

    def vision_config(self) -> dict[str, Any]:
        """The vision tower."""
        return {
            "depth": self.sight_layers,
            "hidden_size": self.sight_width,
            "intermediate_size": 3 * self.sight_width,
            "num_heads": self.sight_width // 16,
            "out_hidden_size": self.width,
            "patch_size": PATCH,
            "fullatt_block_indexes": list(range(self.sight_layers)),
        }


SIZES: dict[Name, Size] = {
    "assistant": Size(
        width=256,
        inner=512,
        layers=6,
        keys=2,
        sight_width=96,
        sight_layers=3,
        seeing=TrainingStage(steps=800, batch=48, rate=3e-3),
        copying=TrainingStage(steps=300, batch=16, rate=2e-3),
        reading=TrainingStage(steps=700, batch=16, rate=1.5e-3),
    ),
    "student": Size(
        width=128,
        inner=384,
        layers=6,
        keys=2,
        sight_width=64,
        sight_layers=3,
        seeing=TrainingStage(steps=1000, batch=48, rate=3e-3),
        copying=TrainingStage(steps=700, batch=16, rate=3e-3),
        reading=TrainingStage(steps=1600, batch=16, rate=2e-3),
    ),
}

T5_STAGE = TrainingStage(steps=5000, batch=16, rate=1.5e-3)
"""The one course of the tiny T5."""
