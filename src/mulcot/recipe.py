"""The recipe: one YAML file per run, typed, checked at once, every problem with its file, line and key path.

    version: 1
    output: runs/first
    task: {name: sentiment}
    dataset: {name: files, path: "${DATA}/posts.jsonl"}

A section is the settings of one stage and carries the stage's name. This module only assembles them: which there are
follows from the methods, and what each may say from the stages that are registered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args

import yaml
from pydantic import Field, SerializeAsAny, ValidationError, create_model
from pydantic_core import ErrorDetails

from mulcot.datasets.base import Dataset, datasets
from mulcot.errors import RecipeError, suggest
from mulcot.methods import DEFAULT, Method, across, method_named, methods
from mulcot.plugin import TAG, Plugin
from mulcot.registry import Registry
from mulcot.settings import Settings
from mulcot.stages.base import Stage, stages
from mulcot.stages.dataset import DatasetStage
from mulcot.tasks.base import Task, tasks
from mulcot.yamltree import KeyPath, Problem, Tree, expand, override, parse_assignments, read_tree, redact, variables

T = TypeVar("T", bound=Settings)

_QUERY = re.compile(r"(?<=://)([^\s\"?]*\?)[^\s\"]+")
"""What an address asks for, which may hold a key."""


class Recipe(Settings):
    """One run: what every recipe says. `recipe_class` adds the sections, which are the stages of the methods."""

    version: Literal[1]
    """The version of the recipe language; 1 is the only one so far."""
    method: str = DEFAULT.name
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

    @property
    def plan(self) -> Method:
        """What the method goes through."""
        return method_named(self.method)

    def stage(self, name: str) -> Stage | None:
        """The settings of a stage; None where the recipe has no such section."""
        if name == "dataset":
            return DatasetStage(source=self.dataset)
        section = getattr(self, name, None)
        return section if isinstance(section, Stage) else None

    def described(self) -> dict[str, Stage]:
        """The stages of the method that the recipe describes, in order."""
        found = ((name, self.stage(name)) for name in self.plan.stages)
        return {name: stage for name, stage in found if stage is not None}

    def unmet(self) -> Iterator[Problem]:
        """What sections need of others and do not find. A stage that no run does without ends it, and is not told."""
        described = self.described()
        needed = set(self.plan.stages) - set(self.plan.optional)
        for name, stage in described.items():
            for need in stage.unmet(described):
                if need.stage not in needed:
                    text = need.text or f"needs the stage {need.stage}"
                    yield (name, *([need.option] if need.option else [])), text


def recipe_class(method: str | None = None) -> type[Recipe]:
    """Recipes of one method, with the sections of all methods; what a section may say depends on the method.

    None stands for any: a section is then what any of the methods takes.
    """
    return _recipe_class(tuple(methods().values()), method)


@cache
def _recipe_class(known: tuple[Method, ...], chosen: str | None) -> type[Recipe]:
    fields: dict[str, Any] = {}
    for name in across(lambda method: method.stages):
        if name in Recipe.model_fields:
            continue
        named = [method for method in known if name in method.stages]
        own = [method for method in named if method.name == chosen]
        those = dict.fromkeys(stages.get(method.step(name).plugin) for method in own or named)
        first = next(iter(those))
        kind: Any = Union[tuple(those) if first.always else (*those, None)]  # noqa: UP007
        fields[name] = (kind, Field(default=first() if first.always else None, description=first.about))
    names: Any = Literal
    about = Recipe.model_fields["method"]
    fields["method"] = (
        names[tuple(each.name for each in known)],
        Field(default=about.default, description=about.description),
    )
    made: type[Recipe] = create_model("Recipe", __base__=Recipe, __doc__="One run.", **fields)
    return made


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
    method = expanded.get("method")
    cls = recipe_class(method if isinstance(method, str) and method in methods() else DEFAULT.name)
    try:
        recipe = cls.model_validate(expanded)
    except ValidationError as error:
        found = [item for item in error.errors() if not _follows(_path(item["loc"]), missing)]
        raise RecipeError(tree.source, tree.report(missing + _explain(found, cls, tree))) from None
    if problems := missing or list(recipe.unmet()):
        raise RecipeError(tree.source, tree.report(problems))
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
    schema = recipe_class().model_json_schema()
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
            cls = _class_at(root, error["loc"][:-1])
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


__all__ = ["Loaded", "Recipe", "build_plugin", "json_schema", "load_recipe", "parse_assignments", "recipe_class"]
