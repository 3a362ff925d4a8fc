"""The right predictor for a folder, whatever the method of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mulcot.multimodal_cot.predictor import TwoStagePredictor
from mulcot.predict.base import Predictor
from mulcot.predict.predictor import JointPredictor

__all__ = ["Predictor", "open_predictor"]

KINDS: tuple[type[Predictor], ...] = (JointPredictor, TwoStagePredictor)
"""Imported here, so that `Predictor.load` knows all of them."""


def open_predictor(path: Path | str, device: str | None = None, **options: Any) -> Predictor:
    """See `Predictor.load`."""
    return Predictor.load(path, device, **options)
