"""Which model a path means: a run folder's last one, a stage folder's, or the model folder itself."""

from __future__ import annotations

import json
from pathlib import Path

from mulcot.backbones.base import BACKBONE_FILE
from mulcot.errors import MulcotError
from mulcot.formats.wording import Wording, load_wording
from mulcot.fusion.settings import FUSION_FILE
from mulcot.rundir import RunFolder, write_json

MODEL = "model"
CALIBRATION_FILE = "calibration.json"
MADE_HERE = (BACKBONE_FILE, FUSION_FILE)
"""One of them lies in every model folder that training wrote."""


def find_model(path: Path) -> Path:
    """The model folder; says clearly what the path is where it leads to none."""
    for folder in (path, path / MODEL):
        if is_model(folder):
            return folder
    if not path.is_dir():
        raise MulcotError(f"{path} is not a folder", hint="Give a run folder, a stage folder or a model folder.")
    stages = RunFolder(path).stages()
    for stage in reversed(stages):
        if is_model(stage / MODEL) and stage.record is not None:
            return stage / MODEL
    if stages:
        names = ", ".join(stage.path.name for stage in stages)
        raise MulcotError(f"the run {path} has no finished model; its stages: {names}", hint="`mulcot run` makes one.")
    if (path / "config.json").is_file():
        raise MulcotError(
            f"{path} is a plain Hugging Face model: it has no {BACKBONE_FILE}, so it is not known how to ask it",
            hint="Train it with `mulcot run`, and give what that wrote.",
        )
    raise MulcotError(
        f"{path} is no model that mulcot trained: it has no {BACKBONE_FILE}",
        hint="Give a run folder, a stage folder such as RUN/5-student, or a model folder such as RUN/5-student/model.",
    )


def find_pair(folder: Path) -> tuple[Wording, Path | None]:
    """How a model of Multimodal-CoT is asked, and where the model lies that explains for it, if there are two."""
    wording = load_wording(folder)
    if wording.explains:
        hint = "Give the run folder, or the folder of its stage answer, when that has finished."
        raise MulcotError(f"{folder} holds the model that explains; it does not answer alone", hint=hint)
    if wording.rationale_model is None:
        return wording, None
    other = folder / wording.rationale_model
    if not other.is_dir():
        hint = "Move the whole run folder; the answer model reads what that model writes."
        raise MulcotError(f"the rationale model of {folder} is not at {wording.rationale_model}", hint=hint)
    return wording, other


def is_model(folder: Path) -> bool:
    """Whether training wrote this folder."""
    return any((folder / name).is_file() for name in MADE_HERE)


def save_temperature(folder: Path, temperature: float | None) -> None:
    """Keeps beside the model what its label scores are divided by; None leaves them as they are."""
    if temperature is None:
        (folder / CALIBRATION_FILE).unlink(missing_ok=True)
    else:
        write_json(folder / CALIBRATION_FILE, {"temperature": temperature})


def load_temperature(folder: Path) -> float:
    """The model's fitted temperature; 1 where none was fitted."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return 1.0
    try:
        temperature = float(json.loads(path.read_text("utf-8"))["temperature"])
    except (OSError, ValueError, KeyError, TypeError):
        raise MulcotError(f"{path} is damaged", hint="Delete it: probabilities are then those of the model.") from None
    if not 0 < temperature < float("inf"):
        raise MulcotError(f"{path}: the temperature is {temperature}, a positive number is needed", hint="Delete it.")
    return temperature
