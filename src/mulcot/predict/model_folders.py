"""Which model a path means: a run folder's last one, a stage folder's, or the model folder itself.

And what belongs to it: an evaluation keeps what it fits for a model in its own folder, `fitted/<stage>/`, and exported
models carry it beside their weights. `find_fitted` joins both.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mulcot.backbones.base import BACKBONE_FILE
from mulcot.errors import MulcotError, RunError
from mulcot.rundir import RunFolder, StageFolder, write_json

MODEL = "model"
CALIBRATION_FILE = "calibration.json"
FITTED_FILES = (CALIBRATION_FILE,)
"""What an evaluation fits for a model; whoever opens or exports the model finds it with `find_fitted`."""
FITTED = "fitted"
EVALUATE = "evaluate"
FUSION_FILE = "fusion.json"
"""What every model of Multimodal-CoT keeps beside its weights."""
MADE_HERE = (BACKBONE_FILE, FUSION_FILE)
"""One of them lies in every model folder that training wrote."""

log = logging.getLogger("mulcot.predict")


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


def is_model(folder: Path) -> bool:
    """Whether training wrote this folder."""
    return any((folder / name).is_file() for name in MADE_HERE)


def fitted_folder(evaluation: StageFolder, stage: str) -> Path:
    """Where an evaluation keeps what it fits for the model in a stage's folder, such as `5-student`."""
    return evaluation / FITTED / stage


def find_fitted(name: str, model: Path, *others: Path) -> Path | None:
    """The file `name` that was fitted for a model, or for it and the `others` together; None where there is none.

    It is the evaluation's, where that was of these very weights; where it was not, that is said and nothing is used. A
    model without such an evaluation, such as an exported one, has the file beside its weights.
    """
    run, stage = home(model)
    stages = {} if run is None else run.named()
    if EVALUATE in stages:
        path = fitted_folder(stages[EVALUATE], stage) / name
        if path.is_file():
            try:
                why = _other_weights(stages, (model, *others))
            except RunError as error:
                why = error.message
            if why:
                log.warning("%s is not used: %s; `mulcot run` evaluates again", path, why)
            return None if why else path
    own = model / name
    return own if own.is_file() else None


def home(model: Path) -> tuple[RunFolder | None, str]:
    """The run that a model folder lies in, and the folder in it that holds the model; none for an exported one."""
    for place in (Path(os.path.normpath(model.absolute())), model.resolve()):  # a stage may be a link, or a model
        for run in place.parents[1:3]:
            if (run / "recipe.yaml").is_file():
                return RunFolder(run), place.parent.relative_to(run).as_posix()
    return None, ""


def _other_weights(stages: Mapping[str, StageFolder], models: Sequence[Path]) -> str:
    """Why the run's evaluation says nothing about these models; empty where it does."""
    evaluated = stages[EVALUATE].finished().inputs
    for name in dict.fromkeys(home(model)[1].partition("/")[0].partition("-")[2] for model in models):
        if name not in stages or evaluated.get(name) != stages[name].content():
            return f"the stage {name} is another one than was evaluated"
    return ""


def save_temperature(folder: Path, temperature: float | None) -> None:
    """Keeps what a model's label scores are divided by; None leaves them as they are, which is kept too."""
    write_json(folder / CALIBRATION_FILE, {"temperature": 1.0 if temperature is None else temperature})


def load_temperature(model: Path, *others: Path) -> float:
    """The temperature fitted for a model, or for it and the `others` together; 1 where none was fitted."""
    path = find_fitted(CALIBRATION_FILE, model, *others)
    if path is None:
        return 1.0
    try:
        temperature = float(json.loads(path.read_text("utf-8"))["temperature"])
    except (OSError, ValueError, KeyError, TypeError):
        raise MulcotError(f"{path} is damaged", hint="Delete it: probabilities are then those of the model.") from None
    if not 0 < temperature < float("inf"):
        raise MulcotError(f"{path}: the temperature is {temperature}, a positive number is needed", hint="Delete it.")
    return temperature
