"""Google's upload protocols: resumable in legs, multipart/related in one, and raw.

Laws of the resumable protocol: a leg's offset is what was received so far; legs but the last are a
multiple of the granularity; bytes are kept as they arrive, so ``query`` after a broken leg says where to go on.
A body above ``KEPT_BYTES`` is hashed and counted but not kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gemini_simulator.http import ApiError, Reply, Request
from gemini_simulator.resources.naming import not_found
from gemini_simulator.world import Project, World

KEPT_BYTES = 16 * 1024 * 1024
LARGEST_BYTES = 2 * 1024 * 1024 * 1024
GRANULARITY = 256 * 1024
OCTETS = "application/octet-stream"


@dataclass(slots=True)
class Blob:
    """The bytes of an upload, or only their size and digest when they are too many to keep."""

    mime_type: str = OCTETS
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    kept: bytearray | None = field(default_factory=bytearray)

    def take(self, chunk: bytes) -> None:
        """Add bytes. Raises ApiError 400 above Google's 2 GB."""
        self.size += len(chunk)
        if self.size > LARGEST_BYTES:
            raise ApiError(400, "Upload size exceeds the maximum file size of 2147483648 bytes.")
        self.digest.update(chunk)
        if self.kept is not None:
            self.kept += chunk
            if self.size > KEPT_BYTES:
                self.kept = None


@dataclass(slots=True)
class Upload:
    """A resumable upload under way: ``resource`` is where it goes, ``body`` what its start said about it."""

    resource: str
    body: dict[str, Any]
    blob: Blob
    declared: int | None
    file_name: str
    status: str = "active"
    answer: dict[str, Any] = field(default_factory=dict)


Finish = Callable[[Request, Upload], Awaitable[dict[str, Any]]]


def owner(world: World, upload_id: str) -> Project | None:
    """The project whose upload ``upload_id`` is, or None.

    The legs of an upload may come without a key, as Google's Python SDK sends them: the id, which only Google and
    the client that began the upload know, is credential enough.
    """
    name = f"upload:{upload_id}"
    return next((project for project in world.projects.values() if name in project.blobs), None)


async def receive(request: Request, resource: str, finish: Finish) -> Reply:
    """Answer any request of the upload endpoint of ``resource``; ``finish`` turns an upload into an answer.

    Raises ApiError 400 or 404 for breaches of the protocol.
    """
    if "upload_id" in request.query:
        return await _leg(request, finish)
    protocol = request.headers.get("x-goog-upload-protocol") or request.query.get("uploadType", "")
    command = request.headers.get("x-goog-upload-command", "")
    if protocol == "resumable" or "start" in command:
        return await _start(request, resource)
    if protocol == "multipart" or request.headers.get("content-type", "").startswith("multipart/related"):
        return Reply(await finish(request, await _multipart(request, resource)))
    if protocol in ("raw", "media"):
        return Reply(await finish(request, await _raw(request, resource)))
    upload = Upload(resource, await request.json(), Blob(), 0, "")
    return Reply(await finish(request, upload))


async def _start(request: Request, resource: str) -> Reply:
    declared_text = request.headers.get("x-goog-upload-header-content-length", "")
    if declared_text and not declared_text.isdigit():
        raise ApiError(400, "Invalid value in header X-Goog-Upload-Header-Content-Length.")
    declared = int(declared_text) if declared_text else None
    if declared is not None and declared > LARGEST_BYTES:
        raise ApiError(400, "Upload size exceeds the maximum file size of 2147483648 bytes.")
    mime_type = request.headers.get("x-goog-upload-header-content-type", "") or OCTETS
    file_name = request.headers.get("x-goog-upload-file-name", "")
    upload = Upload(resource, await request.json(), Blob(mime_type), declared, file_name)
    # Hard to guess, because whoever knows it may write: see ``owner``.
    upload_id = "A" + request.world.sign(request.world.new_id("upload:")).hex()
    request.project.blobs[f"upload:{upload_id}"] = upload
    place = f"{request.base_url.rstrip('/')}{request.path}?upload_id={upload_id}&upload_protocol=resumable"
    headers = _status(upload) | {
        "x-goog-upload-url": place,
        "x-goog-upload-control-url": place,
        "x-goog-upload-chunk-granularity": str(GRANULARITY),
    }
    return Reply(raw=b"", headers=headers, content_type="text/plain; charset=utf-8")


def _status(upload: Upload) -> dict[str, str]:
    return {"x-goog-upload-status": upload.status}


