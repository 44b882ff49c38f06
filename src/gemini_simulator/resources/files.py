"""Files: uploaded, registered or generated; ACTIVE after a while, gone after 48 hours."""

from __future__ import annotations

import base64
import re
from typing import Any

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.journal import note_name
from gemini_simulator.resources.collection import remove
from gemini_simulator.resources.naming import (
    HOST,
    already_exists,
    camel_fields,
    custom_name,
    not_found,
    object_of,
    refuse_unknown,
    resource_name,
    text_of,
)
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.times import timestamp, work_time
from gemini_simulator.resources.uploads import Blob, Upload, receive
from gemini_simulator.world import Project, World

KIND = "files"
LIFETIME_SECONDS = 48 * 3600.0
PROCESSING_SECONDS = 5.0
PROJECT_BYTES = 20 * 1024**3
FIELDS = {"name", "displayName", "mimeType", "sizeBytes", "source"}
_FILE_URI = re.compile(r"(?:https?://[^/]+/(?:[^?#]*/)?)?files/([a-z0-9-]+)(?::download)?(?:\?.*)?")


def forbidden(file_id: str) -> ApiError:
    """What Google says of a file that is not there or belongs to another project."""
    return ApiError(403, f"You do not have permission to access the File {file_id} or it may not exist.")


def add_file(world: World, project: Project, blob: Blob, fields: dict[str, Any]) -> dict[str, Any]:
    """Keep ``blob`` as a file of ``project``; ``fields`` are name, displayName, source.

    Returns the stored object, without its state. Raises ApiError 400, 409, or 429 when the project is full.
    """
    drop_expired(project, world.clock.now())
    name = custom_name(KIND, str(fields["name"])) if fields.get("name") else f"{KIND}/{world.new_id('f')}"
    files = project.collection(KIND)
    if name in files:
        raise already_exists(name)
    if sum(int(item["sizeBytes"]) for item in files.values()) + blob.size > PROJECT_BYTES:
        raise ApiError(429, f"You have exceeded the file_storage_bytes quota. Limit: {PROJECT_BYTES}.")
    now = world.clock.now()
    slow = blob.mime_type.startswith(("video/", "audio/")) or blob.kept is None
    item: dict[str, Any] = {"name": name}
    if fields.get("displayName"):
        item["displayName"] = fields["displayName"]
    item |= {
        "mimeType": blob.mime_type,
        "sizeBytes": str(blob.size),
        "createTime": timestamp(now),
        "updateTime": timestamp(now),
        "expirationTime": timestamp(now + LIFETIME_SECONDS),
        "sha256Hash": base64.b64encode(blob.digest.hexdigest().encode()).decode(),
        "uri": f"{HOST}/v1beta/{name}",
        "source": fields.get("source", "UPLOADED"),
    }
    if item["source"] == "GENERATED":
        item["downloadUri"] = f"{HOST}/v1beta/{name}:download?alt=media"
    files[name] = item
    project.blobs[name] = blob
    project.blobs[f"ready:{name}"] = now + (work_time(world, PROCESSING_SECONDS) if slow else 0.0)
    project.blobs[f"expires:{name}"] = now + LIFETIME_SECONDS
    return item


def drop_expired(project: Project, now: float) -> None:
    """Forget the files that are older than Google keeps them."""
    for name in list(project.collection(KIND)):
        if now >= project.blobs[f"expires:{name}"]:
            _forget(project, name)


def _forget(project: Project, name: str) -> None:
    project.collection(KIND).pop(name, None)
    for key in (name, f"ready:{name}", f"expires:{name}"):
        project.blobs.pop(key, None)


def state_of(project: Project, name: str, now: float) -> str:
    """PROCESSING or ACTIVE at ``now``."""
    return "ACTIVE" if now >= project.blobs[f"ready:{name}"] else "PROCESSING"


def public(project: Project, item: dict[str, Any], now: float) -> dict[str, Any]:
    """The File that a reader sees at ``now``."""
    state = state_of(project, item["name"], now)
    seen = {**item, "state": state}
    if state == "ACTIVE" and item["mimeType"].startswith("video/"):
        # About 1 MB a second is a plausible length for a video of this size; Google measures the real one.
        seen["videoMetadata"] = {"videoDuration": f"{max(1, int(item['sizeBytes']) // 1_000_000)}s"}
    return seen


