"""The recipe: one YAML file per run, typed, checked at once, every problem with its file, line and key path.

    version: 1
    output: runs/first
    task: {name: sentiment}
    dataset: {name: files, path: "${DATA}/posts.jsonl"}

A section is the settings of one stage and carries the stage's name. This module only assembles them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from mulcot.datasets.base import Dataset, datasets
from mulcot.errors import RecipeError, suggest
from mulcot.plugin import TAG, Plugin
from mulcot.registry import Registry
from mulcot.settings import Settings
from mulcot.stages.annotate import AnnotateStage
from mulcot.stages.answer import AnswerStage
from mulcot.stages.assistant import AssistantStage
from mulcot.stages.base import Stage
from mulcot.stages.dataset import DatasetStage
from mulcot.stages.evaluate import EvaluateStage
from mulcot.stages.evaluate_questions import EvaluateQuestionsStage
from mulcot.stages.features import FeaturesStage
from mulcot.stages.rationale import RationaleStage
from mulcot.stages.report import ReportStage
from mulcot.stages.student import StudentStage
from mulcot.stages.teacher import TeacherStage
from mulcot.tasks.base import Task, tasks
from mulcot.yamltree import KeyPath, Problem, Tree, expand, override, parse_assignments, read_tree, redact, variables

T = TypeVar("T", bound=Settings)

VERSION = 1
_QUERY = re.compile(r"(?<=://)([^\s\"?]*\?)[^\s\"]+")
"""What an address asks for, which may hold a key."""


class Recipe(Settings):
    """One run."""

    version: Literal[1]
    """The version of the recipe language; 1 is the only one so far."""
    method: Literal["mulcot-rd", "multimodal-cot"] = "mulcot-rd"
    """Which stages run: `mulcot-rd` distils teacher, assistant and student; `multimodal-cot` trains two small models,
    of which the first explains and the second answers."""
    output: Path | None = None
    """The run folder, relative to where the command runs; by default `runs/<recipe's file name>`."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """One seed for everything random outside the dataset's own splits."""
    task: SerializeAsAny[Annotated[Task, Plugin(tasks)]]
    """What is asked of each example. Left out, it is the dataset's usual task."""
    dataset: SerializeAsAny[Annotated[Dataset, Plugin(datasets)]]
    """Where the examples come from."""
    teacher: TeacherStage | None = None
    """Who writes the first chains, and what they may cost."""
    assistant: AssistantStage | None = None
    """The medium model, and how it learns from the teacher's chains."""
    annotate: AnnotateStage | None = None
    """What the assistant adds: chains of its own, and soft labels."""
    student: StudentStage | None = None
    """The small model, and how it learns from both."""
    features: FeaturesStage | None = None
    """What the pictures look like to a frozen extractor; without it, multimodal-cot reads texts alone."""
    rationale: RationaleStage | None = None
    """The model that explains, and how it learns; without it, one model does everything."""
    answer: AnswerStage | None = None
    """The model that answers, and how it learns."""
    evaluate: EvaluateStage | EvaluateQuestionsStage | None = None
    """Who is compared on which examples."""
    report: ReportStage = ReportStage()
    """The page at the end; it is written without being asked for."""

    @field_validator("evaluate", mode="before")
    @classmethod
    def _evaluate_as_the_method_does(cls, value: Any, info: ValidationInfo) -> Any:
        """One word, one section; what it may say depends on the method."""
        kind = _evaluation(info.data.get("method"))
        return value if value is None or isinstance(value, Stage) else kind.model_validate(value)

    @model_validator(mode="after")
    def _check_that_rationales_are_there(self) -> Self:
        problems = list(self._missing_rationales()) if self.method == "multimodal-cot" else []
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _missing_rationales(self) -> Iterator[str]:
        """What stages of Multimodal-CoT are to read that nobody writes."""
        answer, rationale = self.answer, self.rationale
        if answer is not None and answer.format == "QCMG-A":
            if rationale is None:
                yield "answer.format QCMG-A reads what the stage rationale writes; add that section, or choose QCM-A"
            elif answer.rationales == "cross_fitted" and not rationale.folds:
                yield "answer.rationales: cross_fitted needs rationale.folds, such as 5"
        for name, section in (("rationale", rationale), ("answer", answer)):
            if section is not None and section.authors == "teacher" and self.teacher is None:
                yield f"{name}.authors: teacher needs a section teacher"

    def stage(self, name: str) -> Stage | None:
        """The settings of a stage; None where the recipe has no such section."""
        if name == "dataset":
            return DatasetStage(source=self.dataset)
        section = getattr(self, name, None)
        return section if isinstance(section, Stage) else None


