"""Google's OpenAI layer beside chat: embeddings, models, images, videos, batches."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import Any

import msgspec

from gemini_simulator import catalog, embeddings, prose, quota, tokens
from gemini_simulator.catalog import Model
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.journal import note
from gemini_simulator.plan import png
from gemini_simulator.resources import operations
from gemini_simulator.resources.answering import behind_the_scenes
from gemini_simulator.resources.batches import PENDING_SECONDS, RUNNING_SECONDS
from gemini_simulator.resources.files import add_file, check_file
from gemini_simulator.resources.naming import HOST, not_found, refuse_unknown, require, text_of
from gemini_simulator.resources.openai_chat import completion, prepare
from gemini_simulator.resources.shapes import hold
from gemini_simulator.resources.times import work_time
from gemini_simulator.resources.uploads import Blob, split_multipart
from gemini_simulator.resources.videos import RENDERING_SECONDS, render

DEFAULT_IMAGE_MODEL = "gemini-3.1-flash-image"
DEFAULT_VIDEO_MODEL = "veo-3.1-generate-001"
IMAGE_SECONDS = 4.0
MOST_IMAGES = 10


async def embed(request: Request) -> Reply:
    """openai.embeddings: floats, or base64 of little-endian float32 as the OpenAI SDKs ask."""
    body = await request.json()
    refuse_unknown(body, {"model", "input", "encoding_format", "dimensions", "user"})
    model = catalog.find(request.world, text_of(body, "model"), request.version, "embedContent")
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "input must be a text or a list of texts.")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise ApiError(400, f"Invalid value at 'encoding_format': {form!r}.")
    hold(body, {"dimensions": int})
    prompt = tokens.told({"TEXT": sum(tokens.of_text(text) for text in texts)}, request.faults)
    total = prompt["TEXT"]
    note(model=model.id)
    quota.admit(request.world, request.project, model, total)
    data = []
    for index, text in enumerate(texts):
        values = embeddings.embed(model, _embed_body(text, body))["values"]
        shown = (
            base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
            if form == "base64"
            else values
        )
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": total, "total_tokens": total}
    return Reply({"object": "list", "data": data, "model": text_of(body, "model"), "usage": usage})


def _embed_body(text: str, body: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"content": {"parts": [{"text": text}]}}
    if body.get("dimensions"):
        made["outputDimensionality"] = body["dimensions"]
    return made


def _model_card(model: Model, name: str) -> dict[str, Any]:
    shown = catalog.card(model)["displayName"]
    return {"id": f"models/{name}", "object": "model", "owned_by": "google", "display_name": shown}


async def list_models(request: Request) -> Reply:
    """openai.models.list: every model, with ids that carry the prefix ``models/``."""
    cards = [_model_card(model, model.id) for model in catalog.listed(request.world)]
    return Reply({"object": "list", "data": cards})


async def get_model(request: Request) -> Reply:
    """openai.models.get, with or without the prefix."""
    name = request.params["model"].removeprefix("models/")
    return Reply(_model_card(catalog.find(request.world, name, request.version, ""), name))


async def generate_images(request: Request) -> Reply:
    """openai.images.generations.

    Fields beyond prompt, model, n and response_format are ignored, as Google does.
    """
    body = await request.json()
    require(body, ("prompt",), "ImageGenerationRequest")
    name = text_of(body, "model") or DEFAULT_IMAGE_MODEL
    model = catalog.find(request.world, name, request.version, "")
    if model.kind != "image":
        raise ApiError(400, f"{name} does not make images.")
    count = body.get("n") or 1
    if not isinstance(count, int) or not 1 <= count <= MOST_IMAGES:
        raise ApiError(400, f"n must be between 1 and {MOST_IMAGES}.")
    prompt = tokens.told({"TEXT": tokens.of_text(text_of(body, "prompt"))}, request.faults)
    note(model=model.id)
    quota.admit(request.world, request.project, model, prompt["TEXT"])
    await request.world.clock.sleep(IMAGE_SECONDS)
    dice = prose.Dice(f"{request.world.seed}:{body['prompt']}")
    pictures = [base64.b64encode(png(dice.below(1 << 24))).decode() for _ in range(count)]
    data = [{"b64_json": picture} for picture in pictures]
    return Reply({"created": int(request.world.clock.now()), "data": data})


@dataclass(slots=True)
class Video:
    """A video as OpenAI's objects tell it; ``ready_at`` in unix seconds."""

    id: str
    model: str
    created: float
    ready_at: float
    uri: str

    def public(self, now: float) -> dict[str, Any]:
        """The video object at ``now``."""
        done = now >= self.ready_at
        span = self.ready_at - self.created
        progress = 100 if done else int(100 * (now - self.created) / span)
        shown: dict[str, Any] = {
            "id": self.id,
            "object": "video",
            "created_at": int(self.created),
            "model": self.model,
            "status": "completed" if done else "processing",
            "progress": progress,
        }
        if done:
            shown |= {"completed_at": int(self.ready_at), "url": self.uri}
        return shown


