"""JSON Schemas on their way to Google, which takes them as they are in ``…JsonSchema`` fields.

One thing is changed: ``const``, which Google reads over, becomes an ``enum`` of one value, so that a tag of a
union keeps its meaning. All else passes byte for byte; a description that OpenAI has beside the schema goes into it.
"""

from __future__ import annotations

from typing import Any

import msgspec

# Under these a key is the name of something, not a word of JSON Schema.
_NAMES = ("properties", "$defs", "definitions", "patternProperties")
# Under these stand plain values.
_VALUES = ("enum", "const", "default", "examples", "required")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def passed(raw: msgspec.Raw) -> msgspec.Raw:
    """The schema for Google. The text is JSON already."""
    if b'"const"' not in bytes(raw):
        return raw
    return msgspec.Raw(msgspec.json.encode(_schema(msgspec.json.decode(raw))))


def described(raw: msgspec.Raw, description: str | None) -> msgspec.Raw:
    """The schema with a description that stood beside it, where it has none of its own."""
    if not description or bytes(memoryview(raw)[:1]) != b"{":
        return raw
    schema = _members.decode(raw)
    if "description" in schema:
        return raw
    return msgspec.Raw(msgspec.json.encode({"description": description, **schema}))


def is_empty(raw: msgspec.Raw) -> bool:
    """Whether parameters say nothing: Google refuses an object schema without properties [facts 6]."""
    text = bytes(raw)
    if not text or text == b"null":
        return True
    if len(text) > 256:
        return False
    schema = msgspec.json.decode(text)
    if not isinstance(schema, dict):
        return False
    return schema.get("type", "object") == "object" and not any(
        schema.get(word) for word in ("properties", "$ref", "anyOf", "oneOf", "allOf", "patternProperties")
    )


def _schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, inner in value.items():
        if key == "const":
            out.setdefault("enum", [inner])
        elif key in _VALUES:
            out[key] = inner
        elif key in _NAMES and isinstance(inner, dict):
            out[key] = {name: _schema(one) for name, one in inner.items()}
        else:
            out[key] = _schema(inner)
    return out