@dataclass(frozen=True)
class Loaded:
    """A checked recipe and the text to keep: resolved, with variables unexpanded and credentials blanked."""

    path: Path
    recipe: Recipe
    written: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.recipe.output or Path("runs") / self.path.stem

    @property
    def text(self) -> str:
        """The resolved recipe as YAML."""
        return yaml.safe_dump(self.written, sort_keys=False, allow_unicode=True)


def load_recipe(path: Path, overrides: list[str] | None = None) -> Loaded:
    """Reads, overrides, expands and checks a recipe; raises one `RecipeError` with every problem."""
    tree = read_tree(path)
    tree = Tree(tree.source, override(tree.data, overrides or []), tree.lines)
    written = _with_task(tree.data)
    expanded, missing = expand(written)
    try:
        recipe = Recipe.model_validate(expanded)
    except ValidationError as error:
        found = [item for item in error.errors() if not _follows(_path(item["loc"]), missing)]
        raise RecipeError(tree.source, tree.report(missing + _explain(found, Recipe, tree))) from None
    if missing:
        raise RecipeError(tree.source, tree.report(missing))
    return Loaded(path, recipe, redact(written))


def build_plugin(registry: Registry[T], options: dict[str, Any], source: str) -> T:
    """One plug-in from plain options, `name` among them, with the same checks and messages as a recipe's section."""
    cls = registry.get(str(options.get("name")))
    tree = Tree(source, options, {})
    expanded, missing = expand({key: value for key, value in options.items() if key != "name"})
    if missing:
        raise RecipeError(source, tree.report(missing))
    try:
        return cls.model_validate(expanded)
    except ValidationError as error:
        raise RecipeError(source, tree.report(_explain(error.errors(), cls, tree))) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for editors."""
    schema = Recipe.model_json_schema()
    schema["required"] = [key for key in schema["required"] if key != "task"]
    schema = _or_variable(schema)
    schema["$defs"]["Variable"] = {"type": "string", "pattern": r"^\$\{.*\}$"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mulcot recipe", **schema}


def _or_variable(schema: Any) -> Any:
    """The schema with `${NAME}` allowed wherever a number or a choice is."""
    if isinstance(schema, list):
        return [_or_variable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    about = {key: schema[key] for key in ("description", "title", "default") if key in schema}
    plain = {key: value for key, value in schema.items() if key not in about}
    if plain.get("type") in ("integer", "number", "boolean"):
        return {"anyOf": [plain, {"$ref": "#/$defs/Variable"}], **about}
    return {key: _or_variable(value) for key, value in schema.items()}


def _with_task(data: dict[str, Any]) -> dict[str, Any]:
    """A recipe that names no task gets its dataset's usual one, visibly."""
    dataset = data.get("dataset")
    name = expand(dataset.get("name") if isinstance(dataset, dict) else dataset)[0]
    if "task" in data or not isinstance(name, str) or name not in datasets.names():
        return data
    out: dict[str, Any] = {}
    for key, value in data.items():
        if key == "dataset":
            out["task"] = {"name": datasets.get(name).default_task}
        out[key] = value
    return out


