"""A YAML file as a tree that remembers where each key stood, with overrides and `${ENV}`.

`read_tree` gives plain dictionaries and a map from key path to line. Duplicate keys, tags and oversized files are
refused.
`expand` fills in environment variables in a copy, so the tree as written can still be stored without any secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mulcot.errors import RecipeError, printable

KeyPath = tuple[str | int, ...]
Problem = tuple[KeyPath, str]

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 30

_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@?#]+@")


@dataclass(frozen=True)
class Tree:
    """What a YAML file says and on which line it says it."""

    source: str
    data: dict[str, Any]
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """The nearest line that is known; 0 where none is, as for overrides."""
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), 0)

    def place(self, path: KeyPath) -> str:
        """`file:line key.path`."""
        line = self.line(path)
        return f"{self.source}:{line} {dotted(path)}" if line else f"{self.source} {dotted(path)}".rstrip()

    def report(self, problems: list[Problem]) -> list[str]:
        """The problems in the order of the file, each with its place."""
        ordered = sorted(problems, key=lambda problem: self.line(problem[0]))
        return [f"{self.place(path)}: {text}" for path, text in ordered]


def read_tree(path: Path) -> Tree:
    """Reads a YAML mapping from an untrusted file."""
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise RecipeError(str(path), ["is not a file"])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise RecipeError(str(path), [f"cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    if len(raw) > MAX_BYTES:
        raise RecipeError(str(path), [f"has more than {MAX_BYTES} bytes"])
    return parse_tree(raw, str(path))


def parse_tree(text: str | bytes, source: str) -> Tree:
    """Reads a YAML mapping from text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        unquoted = "${" in str(error) and "flow" in str(error)
        quote = "; inside {...} and [...] a value with ${NAME} needs quotes" if unquoted else ""
        raise RecipeError(source, [_yaml_problem(error) + quote]) from None
    if node is None:
        raise RecipeError(source, ["is empty"])
    builder = _Builder()
    data = builder.build(node, ())
    if not isinstance(data, dict):
        builder.problems.append("must be a mapping of keys to values")
    if builder.problems:
        raise RecipeError(source, builder.problems)
    return Tree(source, data, builder.lines)


class _Builder:
    """Turns YAML nodes into plain values, noting lines and refusing what a recipe never needs."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[str] = []
        self._constructor = yaml.constructor.SafeConstructor()
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            if self._count == MAX_NODES + 1:
                self.problems.append(f"has more than {MAX_NODES} values (anchors counted each time)")
            return None
        if len(path) > MAX_DEPTH:
            self.problems.append(f"is nested more than {MAX_DEPTH} deep")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._complain(node, path, _yaml_problem(error))
            return None
        return value if value is None or isinstance(value, str | int | float) else node.value  # a date stays a text

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(key_node, path, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in out:
                self._complain(key_node, (*path, key), "this key stands twice")
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._complain(key_node, path, "merge keys (<<) are not read; write the keys out")
                continue
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            out[key] = self.build(value_node, (*path, key))
        return out

    def _complain(self, node: yaml.Node, path: KeyPath, text: str) -> None:
        self.problems.append(f"{f'line {node.start_mark.line + 1} {dotted(path)}'.rstrip()}: {text}")


def parse_assignments(items: list[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` as `{"a": {"b": 1}, "c": "x"}`; values are typed as in YAML."""
    out: dict[str, Any] = {}
    problems = []
    builder = _Builder()
    for item in items:
        key, equals, text = item.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            problems.append(f"{item!r} is not of the form key.path=value")
            continue
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
            value = None if node is None else builder.build(node, tuple(parts))
            _assign(out, parts, value if text else "")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            problems.append(f"{item!r}: {_yaml_problem(error)}")
    problems += builder.problems
    if problems:
        raise RecipeError("command line", problems)
    return out


def override(base: dict[str, Any], items: list[str]) -> dict[str, Any]:
    """`base` with assignments on top, one after the other: `a={}` clears what stood below `a`, `a.b=1` adds to it."""
    parse_assignments(items)  # every malformed one at once
    for item in items:
        base = merge(base, parse_assignments([item]))
    return base


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` on top, mapping by mapping; an empty mapping replaces what was there."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping) and value:
            out[key] = merge(old, value)
        else:
            out[key] = value
    return out


def expand(value: Any, path: KeyPath = ()) -> tuple[Any, list[Problem]]:
    """A copy with `${NAME}` and `${NAME:-default}` filled in, and the problems; `$${` stands for a literal `${`."""
    problems: list[Problem] = []

    def fill(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name is None:
            return "${"
        found = os.environ.get(name, default)
        if found is None:
            problems.append((path, f"the environment variable {name} is not set"))
            return ""
        return found

    if isinstance(value, str) and "${" in value:
        return _typed(_VARIABLE.sub(fill, value), value), problems
    if isinstance(value, Mapping):
        pairs = {key: expand(item, (*path, key)) for key, item in value.items()}
        return {key: pair[0] for key, pair in pairs.items()}, [p for pair in pairs.values() for p in pair[1]]
    if isinstance(value, list):
        items = [expand(item, (*path, index)) for index, item in enumerate(value)]
        return [pair[0] for pair in items], [p for pair in items for p in pair[1]]
    return value, problems


def variables(value: Any) -> dict[str, str]:
    """The environment variables that are named below `value` and set, with their values."""
    texts = [text for _, text in walk(value) if isinstance(text, str)]
    names = {match.group(1) for text in texts for match in _VARIABLE.finditer(text)} - {None}
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def redact(value: Any) -> Any:
    """A copy in which credentials inside URLs are blanked."""
    if isinstance(value, str):
        return _CREDENTIALS.sub("***@", value)
    if isinstance(value, Mapping):
        return {key: redact(item) for key, item in value.items()}
    return [redact(item) for item in value] if isinstance(value, list) else value


def dotted(path: KeyPath) -> str:
    """`("a", 0, "b")` as `a[0].b`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return printable(text)


def walk(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value below `value` with its key path."""
    yield path, value
    children: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, Mapping):
        children = iter(value.items())
    elif isinstance(value, list):
        children = iter(enumerate(value))
    for key, item in children:
        yield from walk(item, (*path, key))


def _typed(filled: str, written: str) -> Any:
    """A value that is nothing but one variable gets the type it would have if it had been written out."""
    if _VARIABLE.fullmatch(written) and not written.startswith("$${"):
        scalar = yaml.compose(filled, Loader=yaml.SafeLoader) if filled.strip() else None
        if isinstance(scalar, yaml.ScalarNode) and scalar.tag in _PLAIN_TAGS and scalar.style is None:
            return yaml.constructor.SafeConstructor().construct_object(scalar)
    return filled


_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool")}


def _assign(out: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        out = out.setdefault(part, {})
        if not isinstance(out, dict):
            raise ValueError(f"{part!r} already has a plain value")
    out[parts[-1]] = value


def _yaml_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, RecursionError):
        return "is nested too deep"
    text = str(getattr(error, "problem", None) or error).splitlines()[0].partition("; use sys.")[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {text}" if mark else text
