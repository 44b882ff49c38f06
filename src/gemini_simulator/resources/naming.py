"""Names of resources and of fields: what a path says, and what a body may say."""

from __future__ import annotations

import re
from collections.abc import Collection as Names
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from gemini_simulator.http import ApiError, Request

HOST = "https://generativelanguage.googleapis.com"
CUSTOM_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def resource_name(request: Request) -> str:
    """The resource that the path names, without version, upload or download prefix and ``:verb``.

    ``/upload/v1/files`` is ``files``; ``/v1beta/corpora/a/permissions/b`` is ``corpora/a/permissions/b``.
    """
    segments = request.path.strip("/").split("/")
    while segments and segments[0] != request.version:
        segments.pop(0)
    segments = segments[1:]
    if segments and ":" in segments[-1]:
        segments[-1] = segments[-1].rsplit(":", 1)[0]
    return "/".join(unquote(segment) for segment in segments)


def camel(name: str) -> str:
    """``display_name`` as ``displayName``; a camelCase name stays as it is."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def camel_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with its own field names in camelCase; values are left alone (they may be user data)."""
    return {camel(name): value for name, value in body.items()}


def refuse_unknown(body: Mapping[str, Any], known: Names[str], where: str = "") -> None:
    """Refuse fields that Google's message does not have, in Google's words. Raises ApiError 400."""
    strange = [name for name in body if name not in known]
    if not strange:
        return
    at = f" at '{where}'" if where else ""
    texts = [
        f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.' for name in strange
    ]
    violations = [{"field": where, "description": text} for text in texts]
    if not where:
        violations = [{"description": text} for text in texts]
    raise ApiError(
        400,
        "\n".join(texts),
        details=[{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}],
    )


def require(body: Mapping[str, Any], names: Names[str], where: str) -> None:
    """Refuse a body that lacks a required field. Raises ApiError 400."""
    for name in names:
        if body.get(name) in (None, "", [], {}):
            raise ApiError(400, f"* {where}.{name}: {name} is required.\n")


def text_of(body: Mapping[str, Any], name: str) -> str:
    """A text field, empty when absent. Raises ApiError 400 for another type."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise ApiError(400, f"Invalid value at '{name}' (TYPE_STRING), {value!r}")
    return value


def object_of(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A message field, empty when absent. Raises ApiError 400 for another type."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(400, f"Invalid value at '{name}' (type message), {value!r}")
    return value


def asked_for(request: Request, flag: str) -> bool:
    """Whether a boolean query parameter is set; Google's Python SDK writes ``True``."""
    return request.query.get(flag, "").lower() == "true"


def custom_name(kind: str, asked: str) -> str:
    """A name the client chose, ``{kind}/{id}`` or the bare id, checked. Raises ApiError 400."""
    bare = asked.removeprefix(f"{kind}/")
    if not CUSTOM_ID.fullmatch(bare):
        raise ApiError(
            400,
            f"* {kind}.name: the ID part must be at most 40 characters of lowercase letters, digits and "
            "dashes, and can not begin or end with a dash.\n",
        )
    return f"{kind}/{bare}"


def not_found() -> ApiError:
    """Google's plain 404."""
    return ApiError(404, "Requested entity was not found.")


def already_exists(name: str) -> ApiError:
    """Google's 409 for a name that is taken."""
    return ApiError(409, f"Resource '{name}' already exists.", rpc="ALREADY_EXISTS")
