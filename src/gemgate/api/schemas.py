"""Types as Swagger 2.0 says them: what msgspec tells of a type is JSON Schema, of which Swagger knows a part.

Laws:

- ``T | None`` becomes ``x-nullable``; other unions have no form in Swagger 2.0 and are refused when the document is
  made;
- every Struct stands once under ``definitions`` by its name; of two with one name each has its module in it;
- a field that says nothing of itself is described by the ``glossary``;
- no bound is beyond what a number of JavaScript holds, since pages show it wrong and send it wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gemgate.api import glossary

_TEMPLATE: Final = "#/definitions/{name}"
_KEPT: Final = frozenset(
    (
        *("$ref", "type", "format", "title", "description", "default", "required", "enum", "pattern"),
        *(
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "uniqueItems",
            "multipleOf",
        ),
    )
)
_SAFE: Final = 2**53 - 1
_NAMES: Final = {str: "string", int: "integer", float: "number", bool: "boolean"}

Schema = dict[str, Any]


def definitions(types: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each of these types, and the definitions that they refer to, by name.

    Raises TypeError for a type that Swagger 2.0 has no form for.
    """
    every = list(dict.fromkeys(types))
    found, parts = msgspec.json.schema_components(every, ref_template=_TEMPLATE)
    return (
        {one: swagger(schema) for one, schema in zip(every, found, strict=True)},
        {name: _described(name, swagger(schema)) for name, schema in parts.items()},
    )


def parameters(query: type[msgspec.Struct]) -> list[Schema]:
    """The fields of a query struct as parameters of an operation.

    Raises TypeError for a field that no query string can hold.
    """
    _, parts = definitions([query])
    schema = parts[query.__name__]
    required = set(schema.get("required", ()))
    return [_parameter(name, dict(one), name in required) for name, one in schema["properties"].items()]


def swagger(schema: Mapping[str, Any]) -> Schema:
    """JSON Schema as Swagger 2.0. Raises TypeError for what it has no form for."""
    made: Schema = {}
    for name, value in schema.items():
        if name in _KEPT:
            made[name] = value
    if made.get("default", 0) is None:
        del made["default"]
    _choices(schema, made)
    _bounds(schema, made)
    _inner(schema, made)
    if schema.get("examples"):
        first = schema["examples"][0]
        made["example"] = [first] if made.get("type") == "array" and not isinstance(first, list) else first
    if "$ref" in made and len(made) > 1:
        # What stands beside a reference is not read.
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    return made


def _described(struct: str, schema: Schema) -> Schema:
    """The definition with a sentence for each field that has none of its own."""
    for name, one in schema.get("properties", {}).items():
        said = "" if one.get("description") else glossary.field(struct, name)
        if said:
            if "$ref" in one:
                one["allOf"] = [{"$ref": one.pop("$ref")}]
            one["description"] = said
    return schema


def _choices(schema: Mapping[str, Any], made: Schema) -> None:
    """Unions, constants and enumerations."""
    some = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(some) > 1:
        raise TypeError(f"Swagger 2.0 has no form for a union: {some}")
    if some:
        made.update(swagger(some[0]))
        made["x-nullable"] = True
    if schema.get("type") == "null":
        del made["type"]
        made["x-nullable"] = True
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if "enum" in made:
        if None in made["enum"]:
            made["x-nullable"] = True
        kinds = {_NAMES[type(one)] for one in made["enum"] if one is not None}
        if len(kinds) == 1:
            made["type"] = kinds.pop()


def _bounds(schema: Mapping[str, Any], made: Schema) -> None:
    for bound, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in schema:
            made[plain] = schema[bound]
            made[bound] = True
    for bound in ("minimum", "maximum"):
        if isinstance(made.get(bound), int):
            made[bound] = max(-_SAFE, min(_SAFE, made[bound]))
    if schema.get("contentEncoding") == "base64":
        made["format"] = "byte"


def _inner(schema: Mapping[str, Any], made: Schema) -> None:
    if "properties" in schema:
        made["properties"] = {name: swagger(one) for name, one in schema["properties"].items()}
    if not made.get("required", True):
        del made["required"]
    if "additionalProperties" in schema:
        inner = schema["additionalProperties"]
        made["additionalProperties"] = swagger(inner) if isinstance(inner, Mapping) else inner
    if schema.get("type") == "array":
        inner = schema.get("items")
        made["items"] = swagger(inner) if isinstance(inner, Mapping) else {}
    if isinstance(made.get("default"), tuple):
        made["default"] = list(made["default"])


def _parameter(name: str, schema: Schema, required: bool) -> Schema:
    example = schema.pop("example", None)
    schema.pop("x-nullable", None)
    schema.pop("title", None)
    if schema.get("type") not in ("string", "integer", "number", "boolean", "array"):
        raise TypeError(f"the query field {name} is none that a query string can hold: {schema}")
    made = {"name": name, "in": "query", **schema, "required": required}
    if schema["type"] == "array":
        # Items of a parameter have no form for an example of their own.
        made["items"] = {name: value for name, value in schema["items"].items() if name != "example"}
        inner = schema["items"].get("example")
        example = [inner] if example is None and inner is not None else example
        made["collectionFormat"] = "multi"
    if example is not None:
        made["x-example"] = example
    return made
