"""How examples become questions for one model; kept beside its weights, so that the folder says it by itself."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from mulcot.errors import MulcotError
from mulcot.multimodal_cot.formats import (
    AnswerFormat,
    RationaleFormat,
    answer_source,
    answer_target,
    rationale_source,
    rationale_target,
)
from mulcot.multimodal_cot.lettered_question import LetteredQuestion, ask
from mulcot.multimodal_cot.questions import T5Question
from mulcot.records import Example
from mulcot.rundir import write_json
from mulcot.settings import Settings
from mulcot.tasks.base import Task

MODEL_FORMAT_FILE = "format.json"


class ModelFormat(Settings):
    """One model's format."""

    format: RationaleFormat | AnswerFormat
    captions: bool = False
    """Whether captions are part of the context."""
    rationale_model: str | None = None
    """Where the model lies that writes the rationales, relative to this one's folder, so that a run can be moved."""

    @property
    def explains(self) -> bool:
        """Whether the model writes rationales alone."""
        return self.format in ("QCM-E", "QCM-LE")

    @property
    def scored(self) -> bool:
        """Whether the answer is all that is written, so that every choice can be scored exactly."""
        return self.format in ("QCMG-A", "QCM-A")

    def asked(self, task: Task, example: Example) -> LetteredQuestion:
        """The example as a question with options."""
        return ask(task, example, captions=self.captions)

    def question(self, task: Task, example: Example, rationale: str = "", *, taught: bool = False) -> T5Question:
        """What the model is given; with `taught` also what it is to write."""
        asked, target = self.asked(task, example), None
        if self.format == "QCM-E" or self.format == "QCM-LE":
            parts = rationale_source(asked)
            target = rationale_target(rationale) if taught else None
        else:
            parts = answer_source(asked, self.format, rationale)
            if taught and example.label is not None:
                target = answer_target(asked, self.format, example.label, rationale)
        return T5Question.of(example.id, parts, target, picture_keys(example))

    def save(self, folder: Path) -> None:
        """Writes it into a model folder."""
        write_json(folder / MODEL_FORMAT_FILE, self.model_dump(mode="json"))


def load_model_format(folder: Path) -> ModelFormat:
    """The format of the model in `folder`."""
    path = folder / MODEL_FORMAT_FILE
    try:
        return ModelFormat.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        hint = "Give the folder that the stage rationale or answer wrote, with all its files."
        raise MulcotError(f"{path} does not say how its model is asked: {error!r}", hint=hint) from None


def picture_keys(example: Example) -> tuple[str, ...]:
    """What the features of its pictures are stored under; the same picture twice counts once."""
    return tuple(dict.fromkeys(image.sha256 for image in example.images))


def find_pair(folder: Path) -> tuple[ModelFormat, Path | None]:
    """How a model of Multimodal-CoT is asked, and where the model lies that explains for it, if there are two."""
    model_format = load_model_format(folder)
    if model_format.explains:
        hint = "Give the run folder, or the folder of its stage answer, when that has finished."
        raise MulcotError(f"{folder} holds the model that explains; it does not answer alone", hint=hint)
    if model_format.rationale_model is None:
        return model_format, None
    other = folder / model_format.rationale_model
    if not other.is_dir():
        hint = "Move the whole run folder; the answer model reads what that model writes."
        raise MulcotError(f"the rationale model of {folder} is not at {model_format.rationale_model}", hint=hint)
    return model_format, other
