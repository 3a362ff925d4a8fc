"""Writing the folder: rows, pictures, a recipe whose comments come from the settings themselves, and a short README.

What stands in a comment of the recipe is the first sentence of the option's own documentation, so it is true as long as
that is.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mulcot.backbones.tiny import Tiny
from mulcot.datasets.files import Files
from mulcot.errors import MulcotError, UnknownName
from mulcot.methods import MULCOT_RD, MULTIMODAL_COT
from mulcot.recipe import Recipe
from mulcot.records import Json
from mulcot.settings import Settings
from mulcot.stages.base import stages
from mulcot.stages.shared_t5_training import PUBLISHED
from mulcot.tasks.base import Demo, Task, tasks
from mulcot.teacher.backends.simulated import Simulated
from mulcot.teacher.labelling.pilot import Pilot
from mulcot.training.settings import Training

TEMPLATES = Path(__file__).parent / "templates"
WIDTH = 110
PLAIN = re.compile(r"[A-Za-z0-9_./-]*[A-Za-z_][A-Za-z0-9_./-]*")

RD, TWO_STAGE = MULCOT_RD.name, MULTIMODAL_COT.name
METHODS = {RD: "recipe.yaml", TWO_STAGE: "multimodal_cot.yaml"}
"""The recipe that each method begins with."""
FIRST = {RD: "sentiment", TWO_STAGE: "multiple_choice"}
"""The task that each method begins with, where none is named."""
PAIR_COLUMNS = {"text": "question", "label": "answer"}
"""Questions of one's own seldom use our names: the recipe shows how theirs are told."""

DESCRIBED: dict[str, type[Settings]] = {
    "recipe": Recipe,
    "files": Files,
    "simulated": Simulated,
    "pilot": Pilot,
    "tiny": Tiny,
    "training": Training,
}
"""Whose options the recipe's comments may describe, beside those of stages."""


def write_starter_folder(folder: Path, task: str | None = None, method: str = RD) -> tuple[str, int]:
    """Writes everything, or nothing, into a folder that is new or empty; returns the task and the number of rows."""
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    task = task or FIRST[method]
    if task not in tasks.names():
        raise UnknownName("task to begin with", task, tasks.names())
    if method == TWO_STAGE and not tasks.get(task).positional_labels:
        hint = f"Begin with {FIRST[method]}; docs/multimodal-cot.md says how posts are asked about."
        raise MulcotError(f"{TWO_STAGE} begins with questions, not with {task}", hint=hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is not a folder"
        raise MulcotError(f"{folder} {what}", hint="Name a new folder.")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    try:
        demo = tasks.get(task).demo(part)
        if demo is None:
            hint = "Write a recipe of your own; `mulcot recipe schema` describes every option."
            raise MulcotError(f"the task {task} brings no rows to begin with", hint=hint)
        count = _write(part, folder, task, demo, method)
        part.chmod(0o755)
        part.rename(folder)  # an empty folder of that name is replaced
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return task, count


def _write(part: Path, folder: Path, task: str, demo: Demo, method: str) -> int:
    pair = method == TWO_STAGE
    data = "questions.jsonl" if pair else "posts.jsonl"
    count = write_lines(part / data, (_row(row, pair=pair) for row in demo.rows))
    chains = list(demo.chains)
    if chains:
        write_lines(part / "chains.jsonl", chains)
    values = {
        "task": task,
        "pair": pair,
        "data": data,
        "options": _options(tasks.get(task), demo),
        "chains": bool(chains),
        "folder": folder,
        "rows": count,
    }
    published = PUBLISHED if pair else Training()
    for name, template in (("recipe.yaml", METHODS[method]), ("README.md", "README.md")):
        text = _templates().get_template(template).render(**values, published=published)
        (part / name).write_text(text, "utf-8")
    return count


def _row(row: Json, *, pair: bool) -> Json:
    """As its method's recipe reads it: solutions are for models that explain first."""
    if pair:
        return {PAIR_COLUMNS.get(key, key): value for key, value in row.items()}
    return {key: value for key, value in row.items() if key != "solution"}


def write_lines(path: Path, rows: Iterable[Json]) -> int:
    """One row per line; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


def _options(task: type[Task], demo: Demo) -> str:
    """The task's options as a recipe writes them, each below its documentation."""
    described = {field.alias or name: field.description for name, field in task.model_fields.items()}
    lines = []
    for key, value in demo.options.items():
        written = yaml.safe_dump({key: value}, allow_unicode=True, sort_keys=False, width=WIDTH)
        lines += [_comment(described.get(key) or "", 2), written.replace("${", "$${").rstrip()]
    return "\n".join(lines)


def _templates() -> Environment:
    made = Environment(  # YAML and Markdown for the user who names the folder: nothing here becomes HTML
        loader=FileSystemLoader(TEMPLATES), autoescape=False, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters |= {"about": about, "quoted": quoted, "command": command}
    return made


def about(option: str, indent: int = 0) -> str:
    """The first sentence of an option's documentation as comment lines: `teacher.pilot`, `training.epochs`."""
    section, _, name = option.partition(".")
    return _comment(class_of(section).model_fields[name].description or "", indent)


def class_of(section: str) -> type[Settings]:
    """Whose options the recipe's comments describe: one of `DESCRIBED`, or a stage."""
    return DESCRIBED.get(section) or stages.get(section)


def _comment(description: str, indent: int) -> str:
    """The first sentence as comment lines."""
    first = re.split(r"(?<=[.])\s(?=[A-Z])", " ".join(description.split()))[0]
    return ("\n" + " " * indent).join(f"# {line}" for line in wrap(first, WIDTH - indent))


def quoted(path: Path, *below: str) -> str:
    """A path as a recipe's value: quoted where YAML might need it, and never taken for a variable."""
    text = path.joinpath(*below).as_posix().replace("${", "$${")
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def command(path: Path, *below: str) -> str:
    """A path as a word of a command."""
    return shlex.quote(str(path.joinpath(*below)))
