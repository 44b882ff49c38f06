"""Videos: a long-running prediction whose result is a generated file."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from gemini_simulator import catalog
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources import operations
from gemini_simulator.resources.files import add_file
from gemini_simulator.resources.naming import HOST, camel_fields, refuse_unknown
from gemini_simulator.resources.operations import Operation
from gemini_simulator.resources.shapes import hold
from gemini_simulator.resources.uploads import Blob
from gemini_simulator.world import Project, World

RENDERING_SECONDS = 40.0
MOST_VIDEOS = 4
BYTES_PER_VIDEO = 64 * 1024
RESPONSE = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"


def footage(prompt: str, number: int) -> bytes:
    """The bytes of a film: an MP4 header and deterministic noise, the same for the same prompt."""
    brand = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42")
    noise = hashlib.shake_128(f"{prompt}:{number}".encode()).digest(BYTES_PER_VIDEO)
    return brand + struct.pack(">I4s", len(noise) + 8, b"mdat") + noise


def render(world: World, project: Project, prompt: str, number: int, ready: float) -> dict[str, Any]:
    """Add the file of one video that is ACTIVE from ``ready`` (unix seconds) on."""
    blob = Blob("video/mp4")
    blob.take(footage(prompt, number))
    item = add_file(world, project, blob, {"source": "GENERATED"})
    project.blobs[f"ready:{item['name']}"] = ready
    return item


def _prompts(body: dict[str, Any]) -> tuple[list[str], int]:
    instances = body.get("instances")
    if not isinstance(instances, list) or not instances:
        raise ApiError(400, "* PredictLongRunningRequest.instances: instances is required.\n")
    hold(body, {"instances": [{"prompt": str}], "parameters": dict})
    prompts = [str(item.get("prompt") or "") for item in instances]
    if not any(prompts) and not any("image" in item or "video" in item for item in instances):
        raise ApiError(400, "A prompt, an image or a video is required.")
    parameters = body.get("parameters") or {}
    count = parameters.get("sampleCount", parameters.get("numberOfVideos", 1))
    if not isinstance(count, int) or not 1 <= count <= MOST_VIDEOS:
        raise ApiError(400, f"sampleCount must be between 1 and {MOST_VIDEOS}.")
    return prompts, count


async def predict_long_running(request: Request) -> Reply:
    """models.predictLongRunning. Raises ApiError 400 without a prompt, 404 for a model that films nothing."""
    name = request.params["model"]
    model = catalog.find(request.world, name, request.version, "predictLongRunning")
    body = camel_fields(await request.json())
    refuse_unknown(body, {"instances", "parameters"})
    prompts, count = _prompts(body)
    ready = operations.ready_at(request.world, RENDERING_SECONDS)
    samples = []
    for number in range(count):
        item = render(request.world, request.project, prompts[0], number, ready)
        samples.append({"video": {"uri": f"{HOST}/v1beta/{item['name']}:download?alt=media"}})
    operation = Operation(
        f"models/{model.id}/operations/{request.world.new_id('v')}",
        ready,
        {"@type": RESPONSE, "generateVideoResponse": {"generatedSamples": samples}},
    )
    return Reply(operations.begin(request.world, request.project, operation))


HANDLERS: dict[str, Handler] = {"models.predictLongRunning": predict_long_running}
