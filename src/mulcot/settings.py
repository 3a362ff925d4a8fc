"""The base of every class that a recipe can configure.

A plug-in's options are the fields of its class; the string under a field is its documentation, in the JSON Schema and
in the docs. Unknown keys are refused. A section that is written in part changes its field's default in that part alone:
where a stage has settings of its own, `training: {epochs: 5}` keeps all the others. Fields made with `volatile` do not
change a result (concurrency, timeouts) and therefore do not make a finished stage run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")


def volatile(default: Any, **rest: Any) -> Any:
    """A field whose value does not change results, such as a timeout."""
    return Field(default=default, json_schema_extra={"volatile": True}, **rest)


class Settings(BaseModel):
    """Frozen, strict about unknown keys, documented in place."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    name: ClassVar[str] = ""
    """The registered name of a plug-in; set by its registry."""

    @model_validator(mode="before")
    @classmethod
    def _keep_the_rest(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        defaults = {info.alias or key: info.default for key, info in cls.model_fields.items()}
        return {key: _over(defaults.get(key), value) for key, value in data.items()}

    def identity(self) -> dict[str, Any]:
        """Everything that decides the result, as plain JSON."""
        out: dict[str, Any] = {"name": self.name} if self.name else {}
        for key, info in type(self).model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and extra.get("volatile"):
                continue
            out[key] = _identity(getattr(self, key))
        return out

    def fingerprint(self) -> str:
        """A hash of `identity`: equal settings, equal fingerprint."""
        return fingerprint(self.identity())


def _over(default: Any, given: Any) -> Any:
    """What is given, over a default; another plug-in or kind has nothing to do with it."""
    if not isinstance(default, Settings) or not isinstance(given, Mapping):
        return given
    picked = {"kind": default.kind} if hasattr(default, "kind") else {}
    if any(given.get(key, value) != value for key, value in {**picked, "name": default.name}.items()):
        return given
    fields = {info.alias or key: key for key, info in type(default).model_fields.items()}
    kept = {alias: getattr(default, key) for alias, key in fields.items() if key in default.model_fields_set}
    return {**picked, **kept, **{key: _over(kept.get(key), value) for key, value in given.items()}}


def fingerprint(value: Any) -> str:
    """A hash of anything JSON can write, independent of key order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _identity(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.identity()
    if isinstance(value, list | tuple):
        return [_identity(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _identity(item) for key, item in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a default written as 200 and a recipe's 200.0 are one value
    return value
