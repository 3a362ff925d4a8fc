"""Prompt texts with placeholders, built in or from a user's YAML file.

    hint_ask: |
      Explain what in the post leads to the label {label}.

A placeholder is a name in single braces. Values are put in by one pass over the template, so braces in a post stay
what they are. A line whose placeholders are all empty is left out. `{{name}}` writes `{name}` itself.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from mulcot.errors import RecipeError, suggest
from mulcot.records import Record
from mulcot.text import defuse
from mulcot.yamltree import read_tree

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Templates(Record):
    """The texts that prompts are made of; every field is a key of a templates file."""

    teacher_system: str
    post: str
    teach_ask: str
    hint_ask: str
    student_system: str
    chain_ask: str
    label_ask: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Placeholders:
    """Which placeholders a task's templates may have, and which they need."""

    constant: tuple[str, ...]
    """The same for every example; allowed everywhere."""
    example: tuple[str, ...]
    """Filled from the example; allowed in `post`."""
    needed: tuple[str, ...]
    """Those of `example` that `post` must show."""

    def allowed(self, part: str) -> tuple[str, ...]:
        """The placeholders that this part may have."""
        return self.constant + {"post": self.example, "hint_ask": ("label",)}.get(part, ())

    def required(self, part: str) -> tuple[str, ...]:
        """The placeholders that this part must have."""
        return {"post": self.needed, "hint_ask": ("label",)}.get(part, ())


def load_templates(path: Path, built_in: Templates, placeholders: Placeholders) -> Templates:
    """The built-in texts with those of the file in their place; raises one `RecipeError` with every problem."""
    tree = read_tree(path)
    keys = [field.name for field in dataclasses.fields(Templates)]
    problems = []
    for key, text in tree.data.items():
        place = tree.place((key,))
        if key not in keys:
            problems.append(f"{place}: unknown key. {suggest(str(key), keys)}")
        elif not isinstance(text, str) or not text.strip():
            problems.append(f"{place}: needs a text (got {text!r})")
        else:
            problems += [f"{place}: {problem}" for problem in _check(text, key, placeholders)]
    if problems:
        raise RecipeError(tree.source, problems)
    return dataclasses.replace(built_in, **{key: text.strip() for key, text in tree.data.items()})


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced in one pass; inserted text is never looked at again."""
    lines = []
    for line in template.split("\n"):
        names = [match[2] for match in _PLACEHOLDER.finditer(line) if match[2]]
        if names and not any(values[name] for name in names):
            continue
        lines.append(_PLACEHOLDER.sub(lambda match: values[match[2]] if match[2] else f"{{{match[1]}}}", line))
    return "\n".join(lines)


def _check(text: str, part: str, placeholders: Placeholders) -> list[str]:
    found = {match[2] for match in _PLACEHOLDER.finditer(text) if match[2]}
    allowed = sorted(placeholders.allowed(part))
    problems = [
        f"unknown placeholder {{{name}}}. Allowed: {', '.join(f'{{{known}}}' for known in allowed)}"
        for name in sorted(found - set(allowed))
    ]
    problems += [f"needs the placeholder {{{name}}}" for name in placeholders.required(part) if name not in found]
    if defuse(text) != text:
        problems.append("holds something that a tokenizer could take for a control token, such as <image> or [INST]")
    return problems
