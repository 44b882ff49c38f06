"""Batches: many requests handed in at once, answered by the clock, inline or in a file.

PENDING for a while, then RUNNING, then SUCCEEDED. The answers are made when a reader first sees the batch done, in
no simulated time: what a model would have taken is already in the waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from gemini_simulator import catalog, embeddings, messages, tokens
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.answering import behind_the_scenes, status_of
from gemini_simulator.resources.files import add_file, check_file
from gemini_simulator.resources.naming import (
    camel_fields,
    not_found,
    object_of,
    refuse_unknown,
    require,
    resource_name,
    text_of,
)
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.times import timestamp, work_time
from gemini_simulator.resources.uploads import Blob
from gemini_simulator.world import Project, World

PENDING_SECONDS = 5.0
RUNNING_SECONDS = 20.0
PROTO = "type.googleapis.com/google.ai.generativelanguage.v1main."
FIELDS = {"name", "displayName", "model", "inputConfig", "priority", "webhookConfig"}
Entry = dict[str, Any]


@dataclass(slots=True)
class Batch:
    """A batch and its times (unix seconds). ``kind`` is GenerateContentBatch or EmbedContentBatch."""

    name: str
    kind: str
    model: str
    body: dict[str, Any]
    entries: list[Entry]
    from_file: bool
    created: float
    starts: float
    ends: float
    cancelled: float | None = None
    output: dict[str, Any] = field(default_factory=dict)
    failed: int = 0

    def state(self, now: float) -> str:
        """BATCH_STATE_* at ``now``."""
        if self.cancelled is not None:
            return "BATCH_STATE_CANCELLED"
        if now < self.starts:
            return "BATCH_STATE_PENDING"
        return "BATCH_STATE_RUNNING" if now < self.ends else "BATCH_STATE_SUCCEEDED"

    def public(self, now: float) -> dict[str, Any]:
        """The operation whose metadata is the batch, as a reader sees it at ``now``."""
        state = self.state(now)
        done = state in ("BATCH_STATE_CANCELLED", "BATCH_STATE_SUCCEEDED")
        finished = state == "BATCH_STATE_SUCCEEDED"
        stats = {"requestCount": len(self.entries)} | (
            {"successfulRequestCount": len(self.entries) - self.failed, "failedRequestCount": self.failed}
            if finished
            else {"pendingRequestCount": len(self.entries)}
        )
        updated = (
            self.ends if finished else self.cancelled or (self.starts if now >= self.starts else self.created)
        )
        metadata: dict[str, Any] = {
            "@type": PROTO + self.kind,
            "model": self.model,
            "displayName": self.body.get("displayName", ""),
            "createTime": timestamp(self.created),
            "updateTime": timestamp(updated),
            "batchStats": {key: str(count) for key, count in stats.items() if count},
            "state": state,
            "name": self.name,
        }
        if self.from_file:
            metadata["inputConfig"] = {"fileName": self.body["inputConfig"]["fileName"]}
        if self.body.get("priority"):
            metadata["priority"] = self.body["priority"]
        if done:
            metadata["endTime"] = timestamp(updated)
        seen: dict[str, Any] = {"name": self.name, "metadata": metadata}
        if finished:
            metadata["output"] = self.output
            seen |= {"done": True, "response": {"@type": f"{PROTO}{self.kind}Output", **self.output}}
        elif done:
            seen |= {"done": True, "error": {"code": 1, "message": "The operation was cancelled."}}
        return seen


def _inline(config: dict[str, Any]) -> list[Entry]:
    """The requests of an inline batch, each {request, metadata}."""
    held = config.get("requests")
    entries = held.get("requests") if isinstance(held, dict) else held
    if isinstance(entries, dict):
        # The SDK sends a lone embedding request as an object where a list belongs; proto JSON takes either.
        entries = [entries]
    if not isinstance(entries, list) or not entries:
        raise ApiError(
            400, "* BatchGenerateContentRequest.batch.input_config: requests or file_name is required.\n"
        )
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
            raise ApiError(
                400, f"Invalid value at 'batch.input_config.requests.requests[{at}]' (type message)"
            )
    return entries


def _from_file(project: Project, uri: str, now: float) -> list[Entry]:
    """The requests of a JSONL file, each {key, request}. Raises ApiError 400, 403."""
    item = check_file(project, uri, now)
    blob = project.blobs.get(item["name"]) if item else None
    if not isinstance(blob, Blob) or blob.kept is None:
        raise ApiError(400, f"Cannot read the batch input file {uri}.")
    entries: list[Entry] = []
    for number, line in enumerate(bytes(blob.kept).splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise ApiError(400, f"Invalid JSON in line {number} of {uri}: {error}") from None
        if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
            raise ApiError(400, f"Line {number} of {uri} has no request.")
        entries.append(entry)
    if not entries:
        raise ApiError(400, f"The batch input file {uri} has no requests.")
    return entries


def open_batch(request: Request, kind: str, model: str, body: dict[str, Any]) -> Batch:
    """Keep a new batch from the ``batch`` message of a request. Raises ApiError 400 or 403."""
    refuse_unknown(body, FIELDS, "batch")
    require(body, ("inputConfig",), "BatchGenerateContentRequest.batch")
    now = request.world.clock.now()
    config = camel_fields(object_of(body, "inputConfig"))
    file_name = text_of(config, "fileName")
    entries = _from_file(request.project, file_name, now) if file_name else _inline(config)
    starts = now + work_time(request.world, PENDING_SECONDS)
    batch = Batch(
        name=f"batches/{request.world.new_id('b')}",
        kind=kind,
        model=f"models/{model.removeprefix('models/')}",
        body={**body, "inputConfig": config},
        entries=entries,
        from_file=bool(file_name),
        created=now,
        starts=starts,
        ends=starts + work_time(request.world, RUNNING_SECONDS),
    )
    request.project.blobs[f"batch:{batch.name}"] = batch
    return batch


async def settle(world: World, project: Project, batch: Batch) -> None:
    """Make the answers of a batch that is done and has none yet."""
    if batch.output or batch.state(world.clock.now()) != "BATCH_STATE_SUCCEEDED":
        return
    answers = [await _answer(world, project, batch, entry) for entry in batch.entries]
    batch.failed = sum("error" in answer for answer in answers)
    if batch.from_file:
        lines = b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers)
        blob = Blob("application/jsonl")
        blob.take(lines)
        fields = {"source": "GENERATED", "name": "batch-" + batch.name.removeprefix("batches/")}
        batch.output = {"responsesFile": add_file(world, project, blob, fields)["name"]}
    else:
        batch.output = {"inlinedResponses": {"inlinedResponses": answers}}


async def _answer(world: World, project: Project, batch: Batch, entry: Entry) -> Entry:
    label: Entry = {name: entry[name] for name in ("key", "metadata") if name in entry}
    asked = {name: value for name, value in entry["request"].items() if name != "model"}
    try:
        if batch.kind == "EmbedContentBatch":
            return {"response": _embedded(world, batch.model, asked), **label}
        model = batch.model.removeprefix("models/")
        return {"response": await behind_the_scenes(world, project, model, asked), **label}
    except ApiError as error:
        return {"error": status_of(error), **label}


def _embedded(world: World, model: str, asked: dict[str, Any]) -> dict[str, Any]:
    body = messages.read("EmbedContentRequest", asked)
    embedding = embeddings.embed(world.catalog[model.removeprefix("models/")], body)
    return {"embedding": embedding, "tokenCount": sum(tokens.count([body["content"]], {}).values())}


def _batch_of(request: Request) -> Batch:
    batch = request.project.blobs.get(f"batch:{resource_name(request)}")
    if not isinstance(batch, Batch):
        raise not_found()
    return batch


async def create_generate(request: Request) -> Reply:
    """models.batchGenerateContent and its twin of tuned models."""
    return await _create(request, "GenerateContentBatch", "batchGenerateContent")


async def create_embed(request: Request) -> Reply:
    """models.asyncBatchEmbedContent and its twin of tuned models."""
    return await _create(request, "EmbedContentBatch", "asyncBatchEmbedContent")


async def _create(request: Request, kind: str, method: str) -> Reply:
    name = resource_name(request)
    if name.startswith("tunedModels/"):
        if name not in request.project.collection("tunedModels"):
            raise not_found()
        name = catalog.DEFAULT_MODEL if kind == "GenerateContentBatch" else "gemini-embedding-001"
    catalog.find(request.world, name, request.version, method)
    body = await request.json()
    refuse_unknown(body, {"batch", "model"})
    batch = open_batch(request, kind, name, camel_fields(object_of(body, "batch")))
    # A batch begins PENDING in the answer to its creation, however fast the clock.
    return Reply(batch.public(min(batch.created, batch.starts - 1e-6)))


async def get(request: Request) -> Reply:
    """batches.get."""
    batch = _batch_of(request)
    await settle(request.world, request.project, batch)
    return Reply(batch.public(request.world.clock.now()))


async def list_(request: Request) -> Reply:
    """batches.list, newest first."""
    batches = [item for item in request.project.blobs.values() if isinstance(item, Batch)]
    chosen, token = page(request, batches[::-1], 10, 100)
    for batch in chosen:
        await settle(request.world, request.project, batch)
    now = request.world.clock.now()
    answer: dict[str, Any] = {"operations": [batch.public(now) for batch in chosen]} if chosen else {}
    if token:
        answer["nextPageToken"] = token
    return Reply(answer)


async def cancel(request: Request) -> Reply:
    """batches.cancel: an open batch ends; for one that is done Google answers 400."""
    batch = _batch_of(request)
    now = request.world.clock.now()
    if batch.state(now) == "BATCH_STATE_SUCCEEDED":
        raise ApiError(400, "The batch has already finished.", "FAILED_PRECONDITION")
    batch.cancelled = batch.cancelled or now
    return Reply({})


async def delete(request: Request) -> Reply:
    """batches.delete: the record goes, a result file stays."""
    del request.project.blobs[f"batch:{_batch_of(request).name}"]
    return Reply({})


async def update(request: Request) -> Reply:
    """batches.updateGenerateContentBatch and updateEmbedContentBatch: display name and priority.

    Raises ApiError 400 for the wrong kind of batch and for other fields.
    """
    batch = _batch_of(request)
    if not request.method.endswith(batch.kind):
        raise ApiError(400, f"{batch.name} is no {request.method.removeprefix('batches.update')}.")
    body = camel_fields(await request.json())
    refuse_unknown(body, FIELDS)
    if not set(body) <= {"name", "displayName", "priority"}:
        raise ApiError(400, "Only display_name and priority can be updated.")
    batch.body.update({name: value for name, value in body.items() if name != "name"})
    metadata = dict(batch.public(request.world.clock.now())["metadata"])
    metadata.pop("@type")
    return Reply(metadata)


HANDLERS: dict[str, Handler] = {
    "models.batchGenerateContent": create_generate,
    "tunedModels.batchGenerateContent": create_generate,
    "models.asyncBatchEmbedContent": create_embed,
    "tunedModels.asyncBatchEmbedContent": create_embed,
    "batches.get": get,
    "batches.list": list_,
    "batches.cancel": cancel,
    "batches.delete": delete,
    "batches.updateGenerateContentBatch": update,
    "batches.updateEmbedContentBatch": update,
}
