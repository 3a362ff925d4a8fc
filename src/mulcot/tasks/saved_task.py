"""The task of a model, kept beside its weights, so that the folder says by itself how the model is asked.

task.json        the task's name and options, and how texts are cleaned before they are shown
templates.yaml   every prompt text in use, built-in ones included: a later version may word its own differently
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mulcot.errors import MulcotError
from mulcot.rundir import write_json, write_text
from mulcot.tasks.base import Task, tasks
from mulcot.text import Cleaning

TASK_FILE = "task.json"
TEMPLATES_FILE = "templates.yaml"
FORMAT = 1


@dataclasses.dataclass(frozen=True, slots=True)
class SavedTask:
    """How a model is asked."""

    task: Task
    cleaning: Cleaning = dataclasses.field(default_factory=Cleaning)
    """What the dataset it was trained on did to texts."""


def save_task(saved: SavedTask, folder: Path) -> None:
    """Writes both files into a model folder."""
    task = saved.task
    if texts := task.prompt_texts():
        write_text(folder / TEMPLATES_FILE, yaml.safe_dump(dict(texts), allow_unicode=True, sort_keys=False, width=120))
    elif task.templates is not None:
        write_text(folder / TEMPLATES_FILE, Path(task.templates).read_text("utf-8"))
    options = task.model_dump(mode="json", by_alias=True, exclude={"templates"})
    value = {
        "format": FORMAT,
        "task": {"name": task.name, **options},
        "cleaning": saved.cleaning.model_dump(mode="json"),
    }
    write_json(folder / TASK_FILE, value)


def load_task(folder: Path) -> SavedTask:
    """The task of the model in `folder`, wherever the folder has been moved to."""
    data = _read(folder)
    options = {key: value for key, value in data["task"].items() if key != "name"}
    if (folder / TEMPLATES_FILE).is_file():
        options["templates"] = str(folder / TEMPLATES_FILE)
    cls = tasks.get(str(data["task"].get("name")))
    try:
        return SavedTask(cls.model_validate(options), Cleaning.model_validate(data.get("cleaning", {})))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise MulcotError(f"{folder / TASK_FILE} does not describe a task: {problems}", hint=HINT) from None


HINT = "Give the folder that training wrote, with all its files."


def _read(folder: Path) -> dict[str, Any]:
    path = folder / TASK_FILE
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MulcotError(f"{folder} has no {TASK_FILE}, which says how its model is asked", hint=HINT) from None
    except (OSError, ValueError) as error:
        raise MulcotError(f"{path} cannot be read: {error}", hint=HINT) from None
    if not isinstance(data, dict) or not isinstance(data.get("task"), dict):
        raise MulcotError(f"{path} does not describe a task", hint=HINT)
    if data.get("format", 0) > FORMAT:
        raise MulcotError(
            f"{path} was written by a later version (format {data['format']}, known {FORMAT})",
            hint="Use the version of mulcot that trained the model.",
        )
    return data
