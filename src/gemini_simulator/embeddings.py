"""Embeddings: a unit vector that the text alone decides, of the dimension that is asked."""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any

from gemini_simulator import catalog, messages, quota, tokens
from gemini_simulator.asked import file_sizes
from gemini_simulator.catalog import Model
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.journal import note


def vector(text: str, dimensions: int) -> list[float]:
    """The same text, the same vector; texts that share words lie nearer to each other."""
    made = [0.0] * dimensions
    for word in text.split() or [""]:
        dice = random.Random(hashlib.sha256(word.lower().encode()).digest())  # noqa: S311 - no secret
        for at in range(dimensions):
            made[at] += dice.random() - 0.5
    length = math.sqrt(sum(value * value for value in made)) or 1.0
    return [round(value / length, 8) for value in made]


def words(content: dict[str, Any]) -> str:
    """The text of a content; media count by their bytes."""
    return " ".join(part.get("text", str(sorted(part.items()))) for part in content.get("parts", []))


def embed(model: Model, body: dict[str, Any]) -> dict[str, Any]:
    """The ContentEmbedding of one request. Raises ApiError 400 for no content, too much, or a wrong dimension."""
    content = body.get("content") or {}
    if not content.get("parts"):
        raise ApiError(400, "* EmbedContentRequest.content: contents is not specified\n")
    config = body.get("embedContentConfig") or {}
    dimensions = body.get("outputDimensionality") or config.get("outputDimensionality") or model.dimensions
    if not isinstance(dimensions, int) or not 1 <= dimensions <= model.dimensions:
        raise ApiError(400, f"output_dimensionality must be between 1 and {model.dimensions}.")
    return {"values": vector(words(content), dimensions)}


def _admit(request: Request, model: Model, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the request against its quotas; usageMetadata of it."""
    contents = [body.get("content") or {} for body in bodies]
    sizes = file_sizes(request.project, contents, request.world.clock.now())
    prompt = tokens.told(tokens.count(contents, sizes), request.faults)
    note(model=model.id)
    total = sum(prompt.values())
    quota.admit(request.world, request.project, model, total)
    return {"promptTokenCount": total, "promptTokensDetails": tokens.details(prompt)}


async def embed_content(request: Request) -> Reply:
    """models.embedContent."""
    model = catalog.find(request.world, request.params["model"], request.version, "embedContent")
    body = messages.read("EmbedContentRequest", await request.json())
    answer: dict[str, Any] = {"embedding": embed(model, body)}
    usage = _admit(request, model, [body])
    await request.world.clock.sleep(model.first_token_s / 4)
    if model.id == "gemini-embedding-2":
        answer["usageMetadata"] = usage
    return Reply(answer)


async def batch_embed(request: Request) -> Reply:
    """models.batchEmbedContents: each request names the model of the path."""
    model = catalog.find(request.world, request.params["model"], request.version, "batchEmbedContents")
    body = messages.read("BatchEmbedContentsRequest", await request.json())
    requests = body.get("requests") or []
    if not requests:
        raise ApiError(400, "* BatchEmbedContentsRequest.requests: requests is not specified\n")
    if len(requests) > 100:
        raise ApiError(
            400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
        )
    for at, one in enumerate(requests):
        if one.get("model", "").removeprefix("models/") != request.params["model"]:
            place = f"* BatchEmbedContentsRequest.requests[{at}].model"
            raise ApiError(400, f"{place}: model must match the model in the parent request\n")
    answer: dict[str, Any] = {"embeddings": [embed(model, one) for one in requests]}
    usage = _admit(request, model, requests)
    await request.world.clock.sleep(model.first_token_s / 4)
    if model.id == "gemini-embedding-2":
        answer["usageMetadata"] = usage
    return Reply(answer)


HANDLERS: dict[str, Handler] = {
    "models.embedContent": embed_content,
    "models.batchEmbedContents": batch_embed,
}