async def _fields(request: Request) -> dict[str, Any]:
    """A JSON body, or the form that OpenAI's SDK sends for videos."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return await request.json()
    boundary = kind.partition("boundary=")[2].split(";")[0].strip('"')
    fields = {}
    for headers, content in split_multipart(await request.body(), boundary.encode()):
        name = headers.get("content-disposition", "").partition('name="')[2].partition('"')[0]
        fields[name] = content.decode("utf-8", "replace")
    return fields


async def create_video(request: Request) -> Reply:
    """openai.videos.create."""
    body = await _fields(request)
    require(body, ("prompt",), "VideoGenerationRequest")
    name = text_of(body, "model") or DEFAULT_VIDEO_MODEL
    catalog.find(request.world, name, request.version, "predictLongRunning")
    now = request.world.clock.now()
    ready = operations.ready_at(request.world, RENDERING_SECONDS)
    item = render(request.world, request.project, text_of(body, "prompt"), 0, ready)
    video = Video(
        request.world.new_id("video_"), name, now, ready, f"{HOST}/v1beta/{item['name']}:download?alt=media"
    )
    request.project.blobs[f"openai:{video.id}"] = video
    return Reply(video.public(now))


async def get_video(request: Request) -> Reply:
    """openai.videos.get."""
    video = request.project.blobs.get(f"openai:{request.params['id']}")
    if not isinstance(video, Video):
        raise not_found()
    return Reply(video.public(request.world.clock.now()))


@dataclass(slots=True)
class ChatBatch:
    """A batch of OpenAI chat requests; times in unix seconds."""

    id: str
    body: dict[str, Any]
    lines: list[dict[str, Any]]
    created: float
    starts: float
    ends: float
    output: str = ""
    failed: int = 0

    def public(self, now: float) -> dict[str, Any]:
        """The batch object at ``now``."""
        done = now >= self.ends
        status = "completed" if done else "in_progress" if now >= self.starts else "validating"
        completed = len(self.lines) - self.failed if done else 0
        shown: dict[str, Any] = {
            "id": self.id,
            "object": "batch",
            "endpoint": self.body["endpoint"],
            "input_file_id": self.body["input_file_id"],
            "completion_window": self.body.get("completion_window", "24h"),
            "status": status,
            "created_at": int(self.created),
            "request_counts": {"total": len(self.lines), "completed": completed, "failed": self.failed},
        }
        if now >= self.starts:
            shown["in_progress_at"] = int(self.starts)
        if done:
            shown |= {"completed_at": int(self.ends), "output_file_id": self.output}
        return shown


async def create_batch(request: Request) -> Reply:
    """openai.batches.create: the input file comes from the Files API. Raises ApiError 400 or 403."""
    body = await request.json()
    refuse_unknown(body, {"input_file_id", "endpoint", "completion_window", "metadata"})
    require(body, ("input_file_id", "endpoint"), "BatchRequest")
    if body["endpoint"] not in ("/v1/chat/completions", "/chat/completions"):
        raise ApiError(400, f"Unsupported endpoint: {body['endpoint']!r}.")
    now = request.world.clock.now()
    item = check_file(request.project, text_of(body, "input_file_id"), now)
    blob = request.project.blobs.get(item["name"]) if item else None
    if not isinstance(blob, Blob) or blob.kept is None:
        raise ApiError(400, f"Cannot read the batch input file {body['input_file_id']}.")
    try:
        lines = [msgspec.json.decode(line) for line in bytes(blob.kept).splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise ApiError(400, f"Invalid JSON in {body['input_file_id']}: {error}") from None
    if not lines or not all(isinstance(line, dict) and isinstance(line.get("body"), dict) for line in lines):
        raise ApiError(400, "Each line of the input file needs a custom_id and a body.")
    starts = now + work_time(request.world, PENDING_SECONDS)
    ends = starts + work_time(request.world, RUNNING_SECONDS)
    batch = ChatBatch(request.world.new_id("batch_"), body, lines, now, starts, ends)
    request.project.blobs[f"openai:{batch.id}"] = batch
    return Reply(batch.public(min(now, starts - 1e-6)))


async def get_batch(request: Request) -> Reply:
    """openai.batches.get: the results stand in a generated file, one line each."""
    batch_id = request.params["id"].removeprefix("batches/")
    batch = request.project.blobs.get(f"openai:{batch_id}")
    if not isinstance(batch, ChatBatch):
        raise not_found()
    now = request.world.clock.now()
    if now >= batch.ends and not batch.output:
        await _settle(request, batch)
    return Reply(batch.public(now))


async def _settle(request: Request, batch: ChatBatch) -> None:
    results = Blob("application/jsonl")
    for line in batch.lines:
        answer = await _one(request, line["body"])
        batch.failed += answer["status_code"] != 200
        said = {"id": request.world.new_id("r"), "custom_id": line.get("custom_id"), "response": answer}
        results.take(msgspec.json.encode(said) + b"\n")
    batch.output = add_file(request.world, request.project, results, {"source": "GENERATED"})["name"]


async def _one(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    try:
        model, generate = prepare(request.world, request.version, body)
        answer = await behind_the_scenes(request.world, request.project, model, generate)
    except ApiError as error:
        return {"status_code": error.status, "body": error.payload()}
    return {"status_code": 200, "body": completion(answer, model, int(request.world.clock.now()))}


HANDLERS: dict[str, Handler] = {
    "openai.embeddings": embed,
    "openai.models.list": list_models,
    "openai.models.get": get_model,
    "openai.images.generations": generate_images,
    "openai.videos.create": create_video,
    "openai.videos.get": get_video,
    "openai.batches.create": create_batch,
    "openai.batches.get": get_batch,
}
