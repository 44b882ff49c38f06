"""Swagger's words in those of JSON Schema, for judges who had no part in making them."""

from __future__ import annotations

from typing import Any


def plain(schema: Any) -> Any:
    """The schema as draft 4 says it."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: plain(value) for name, value in schema.items() if name != "x-nullable"}
    return {"anyOf": [made, {"type": "null"}]} if schema.get("x-nullable") is True else made