def _follows(path: KeyPath, missing: list[Problem]) -> bool:
    """Whether a problem lies above or below a variable that is not set, and may be nothing but its consequence."""
    return any(where[: len(path)] == path or path[: len(where)] == where for where, _ in missing)


def _explain(errors: list[ErrorDetails], root: type[Settings], tree: Tree) -> list[Problem]:
    problems = []
    places = [_path(error["loc"]) for error in errors]
    for error, path in zip(errors, places, strict=True):
        if path == ("task",) and error["type"] == "missing":
            continue  # it comes with the dataset, whose problem stands in the list
        if error["type"] == "too_short" and any(each[: len(path)] == path != each for each in places):
            continue  # the items are there, but bad
        text = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").partition(" for <class")[0]
        if error["type"] == "extra_forbidden":
            cls = _class_of(root, error["loc"][:-1], tree.data.get("method"))
            known = sorted(info.alias or name for name, info in cls.model_fields.items()) if cls else []
            text = f"unknown key. {suggest(str(path[-1]), known)}".rstrip()
        elif error["type"] == "missing":
            text = "is missing"
        elif path:
            text = f"{_lower(text)}{_got(tree.data, path)}"
        problems.append((path, _unexpanded(text, tree)))
    return problems


def _unexpanded(text: str, tree: Tree) -> str:
    """The text without any value from the environment, which may be a secret."""
    for name, value in sorted(variables(tree.data).items(), key=lambda item: -len(item[1])):
        for shown in (value, repr(value)[1:-1]):
            if len(shown) > 3:  # shorter ones would only garble the words around
                text = text.replace(shown, f"${{{name}}}")
    return text


def _path(loc: tuple[int | str, ...]) -> KeyPath:
    return tuple(part for part in loc if not str(part).startswith(TAG))


def _evaluation(method: Any) -> type[Stage]:
    """What the section `evaluate` is for a method."""
    return EvaluateQuestionsStage if method == "multimodal-cot" else EvaluateStage


def _class_of(root: type[Settings], loc: tuple[int | str, ...], method: Any) -> type[Settings] | None:
    """The settings class that pydantic was checking at this path of a recipe of this method."""
    if root is Recipe and loc[:1] == ("evaluate",):
        return _class_at(_evaluation(method), loc[1:])
    return _class_at(root, loc)


def _class_at(root: type[Settings], loc: tuple[int | str, ...]) -> type[Settings] | None:
    """The settings class that pydantic was checking at this path."""
    cls: type[Settings] | None = root
    registry: Registry[Any] | None = None
    for part in loc:
        if str(part).startswith(TAG) and registry is not None:
            cls = registry.get(str(part).removeprefix(TAG))
        elif isinstance(part, str) and cls is not None and part in cls.model_fields:
            info = cls.model_fields[part]
            found = [item for item in (*info.metadata, *_parts(info.annotation)) if isinstance(item, Plugin)]
            registry = found[0].registry if found else None
            classes = [
                item for item in _parts(info.annotation) if isinstance(item, type) and issubclass(item, Settings)
            ]
            cls = classes[0] if classes else None
        elif isinstance(part, str):
            return None
    return cls


def _parts(annotation: Any) -> list[Any]:
    """An annotation and everything nested in it."""
    nested = [part for arg in get_args(annotation) for part in _parts(arg)]
    return [annotation, *nested, *getattr(annotation, "__metadata__", ())]


def _got(data: Any, path: KeyPath) -> str:
    """The value as it was written, so that an expanded secret is never shown."""
    try:
        for part in path:
            if isinstance(data, str):
                break  # one value, where a list of them is possible too
            data = data[part]
    except (KeyError, IndexError, TypeError):
        return ""
    if isinstance(data, dict | list):
        return ""
    text = _QUERY.sub(r"\1***", json.dumps(redact(data), ensure_ascii=False, default=str))
    return f" (got {text if len(text) <= 80 else text[:77] + '...'})"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


__all__ = ["Loaded", "Recipe", "build_plugin", "json_schema", "load_recipe", "parse_assignments"]
