"""JSON Schema as pydantic writes it → the structural OpenAPI schema that a CRD may hold.

Kubernetes accepts a subset of OpenAPI 3 ("Specifying a structural schema" in its documentation):
no references, one type for each value, no `null`, boolean exclusive bounds. What cannot be said in
it is refused here, when the files are generated, and not by the user's API server.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

JsonSchema = dict[str, Any]

PERSISTED_DEFAULT = "x-fairlead-persisted-default"
"""Marks the few fields whose default is a promise of the API and is written into the object."""

_INT32_MAX = 2**31 - 1
_VALIDATIONS = "x-kubernetes-validations"
_COPIED = (
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
_READ = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "properties",
    "required",
    "title",
    "type",
    PERSISTED_DEFAULT,
    *_COPIED,
}


class UnsupportedSchemaError(TypeError):
    """A Python type that a CRD cannot express; the message names the field."""


def structural(model: type[BaseModel]) -> JsonSchema:
    """The structural schema of a model, descriptions included.

    Raises:
        UnsupportedSchemaError: a field has a type that a CRD cannot express.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    return _Converter(definitions).convert(schema, model.__name__, ())


class _Converter:
    def __init__(self, definitions: Mapping[str, JsonSchema]) -> None:
        self._definitions = definitions

    def convert(self, source: JsonSchema, path: str, parents: tuple[str, ...]) -> JsonSchema:
        """One value's schema with its references inlined; `parents` are the types it lies in."""
        source, parents = self._resolve(source, path, parents)
        unknown = [key for key in source if key not in _READ and not key.startswith("x-kubernetes-")]
        if unknown:
            message = f"{path}: a CRD has no {', '.join(sorted(unknown))}"
            raise UnsupportedSchemaError(message)
        result: JsonSchema = {}
        if "description" in source:
            result["description"] = _prose(source["description"])
        if source.get(PERSISTED_DEFAULT):
            result["default"] = source["default"]
        result |= _typed(source, path)
        result |= {key: source[key] for key in _COPIED if key in source}
        result |= _bounds(source)
        result |= self._children(source, path, parents)
        result |= {key: value for key, value in source.items() if key.startswith("x-kubernetes-")}
        return result

    def _resolve(self, source: JsonSchema, path: str, parents: tuple[str, ...]) -> tuple[JsonSchema, tuple[str, ...]]:
        """Follow references and take `None` out of unions; what stands nearer to the field wins."""
        while "$ref" in source or "anyOf" in source:
            outer = {key: value for key, value in source.items() if key not in {"$ref", "anyOf"}}
            if "$ref" in source:
                name = source["$ref"].rsplit("/", 1)[-1]
                if name in parents:
                    message = f"{path}: {name} contains itself, which a CRD cannot say"
                    raise UnsupportedSchemaError(message)
                parents = (*parents, name)
                inner = self._definitions[name]
            else:
                inner = _without_null(source["anyOf"], path)
            rules = [*inner.get(_VALIDATIONS, ()), *outer.get(_VALIDATIONS, ())]
            source = inner | outer
            if rules:
                source[_VALIDATIONS] = rules
        return source, parents

    def _children(self, source: JsonSchema, path: str, parents: tuple[str, ...]) -> JsonSchema:
        result: JsonSchema = {}
        if source.get("required"):
            result["required"] = list(source["required"])
        if source.get("properties"):
            result["properties"] = {
                name: self.convert(value, f"{path}.{name}", parents) for name, value in source["properties"].items()
            }
        if isinstance(source.get("additionalProperties"), dict):
            result["additionalProperties"] = self.convert(source["additionalProperties"], f"{path}[key]", parents)
        if "items" in source:
            result["items"] = self.convert(source["items"], f"{path}[]", parents)
        return result


def _without_null(options: list[JsonSchema], path: str) -> JsonSchema:
    options = [option for option in options if option.get("type") != "null"]
    if len(options) == 1:
        return options[0]
    if sorted(str(option.get("type")) for option in options) == ["integer", "string"]:
        return {"x-kubernetes-int-or-string": True}
    message = f"{path}: a CRD has one type for each value"
    raise UnsupportedSchemaError(message)


def _typed(source: JsonSchema, path: str) -> JsonSchema:
    """The type, with a constant as an enumeration of one and integers sized as Go sizes them."""
    if source.get("x-kubernetes-int-or-string"):
        return {}
    if "type" not in source:
        message = f"{path}: a CRD needs a type"
        raise UnsupportedSchemaError(message)
    result: JsonSchema = {"type": source["type"]}
    if "const" in source:
        result["enum"] = [source["const"]]
    if source["type"] == "integer":
        small = max(abs(source.get("maximum", 2**63)), abs(source.get("minimum", 0))) <= _INT32_MAX
        result["format"] = "int32" if small else "int64"
    return result


def _bounds(source: JsonSchema) -> JsonSchema:
    """OpenAPI 3.0 has exclusive bounds as booleans beside the number."""
    result: JsonSchema = {}
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in source:
            result |= {plain: source[exclusive], exclusive: True}
    return result


def _prose(text: str) -> str:
    """A docstring's lines joined into paragraphs, as `kubectl explain` wraps them itself."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