def check_file(project: Project, uri: str, now: float | None = None) -> dict[str, Any] | None:
    """The file of ``project`` that ``uri`` names; None when it names no file of the Files API at all.

    ``uri`` is a fileUri of a request. With ``now`` (unix seconds) expiry and state are looked at too. Raises
    ApiError 403 for a file that the project does not have, 400 for one that is still PROCESSING.
    """
    found = _FILE_URI.fullmatch(uri)
    if found is None:
        return None
    name = f"{KIND}/{found[1]}"
    note_name(name)
    if now is not None:
        drop_expired(project, now)
    item = project.collection(KIND).get(name)
    if item is None:
        raise forbidden(found[1])
    if now is not None and state_of(project, name, now) != "ACTIVE":
        raise ApiError(
            400,
            f"The File {found[1]} is not in an ACTIVE state and usage is not allowed.",
            "FAILED_PRECONDITION",
        )
    return item


async def _finish(request: Request, upload: Upload) -> dict[str, Any]:
    refuse_unknown(upload.body, {"file"})
    fields = camel_fields(object_of(upload.body, "file"))
    refuse_unknown(fields, FIELDS, "file")
    if text_of(fields, "mimeType"):
        upload.blob.mime_type = fields["mimeType"]
    item = add_file(request.world, request.project, upload.blob, {**fields, "source": "UPLOADED"})
    return {"file": public(request.project, item, request.world.clock.now())}


async def upload(request: Request) -> Reply:
    """media.upload in every protocol."""
    return await receive(request, KIND, _finish)


def _find(request: Request) -> dict[str, Any]:
    drop_expired(request.project, request.world.clock.now())
    name = resource_name(request)
    try:
        return request.project.collection(KIND)[name]
    except KeyError:
        raise forbidden(name.removeprefix("files/")) from None


async def get(request: Request) -> Reply:
    """files.get."""
    return Reply(public(request.project, _find(request), request.world.clock.now()))


async def list_(request: Request) -> Reply:
    """files.list, newest first as Google does."""
    now = request.world.clock.now()
    drop_expired(request.project, now)
    items = list(reversed(request.project.collection(KIND).values()))
    chosen, token = page(request, items, 10, 100)
    answer: dict[str, Any] = {}
    if chosen:
        answer["files"] = [public(request.project, item, now) for item in chosen]
    if token:
        answer["nextPageToken"] = token
    return Reply(answer)


async def list_generated(request: Request) -> Reply:
    """generatedFiles.list: the videos and other media that models made."""
    now = request.world.clock.now()
    drop_expired(request.project, now)
    made = [item for item in request.project.collection(KIND).values() if item["source"] == "GENERATED"]
    chosen, token = page(request, made, 10, 50)
    answer: dict[str, Any] = {}
    if chosen:
        answer["generatedFiles"] = [
            {
                "name": "generatedFiles/" + item["name"].removeprefix("files/"),
                "mimeType": item["mimeType"],
                "state": "GENERATED",
            }
            for item in chosen
        ]
    if token:
        answer["nextPageToken"] = token
    return Reply(answer)


async def delete(request: Request) -> Reply:
    """files.delete."""
    name = _find(request)["name"]
    _forget(request.project, name)
    remove(request, name)
    return Reply({})


async def register(request: Request) -> Reply:
    """files:register: objects in Cloud Storage become files without being copied."""
    body = camel_fields(await request.json())
    refuse_unknown(body, {"uris"})
    uris = body.get("uris")
    if not isinstance(uris, list) or not uris:
        raise ApiError(400, "* RegisterFilesRequest.uris: uris is required.\n")
    made = []
    for uri in uris:
        if not isinstance(uri, str) or not uri.startswith("gs://"):
            raise ApiError(400, f"Invalid Cloud Storage URI: {uri}")
        blob = Blob()
        item = add_file(request.world, request.project, blob, {"source": "REGISTERED"})
        item["uri"] = uri
        made.append(public(request.project, item, request.world.clock.now()))
    return Reply({"files": made})


async def download(request: Request) -> Reply:
    """files.download: the bytes of a generated file, or of an uploaded one that is small enough to be kept.

    Without ``alt=media`` the answer is the File. Raises ApiError 400 for a file whose bytes are not kept.
    """
    item = _find(request)
    if request.query.get("alt") != "media":
        return Reply(public(request.project, item, request.world.clock.now()))
    if state_of(request.project, item["name"], request.world.clock.now()) != "ACTIVE":
        raise ApiError(400, "The file is not ready for download.", "FAILED_PRECONDITION")
    blob = request.project.blobs.get(item["name"])
    if not isinstance(blob, Blob):
        raise not_found()
    if blob.kept is None:
        raise ApiError(
            400, "The file is too large: the simulator keeps 16 MiB of a file at most.", "FAILED_PRECONDITION"
        )
    return Reply(raw=bytes(blob.kept), content_type=item["mimeType"])


HANDLERS: dict[str, Handler] = {
    "media.upload": upload,
    "files.get": get,
    "files.list": list_,
    "files.delete": delete,
    "files.register": register,
    "files.download": download,
    "media.download": download,
    "media.download(AI SDK)": download,
    "generatedFiles.list": list_generated,
}
