"""File search stores: documents cut into chunks and embedded by Google, filled from files or uploads."""

from __future__ import annotations

from typing import Any

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources import operations
from gemini_simulator.resources.collection import Collection, children, find, handlers, remove
from gemini_simulator.resources.files import check_file
from gemini_simulator.resources.naming import (
    asked_for,
    camel_fields,
    refuse_unknown,
    require,
    resource_name,
    text_of,
)
from gemini_simulator.resources.operations import Operation
from gemini_simulator.resources.times import timestamp
from gemini_simulator.resources.uploads import Blob, Upload, receive

INDEXING_SECONDS = 4.0
DEFAULT_EMBEDDING_MODEL = "models/gemini-embedding-001"
PROTO = "type.googleapis.com/google.ai.generativelanguage.v1main."


def _store(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    item.setdefault("embeddingModel", DEFAULT_EMBEDDING_MODEL)
    return item


def _store_now(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    documents = children(request, DOCUMENTS, f"{item['name']}/documents")
    states = [_document_now(request, document)["state"] for document in documents]
    counts = {
        "activeDocumentsCount": states.count("STATE_ACTIVE"),
        "pendingDocumentsCount": states.count("STATE_PENDING"),
        "sizeBytes": sum(int(document["sizeBytes"]) for document in documents),
    }
    return item | {field: str(count) for field, count in counts.items() if count}


def _document_now(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    done = request.world.clock.now() >= request.project.blobs[f"ready:{item['name']}"]
    return {**item, "state": "STATE_ACTIVE" if done else "STATE_PENDING"}


STORES = Collection(
    kind="fileSearchStores",
    fields={"displayName": str, "embeddingModel": str},
    id_prefix="store-",
    most_page=20,
    times=("createTime", "updateTime"),
    finish=_store,
    show=_store_now,
)
DOCUMENTS = Collection(
    kind="documents",
    fields={"displayName": str, "customMetadata": list},
    most_page=20,
    show=_document_now,
)


def _index(request: Request, store: str, facts: dict[str, Any], slot: str) -> dict[str, Any]:
    """Add a document and the operation that indexes it; ``slot`` is the path under which it is read."""
    find(request, STORES, store)
    world, now = request.world, request.world.clock.now()
    name = f"{store}/documents/{world.new_id('doc-')}"
    document = {"name": name, **facts, "createTime": timestamp(now), "updateTime": timestamp(now)}
    ready = operations.ready_at(world, INDEXING_SECONDS)
    request.project.collection(DOCUMENTS.kind)[name] = document
    request.project.blobs[f"ready:{name}"] = ready
    kind = "UploadToFileSearchStore" if "upload" in slot else "ImportFile"
    operation = Operation(
        f"{store}/{slot}/{world.new_id('op-')}",
        ready,
        {"@type": f"{PROTO}{kind}Response", "parent": store, "documentName": name},
    )
    return operations.begin(world, request.project, operation)


def _facts(blob_type: str, size: int, body: dict[str, Any], shown: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"mimeType": text_of(body, "mimeType") or blob_type, "sizeBytes": str(size)}
    if shown:
        facts["displayName"] = shown
    if body.get("customMetadata"):
        facts["customMetadata"] = body["customMetadata"]
    return facts


async def import_file(request: Request) -> Reply:
    """fileSearchStores.importFile.

    Raises ApiError 403 for a file of another project, 404 for an unknown store.
    """
    store = resource_name(request)
    find(request, STORES, store)
    body = camel_fields(await request.json())
    refuse_unknown(body, {"fileName", "customMetadata", "chunkingConfig"})
    require(body, ("fileName",), "ImportFileRequest")
    item = check_file(request.project, text_of(body, "fileName"), request.world.clock.now())
    if item is None:
        raise ApiError(400, f"Invalid file name: {text_of(body, 'fileName')}")
    blob: Blob = request.project.blobs[item["name"]]
    facts = _facts(blob.mime_type, blob.size, body, item.get("displayName", item["name"]))
    return Reply(_index(request, store, facts, "operations"))


async def _uploaded(request: Request, upload: Upload) -> dict[str, Any]:
    body = camel_fields(upload.body)
    refuse_unknown(body, {"displayName", "customMetadata", "chunkingConfig", "mimeType", "fileName"})
    shown = text_of(body, "displayName") or upload.file_name
    facts = _facts(upload.blob.mime_type, upload.blob.size, body, shown)
    return _index(request, upload.resource, facts, "upload/operations")


async def upload(request: Request) -> Reply:
    """media.uploadToFileSearchStore, by any upload protocol."""
    store = resource_name(request)
    find(request, STORES, store)
    return await receive(request, store, _uploaded)


async def delete_store(request: Request) -> Reply:
    """fileSearchStores.delete: a store with documents goes only with ``force=true``."""
    name = resource_name(request)
    find(request, STORES, name)
    if children(request, DOCUMENTS, f"{name}/documents") and not asked_for(request, "force"):
        raise ApiError(400, "Cannot delete non-empty FileSearchStore.", "FAILED_PRECONDITION")
    remove(request, name)
    return Reply({})


HANDLERS: dict[str, Handler] = {
    **handlers(STORES, "fileSearchStores", ("create", "get", "list")),
    **handlers(DOCUMENTS, "fileSearchStores.documents", ("get", "list", "delete")),
    "fileSearchStores.delete": delete_store,
    "fileSearchStores.importFile": import_file,
    "media.uploadToFileSearchStore": upload,
}
