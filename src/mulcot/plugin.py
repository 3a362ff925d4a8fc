"""A recipe section that names a plug-in: `dataset: {name: twitter, root: data/twitter2015}`.

    dataset: Annotated[Dataset, Plugin(datasets)]

The section's `name` picks the class from the registry, the other keys are that class's fields. Problems keep their key
path, and the JSON Schema lists every registered plug-in with its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mulcot.errors import UnknownName
from mulcot.registry import Registry

TAG = "\0"
"""Marks the plug-in's name inside pydantic's error paths, where it is no key of the user's."""


class Plugin:
    """Annotation of a field whose value is a plug-in of `registry`."""

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {}
        for cls in self.registry:
            own = core_schema.no_info_before_validator_function(_without_name, handler.generate_schema(cls))
            choices[TAG + cls.name] = own
        union = core_schema.tagged_union_schema(choices, discriminator=self._tag)
        return core_schema.no_info_before_validator_function(self._check, union)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        choices: dict[Any, CoreSchema] = schema["schema"]["choices"]
        options = []
        for tag, choice in choices.items():
            reference = handler(choice)
            own = handler.resolve_ref_schema(reference)
            own["properties"] = {"name": {"const": tag.removeprefix(TAG)}, **own.get("properties", {})}
            own["required"] = ["name", *(key for key in own.get("required", []) if key != "name")]
            options.append(reference)
        text = f"`name` picks the {self.registry.what}; the rest are its options. A name alone takes them as they are."
        return {"oneOf": [{"enum": list(self.registry.names())}, *options], "description": text}

    def _check(self, value: Any) -> Any:
        if isinstance(value, self.registry.base):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise PydanticCustomError("plugin", "a mapping with a `name` is needed here")
        name = value.get("name")
        if not isinstance(name, str):
            known = ", ".join(self.registry.names())
            raise PydanticCustomError("plugin", "`name` is missing; one of: {known}", {"known": known})
        try:
            self.registry.get(name)
        except UnknownName as error:
            text = f"{error.message}. {error.hint}"
            raise PydanticCustomError("plugin", "{text}", {"text": text}) from None
        return value

    @staticmethod
    def _tag(value: Any) -> str:
        return TAG + str(value["name"] if isinstance(value, Mapping) else value.name)


def _without_name(value: Any) -> Any:
    return {key: item for key, item in value.items() if key != "name"} if isinstance(value, Mapping) else value
