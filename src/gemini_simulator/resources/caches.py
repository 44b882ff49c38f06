"""Explicit context caches: prefixes that a project keeps, and pays for, until they expire."""

from __future__ import annotations

from typing import Any

from gemini_simulator import catalog, messages, tokens
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.files import check_file
from gemini_simulator.resources.naming import camel_fields, refuse_unknown, require, resource_name, text_of
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.times import parse_duration, parse_timestamp, timestamp
from gemini_simulator.world import Project

KIND = "cachedContents"
DEFAULT_SECONDS = 3600.0
CONTENT_FIELDS = ("contents", "systemInstruction", "tools", "toolConfig")
FIELDS = {"name", "model", "displayName", "ttl", "expireTime", *CONTENT_FIELDS}


def forbidden() -> ApiError:
    """What Google says of a cache that has expired, never was, or belongs to another project."""
    return ApiError(403, "CachedContent not found (or permission denied)")


def drop_expired(project: Project, now: float) -> None:
    """Forget the caches whose time is over."""
    for name in list(project.collection(KIND)):
        if now >= project.blobs[f"expires:{name}"]:
            _forget(project, name)


def _forget(project: Project, name: str) -> None:
    project.collection(KIND).pop(name, None)
    project.blobs.pop(name, None)
    project.blobs.pop(f"expires:{name}", None)


def check_cache(project: Project, name: str, model: str, now: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The CachedContent called ``name`` and its held contents, systemInstruction, tools, toolConfig.

    Raises ApiError 403 when the project has no such cache at ``now``, 400 when it was made for another ``model``.
    """
    drop_expired(project, now)
    item = project.collection(KIND).get(name)
    if item is None:
        raise forbidden()
    asked = f"models/{model.removeprefix('models/')}"
    if asked != item["model"]:
        raise ApiError(
            400,
            f"Model used by GenerateContent request ({asked}) and CachedContent ({item['model']}) "
            "has to be the same.",
        )
    held: dict[str, Any] = project.blobs[name]
    return item, held


def _expiry(body: dict[str, Any], now: float, default: float | None) -> float | None:
    if "ttl" in body and "expireTime" in body:
        raise ApiError(400, "Invalid value: only one of ttl and expire_time may be set.")
    if "ttl" in body:
        return now + parse_duration(body["ttl"], "cached_content.ttl")
    if "expireTime" in body:
        moment = parse_timestamp(body["expireTime"], "cached_content.expire_time")
        if moment <= now:
            raise ApiError(400, "expire_time must be in the future.")
        return moment
    return None if default is None else now + default


def _sizes(request: Request, contents: list[dict[str, Any]]) -> dict[str, int]:
    """Bytes by URI of the files that ``contents`` name. Raises ApiError for files that may not be used."""
    sizes = {}
    for content in contents:
        for part in content.get("parts", []):
            uri = part.get("fileData", {}).get("fileUri", "")
            item = check_file(request.project, uri, request.world.clock.now()) if uri else None
            if item is not None:
                sizes[uri] = int(item["sizeBytes"])
    return sizes


def _count(request: Request, held: dict[str, Any]) -> int:
    contents = list(held.get("contents", []))
    if "systemInstruction" in held:
        contents.append(held["systemInstruction"])
    total = sum(tokens.count(contents, _sizes(request, contents)).values())
    for tool in held.get("tools", []):
        total += tokens.of_part(tool, {})[1]
    return total


async def create(request: Request) -> Reply:
    """cachedContents.create.

    Raises ApiError 400 for too short a prefix, 404 for a model that caches nothing.
    """
    body = camel_fields(await request.json())
    refuse_unknown(body, FIELDS)
    require(body, ("model",), "CreateCachedContentRequest.cached_content")
    model = catalog.find(request.world, text_of(body, "model"), request.version, "createCachedContent")
    held = messages.read("GenerateContentRequest", {key: body[key] for key in CONTENT_FIELDS if key in body})
    now = request.world.clock.now()
    expires = _expiry(body, now, DEFAULT_SECONDS)
    total = _count(request, held)
    if total < model.cache_min:
        raise ApiError(
            400,
            f"Cached content is too small. total_token_count={total}, min_total_token_count={model.cache_min}",
        )
    if total > model.input_limit:
        raise ApiError(
            400, f"Cached content is too large. total_token_count={total}, max={model.input_limit}"
        )
    name = f"{KIND}/{request.world.new_id('c')}"
    item: dict[str, Any] = {"name": name, "model": f"models/{text_of(body, 'model').removeprefix('models/')}"}
    if text_of(body, "displayName"):
        item["displayName"] = body["displayName"]
    item |= {
        "createTime": timestamp(now),
        "updateTime": timestamp(now),
        "expireTime": timestamp(expires or now),
        "usageMetadata": {"totalTokenCount": total},
    }
    request.project.collection(KIND)[name] = item
    request.project.blobs[name] = held
    request.project.blobs[f"expires:{name}"] = expires
    return Reply(item)


def _find(request: Request) -> dict[str, Any]:
    drop_expired(request.project, request.world.clock.now())
    try:
        return request.project.collection(KIND)[resource_name(request)]
    except KeyError:
        raise forbidden() from None


async def get(request: Request) -> Reply:
    """cachedContents.get: everything but the contents, which Google never returns."""
    return Reply(_find(request))


async def list_(request: Request) -> Reply:
    """cachedContents.list."""
    drop_expired(request.project, request.world.clock.now())
    chosen, token = page(request, list(request.project.collection(KIND).values()), 50, 1000)
    answer: dict[str, Any] = {KIND: chosen} if chosen else {}
    if token:
        answer["nextPageToken"] = token
    return Reply(answer)


async def patch(request: Request) -> Reply:
    """cachedContents.patch: only the end of its life can change. Raises ApiError 400 for other fields."""
    item = _find(request)
    body = camel_fields(await request.json())
    refuse_unknown(body, FIELDS)
    fixed = [name for name in body if name not in ("ttl", "expireTime", "name")]
    now = request.world.clock.now()
    expires = _expiry(body, now, None)
    if fixed or expires is None:
        raise ApiError(400, "Only ttl and expire_time can be updated on CachedContent.")
    item["expireTime"] = timestamp(expires)
    item["updateTime"] = timestamp(now)
    request.project.blobs[f"expires:{item['name']}"] = expires
    return Reply(item)


async def delete(request: Request) -> Reply:
    """cachedContents.delete."""
    _forget(request.project, _find(request)["name"])
    return Reply({})


HANDLERS: dict[str, Handler] = {
    "cachedContents.create": create,
    "cachedContents.get": get,
    "cachedContents.list": list_,
    "cachedContents.patch": patch,
    "cachedContents.delete": delete,
}
