"""Generating under a borrowed name: tuned models answer as their base model, dynamic ones as the default."""

from __future__ import annotations

from gemini_simulator import catalog, prose
from gemini_simulator.content import merged, speak
from gemini_simulator.generate import array, events
from gemini_simulator.http import Handler, Reply, Request, StreamReply
from gemini_simulator.resources.answering import put
from gemini_simulator.resources.collection import find
from gemini_simulator.resources.naming import camel_fields, object_of, require, resource_name
from gemini_simulator.resources.tuned import TUNED

WORDS = 32


def base_model(request: Request) -> str:
    """The id of the model behind the path. Raises ApiError 404 for a tuned model that is not there."""
    name = resource_name(request)
    if not name.startswith("tunedModels/"):
        return catalog.DEFAULT_MODEL
    item = find(request, TUNED, name)
    base = item.get("baseModel") or item.get("tunedModelSource", {}).get("baseModel") or catalog.DEFAULT_MODEL
    return str(base).removeprefix("models/")


async def generate(request: Request) -> Reply:
    """tunedModels.generateContent and dynamic.generateContent."""
    asked = put(request, base_model(request), await request.json())
    answer = merged([chunk async for chunk in speak(asked)])
    return Reply(answer, headers={"x-gemini-service-tier": asked.tier})


async def stream(request: Request) -> StreamReply:
    """The streaming twins: events with ``alt=sse``, else one JSON array."""
    asked = put(request, base_model(request), await request.json())
    headers = {"x-gemini-service-tier": asked.tier}
    if request.query.get("alt") == "sse":
        return StreamReply(events(speak(asked)), headers=headers)
    return StreamReply(array(speak(asked)), headers=headers, content_type="application/json; charset=UTF-8")


async def generate_text(request: Request) -> Reply:
    """tunedModels.generateText, of the PaLM days."""
    name = find(request, TUNED, resource_name(request))["name"]
    prompt = camel_fields(object_of(camel_fields(await request.json()), "prompt"))
    require(prompt, ("text",), "GenerateTextRequest.prompt")
    seed = f"{request.world.seed}:{name}:{prompt['text']}"
    return Reply({"candidates": [{"output": "".join(prose.pieces(seed, 0, WORDS))}]})


HANDLERS: dict[str, Handler] = {
    "tunedModels.generateContent": generate,
    "tunedModels.streamGenerateContent": stream,
    "tunedModels.generateText": generate_text,
    "dynamic.generateContent": generate,
    "dynamic.streamGenerateContent": stream,
}