def _upload_of(request: Request) -> Upload:
    upload = request.project.blobs.get(f"upload:{request.query['upload_id']}")
    if not isinstance(upload, Upload):
        raise not_found()
    return upload


async def _leg(request: Request, finish: Finish) -> Reply:
    upload = _upload_of(request)
    commands = {word.strip() for word in request.headers.get("x-goog-upload-command", "upload").split(",")}
    if not commands <= {"upload", "finalize", "query", "cancel"}:
        raise ApiError(400, "Invalid value in header X-Goog-Upload-Command.")
    if "query" in commands:
        headers = _status(upload) | {"x-goog-upload-size-received": str(upload.blob.size)}
        return Reply(upload.answer or None, headers=headers, raw=None if upload.answer else b"")
    if "cancel" in commands:
        upload.status = "cancelled"
        upload.blob = Blob(upload.blob.mime_type)
        return Reply(raw=b"", headers=_status(upload))
    if upload.status == "final":
        return Reply(upload.answer, headers=_status(upload))
    if upload.status != "active":
        raise ApiError(400, "The upload has been cancelled.")
    if "upload" in commands:
        await _append(request, upload, last="finalize" in commands)
    if "finalize" not in commands:
        return Reply(
            raw=b"", headers=_status(upload) | {"x-goog-upload-size-received": str(upload.blob.size)}
        )
    if upload.declared is not None and upload.blob.size != upload.declared:
        raise ApiError(
            400,
            f"Upload has {upload.blob.size} bytes, "
            f"but X-Goog-Upload-Header-Content-Length was {upload.declared}.",
        )
    upload.answer = await finish(request, upload)
    upload.status = "final"
    return Reply(upload.answer, headers=_status(upload))


async def _append(request: Request, upload: Upload, last: bool) -> None:
    offset = request.headers.get("x-goog-upload-offset", "0")
    if offset != str(upload.blob.size):
        raise ApiError(
            400,
            f"Invalid upload offset: {offset}. "
            f"The server has received {upload.blob.size} bytes of this upload.",
        )
    before = upload.blob.size
    async for chunk in request.chunks:
        upload.blob.take(chunk)
    if upload.declared is not None and upload.blob.size > upload.declared:
        raise ApiError(400, "Upload is longer than X-Goog-Upload-Header-Content-Length.")
    if not last and (upload.blob.size - before) % GRANULARITY:
        upload.status = "cancelled"
        raise ApiError(400, f"Upload chunks but the last must be a multiple of {GRANULARITY} bytes.")


async def _raw(request: Request, resource: str) -> Upload:
    blob = Blob(request.headers.get("x-goog-upload-header-content-type") or _plain_type(request) or OCTETS)
    async for chunk in request.chunks:
        blob.take(chunk)
    return Upload(resource, {}, blob, None, request.headers.get("x-goog-upload-file-name", ""))


def _plain_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip()


async def _multipart(request: Request, resource: str) -> Upload:
    found = re.search(r'boundary="?([^";,]+)"?', request.headers.get("content-type", ""))
    if found is None:
        raise ApiError(400, "Multipart upload without a boundary.")
    parts = split_multipart(await request.body(), found[1].encode())
    if len(parts) != 2:
        raise ApiError(400, "A multipart upload needs exactly two parts: metadata and media.")
    try:
        body = msgspec.json.decode(parts[0][1] or b"{}")
    except msgspec.DecodeError as error:
        raise ApiError(400, f"Invalid JSON payload received. {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "Invalid JSON payload received. Root element must be a message.")
    blob = Blob(parts[1][0].get("content-type", OCTETS))
    blob.take(parts[1][1])
    return Upload(resource, body, blob, None, "")


def split_multipart(body: bytes, boundary: bytes) -> list[tuple[dict[str, str], bytes]]:
    """The parts of a multipart body: their headers in lower case, and their bytes untouched."""
    parts = []
    sections = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary), body)
    for section in sections[1:]:
        if section.startswith(b"--"):
            break
        section = re.sub(rb"^[ \t]*\r?\n", b"", section, count=1)
        if section.startswith((b"\r\n", b"\n")):
            head, content = b"", section.split(b"\n", 1)[1]
        else:
            head, _, content = section.partition(b"\r\n\r\n" if b"\r\n\r\n" in section else b"\n\n")
        lines = [line.partition(":") for line in head.decode("latin-1").splitlines()]
        parts.append(({name.strip().lower(): value.strip() for name, _, value in lines}, content))
    return parts
