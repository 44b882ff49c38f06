"""The shapes of the JSON bodies that no protobuf message describes, and the check that holds a body against one.

A shape is a type; a list of one shape, for a list of such; a dict of shapes by field name; a tuple of shapes, for
any one of them; or ``Each``, for a map whose values have one shape. Fields that a dict shape does not name are not
looked at: whether they are known is another question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gemini_simulator.http import ApiError


@dataclass(frozen=True, slots=True)
class Each:
    """A map from any name to values of one shape."""

    shape: Any


NAMES = {str: "TYPE_STRING", int: "TYPE_INT32", float: "TYPE_DOUBLE", bool: "TYPE_BOOL", dict: "message"}

SCHEMA: dict[str, Any] = {"required": [str], "description": str, "enum": list}
SCHEMA |= {"properties": Each(SCHEMA), "items": SCHEMA, "anyOf": [SCHEMA], "$defs": Each(SCHEMA), "$ref": str}

_CONTENT = {"type": str, "text": str, "data": str, "mime_type": str, "uri": str}
_ITEM = {
    **_CONTENT,
    "content": (str, _CONTENT, [(str, _CONTENT)]),
    "id": str,
    "name": str,
    "call_id": str,
    "arguments": dict,
    "signature": str,
    "is_error": bool,
}
_FORMAT = {"type": str, "mime_type": str, "schema": SCHEMA}
INTERACTION = {
    "model": str,
    "agent": str,
    "input": (str, _ITEM, [_ITEM]),
    "tools": [{"type": str, "name": str, "description": str, "parameters": SCHEMA}],
    "generation_config": {
        "thinking_level": str,
        "thinking_summaries": str,
        "stop_sequences": [str],
        "tool_choice": (str, {"allowed_tools": {"mode": str, "tools": [str]}}),
        "image_config": {"aspect_ratio": str, "image_size": str},
    },
    "response_format": (_FORMAT, [_FORMAT]),
    "response_mime_type": str,
    "response_modalities": [str],
    "system_instruction": str,
    "service_tier": str,
    "previous_interaction_id": str,
    "cached_content": str,
    "continuation_token": str,
    "stream": bool,
    "background": bool,
    "store": bool,
    "labels": Each(str),
}

_PART = {
    "type": str,
    "text": str,
    "image_url": {"url": str},
    "input_audio": {"data": str, "format": str},
}
_GOOGLE = {
    "cached_content": str,
    "thinking_config": {"thinking_level": str, "thinking_budget": int, "include_thoughts": bool},
}
_CALL = {
    "id": str,
    "function": {"name": str, "arguments": str},
    "extra_content": {"google": {"thought_signature": str}},
}
CHAT = {
    "model": str,
    "messages": [
        {
            "role": str,
            "content": (str, [_PART]),
            "name": str,
            "tool_call_id": str,
            "tool_calls": [_CALL],
        }
    ],
    "tools": [{"type": str, "function": {"name": str, "description": str, "parameters": SCHEMA}}],
    "tool_choice": (str, {"function": {"name": str}}),
    "response_format": {"type": str, "json_schema": {"name": str, "schema": SCHEMA}},
    "reasoning_effort": str,
    "stop": (str, [str]),
    "n": int,
    "max_tokens": int,
    "max_completion_tokens": int,
    "temperature": float,
    "top_p": float,
    "service_tier": str,
    "stream": bool,
    "stream_options": {"include_usage": bool},
    "extra_body": {"google": _GOOGLE},
    "google": _GOOGLE,
}


def hold(value: Any, shape: Any, path: str = "") -> None:
    """Refuse a ``value`` that has not this ``shape``. Raises ApiError 400 that names the place.

    A field that is null is as good as absent; an item of a list may not be null.
    """
    found = _fault(value, shape, path)
    if found:
        raise ApiError(400, found)


def _fault(value: Any, shape: Any, path: str) -> str:
    if isinstance(shape, tuple):
        faults = [_fault(value, one, path) for one in shape]
        # The last form is the longest one: its fault tells most.
        return "" if "" in faults else faults[-1]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"Invalid value at '{path}' (type list)"
        found = (_fault(item, shape[0], f"{path}[{at}]") for at, item in enumerate(value))
        return next(filter(None, found), "")
    if isinstance(shape, Each | dict):
        return _fault_within(value, shape, path)
    good = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
    if shape is float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if good else f"Invalid value at '{path}' ({NAMES.get(shape, shape.__name__)}), {value!r}"[:500]


def _fault_within(value: Any, shape: Each | dict[str, Any], path: str) -> str:
    if not isinstance(value, dict):
        return f"Invalid value at '{path}' (type message)"
    within = path + "." if path else ""
    if isinstance(shape, Each):
        found = (_fault(item, shape.shape, f"{within}{name}") for name, item in value.items())
    else:
        found = (
            _fault(item, shape[name], f"{within}{name}")
            for name, item in value.items()
            if name in shape and item is not None
        )
    return next(filter(None, found), "")
