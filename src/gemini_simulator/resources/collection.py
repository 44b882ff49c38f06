"""One way to create, read, list, change and delete: the simple resources are rows of a table.

A ``Collection`` says what a kind of resource looks like; ``handlers`` makes its methods. Two families exist
at Google: older ones are named (``corpora/abc``, camelCase), newer ones carry an ``id`` and snake_case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.naming import (
    already_exists,
    camel_fields,
    custom_name,
    not_found,
    refuse_unknown,
    require,
    resource_name,
)
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.shapes import hold
from gemini_simulator.resources.times import timestamp

Objects = dict[str, dict[str, Any]]
Finish = Callable[[Request, dict[str, Any]], dict[str, Any]]
Show = Callable[[Request, dict[str, Any]], dict[str, Any]]


def _as_it_is(_: Request, item: dict[str, Any]) -> dict[str, Any]:
    return item


@dataclass(frozen=True, slots=True)
class Collection:
    """How one kind of resource behaves.

    ``fields`` are the names and shapes of what a body may say. ``kind`` is both the last word of the list's
    path and the field that holds the list, unless ``listed_as`` says otherwise. ``finish`` adds what Google adds
    at creation; ``show`` is what a reader sees now.
    """

    kind: str
    fields: dict[str, Any]
    required: tuple[str, ...] = ()
    changeable: frozenset[str] = frozenset()
    family: Literal["name", "id"] = "name"
    listed_as: str = ""
    wrapper: str = ""
    id_prefix: str = ""
    default_page: int = 10
    most_page: int = 1000
    times: tuple[str, ...] = ()
    finish: Finish = _as_it_is
    show: Show = _as_it_is
    missing: Callable[[str], ApiError] = field(default=lambda _: not_found())


def objects_of(request: Request, kind: str) -> Objects:
    """All objects of a kind in the caller's project, by full resource name."""
    return request.project.collection(kind)


def find(request: Request, collection: Collection, name: str) -> dict[str, Any]:
    """The object called ``name``. Raises what Google raises when the project has none."""
    try:
        return objects_of(request, collection.kind)[name]
    except KeyError:
        raise collection.missing(name) from None


def parent_exists(request: Request) -> None:
    """Refuse a list or creation below a resource that is not there. Raises ApiError 404."""
    parent = resource_name(request).rpartition("/")[0]
    if parent and not any(parent in objects for objects in request.project.resources.values()):
        raise not_found()


def children(request: Request, collection: Collection, parent: str) -> list[dict[str, Any]]:
    """The objects right below ``parent`` (a path such as ``corpora/a/permissions``), oldest first."""
    depth = parent.count("/") + 1
    return [
        item
        for name, item in objects_of(request, collection.kind).items()
        if name.startswith(parent + "/") and name.count("/") == depth
    ]


def add(request: Request, collection: Collection, parent: str, body: dict[str, Any]) -> dict[str, Any]:
    """Make an object under ``parent`` from a checked body. Raises ApiError 400 or 409."""
    own_name = "name" if collection.family == "name" else "id"
    fields = dict(body)
    asked = str(fields.pop(own_name, "") or "")
    if asked and collection.family == "name":
        name = custom_name(parent, asked)
    else:
        name = f"{parent}/{asked or request.world.new_id(collection.id_prefix)}"
    if name in objects_of(request, collection.kind):
        raise already_exists(name)
    now = timestamp(request.world.clock.now())
    item: dict[str, Any] = {
        own_name: name if collection.family == "name" else name.rsplit("/", 1)[1],
        **fields,
    }
    item.update(dict.fromkeys(collection.times, now))
    made = collection.finish(request, item)
    objects_of(request, collection.kind)[name] = made
    return made


def accept(collection: Collection, raw: dict[str, Any]) -> dict[str, Any]:
    """The body of a creation, unwrapped and checked. Raises ApiError 400."""
    body = camel_fields(raw) if collection.family == "name" else dict(raw)
    if collection.wrapper and isinstance(body.get(collection.wrapper), dict):
        inner: dict[str, Any] = body[collection.wrapper]
        body = camel_fields(inner) if collection.family == "name" else dict(inner)
    refuse_unknown(body, {*collection.fields, "name", "id", *collection.times}, collection.wrapper)
    hold(body, {**collection.fields, "name": str, "id": str})
    require(body, collection.required, type_name(collection.kind))
    return {name: value for name, value in body.items() if name not in collection.times}


def type_name(kind: str) -> str:
    """``fileSearchStores`` as ``FileSearchStore``: the message behind a collection."""
    singular = {"corpora": "corpus"}.get(kind, kind.removesuffix("s"))
    return singular[:1].upper() + singular[1:]


def change(request: Request, collection: Collection, item: dict[str, Any], raw: dict[str, Any]) -> None:
    """Apply a PATCH under its update mask. Raises ApiError 400 for fields that cannot change."""
    body = camel_fields(raw) if collection.family == "name" else dict(raw)
    refuse_unknown(body, {*collection.fields, "name", "id", *collection.times})
    hold(body, collection.fields)
    mask_text = request.query.get("updateMask") or request.query.get("update_mask") or ""
    mask = [part.strip() for part in mask_text.split(",") if part.strip()]
    if collection.family == "name":
        mask = [next(iter(camel_fields({part: None}))) for part in mask]
    for name in mask or [name for name in body if name not in ("name", "id", "type", *collection.times)]:
        if name not in collection.changeable:
            raise ApiError(400, f"The field '{name}' cannot be updated.")
        if name in body:
            item[name] = body[name]
        else:
            item.pop(name, None)
    for stamp in collection.times:
        if stamp.lower().startswith("update"):
            item[stamp] = timestamp(request.world.clock.now())


def handlers(collection: Collection, method: str, verbs: tuple[str, ...]) -> dict[str, Handler]:
    """Handlers ``{method}.{verb}`` for the verbs asked: create, get, list, patch or update, delete."""

    async def _create(request: Request) -> Reply:
        parent_exists(request)
        body = accept(collection, await request.json())
        return Reply(collection.show(request, add(request, collection, resource_name(request), body)))

    async def _get(request: Request) -> Reply:
        return Reply(collection.show(request, find(request, collection, resource_name(request))))

    async def _list(request: Request) -> Reply:
        parent_exists(request)
        items = children(request, collection, resource_name(request))
        chosen, token = page(request, items, collection.default_page, collection.most_page)
        answer: dict[str, Any] = {}
        if chosen:
            answer[collection.listed_as or collection.kind] = [
                collection.show(request, item) for item in chosen
            ]
        if token:
            answer["nextPageToken" if collection.family == "name" else "next_page_token"] = token
        return Reply(answer)

    async def _patch(request: Request) -> Reply:
        item = find(request, collection, resource_name(request))
        change(request, collection, item, await request.json())
        return Reply(collection.show(request, item))

    async def _delete(request: Request) -> Reply:
        name = resource_name(request)
        find(request, collection, name)
        remove(request, name)
        return Reply({})

    made: dict[str, Handler] = {
        "create": _create,
        "get": _get,
        "list": _list,
        "patch": _patch,
        "update": _patch,
        "delete": _delete,
    }
    return {f"{method}.{verb}": made[verb] for verb in verbs}


def remove(request: Request, name: str) -> None:
    """Forget ``name`` and everything below it."""
    for objects in request.project.resources.values():
        for key in [key for key in objects if key == name or key.startswith(name + "/")]:
            del objects[key]
    for key in [key for key in request.project.blobs if key == name or key.startswith(name + "/")]:
        del request.project.blobs[key]
