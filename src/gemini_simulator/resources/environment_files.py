"""The files inside an environment's workspace: uploaded by the resumable protocol, listed by path."""

from __future__ import annotations

from typing import Any

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.collection import find
from gemini_simulator.resources.naming import asked_for, not_found, resource_name
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.platform import ENVIRONMENTS
from gemini_simulator.resources.times import timestamp, whole_seconds
from gemini_simulator.resources.uploads import Upload, receive


def _environment_and_path(request: Request) -> tuple[dict[str, Any], str]:
    """The environment, and the path inside its workspace. Raises ApiError 404 for an unknown environment."""
    _, environment, _, *rest = [*resource_name(request).split("/", 3), "", ""][:4]
    return find(request, ENVIRONMENTS, f"environments/{environment}"), rest[0].strip("/")


def _workspace(request: Request, environment: str) -> dict[str, dict[str, Any]]:
    return request.project.collection(f"environments/{environment}/files")


async def get(request: Request) -> Reply:
    """One file, or what lies in a directory. Raises ApiError 404 for a path that is neither."""
    environment, path = _environment_and_path(request)
    files = _workspace(request, environment["id"])
    if path in files:
        return Reply({"files": [files[path]]})
    prefix = f"{path}/" if path and path != "." else ""
    inside = {name: item for name, item in files.items() if name.startswith(prefix)}
    if prefix and not inside:
        raise not_found()
    found = list(inside.values()) if asked_for(request, "recursive") else _level(inside, prefix)
    chosen, token = page(request, found, 100, 1000)
    answer: dict[str, Any] = {"files": chosen} if chosen else {}
    if token:
        answer["next_page_token"] = token
    return Reply(answer)


def _level(inside: dict[str, dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """Files right below ``prefix``, and the directories there, each once."""
    found: dict[str, dict[str, Any]] = {}
    for name, item in inside.items():
        head, slash, _ = name.removeprefix(prefix).partition("/")
        found[head] = {"name": head, "path": prefix + head, "type": "directory"} if slash else item
    return list(found.values())


async def _finish(request: Request, upload: Upload) -> dict[str, Any]:
    environment, path = _environment_and_path(request)
    files = _workspace(request, environment["id"])
    if not path:
        raise ApiError(400, "A file needs a path inside the environment.")
    if path in files and request.query.get("overwrite", "").lower() == "false":
        raise ApiError(409, f"File '{path}' already exists.", "ALREADY_EXISTS")
    now = request.world.clock.now()
    item = {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "type": "file",
        "mime_type": upload.blob.mime_type,
        "size_bytes": upload.blob.size,
        "created": files.get(path, {}).get("created", timestamp(now)),
        "modified": timestamp(now),
    }
    files[path] = item
    environment["file_count"] = len(files)
    environment["size_bytes"] = sum(int(known["size_bytes"]) for known in files.values())
    environment["updated"] = whole_seconds(now)
    return item


async def upload(request: Request) -> Reply:
    """environments.files.upload, by any upload protocol."""
    environment, _ = _environment_and_path(request)
    return await receive(request, f"environments/{environment['id']}", _finish)


HANDLERS: dict[str, Handler] = {
    "environments.files.get": get,
    "environments.files.upload": upload,
}
