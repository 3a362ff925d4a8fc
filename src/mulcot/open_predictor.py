"""The right predictor for a folder: one model that does everything, or two of which one explains and one answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mulcot.backbones.base import BACKBONE_FILE
from mulcot.multimodal_cot.predictor import TwoStagePredictor
from mulcot.predict.model_folders import find_model
from mulcot.predict.predictor import Predictor


def open_predictor(path: Path | str, device: str | None = None, **options: Any) -> Predictor | TwoStagePredictor:
    """The model of a run folder (its last one), a stage folder or a model folder; `options` as in the predictors."""
    one = (find_model(Path(path)) / BACKBONE_FILE).is_file()
    return Predictor.load(path, device, **options) if one else TwoStagePredictor.load(path, device, **options)
