"""The handlers of generateContent, its streaming twin, and countTokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from gemini_simulator import catalog, messages, tokens, wire
from gemini_simulator.asked import Asked, Door, ask, count
from gemini_simulator.content import Chunk, merged, speak
from gemini_simulator.http import ApiError, Handler, Reply, Request, StreamReply


async def _ask(request: Request, method: str) -> Asked:
    value = await request.json()
    door = Door(request.version, method, request.faults)
    return ask(request.world, request.project, request.params["model"], value, door)


async def generate(request: Request) -> Reply:
    """models.generateContent."""
    asked = await _ask(request, "generateContent")
    asked.whole = True
    answer = merged([chunk async for chunk in speak(asked)])
    return Reply(answer, headers={"x-gemini-service-tier": asked.tier})


async def stream(request: Request) -> StreamReply:
    """models.streamGenerateContent: events with ``alt=sse``, else one JSON array."""
    asked = await _ask(request, "streamGenerateContent")
    headers = {"x-gemini-service-tier": asked.tier, "content-disposition": "attachment"}
    if request.query.get("alt") == "sse":
        return StreamReply(events(speak(asked)), headers=headers)
    return StreamReply(array(speak(asked)), headers=headers, content_type="application/json; charset=UTF-8")


async def events(chunks: AsyncIterator[Chunk]) -> AsyncIterator[bytes]:
    """Each chunk as an event; the end of the body is the end."""
    async for chunk in chunks:
        yield wire.event(chunk)


async def array(chunks: AsyncIterator[Chunk]) -> AsyncIterator[bytes]:
    """All chunks as one JSON array, an element at a time."""
    opening = b"["
    async for chunk in chunks:
        yield opening + wire.pretty(chunk).rstrip()
        opening = b",\r\n"
    yield b"\r\n]" if opening != b"[" else b"[]"


async def count_tokens(request: Request) -> Reply:
    """models.countTokens. Raises ApiError 400 for both or neither of contents and generateContentRequest."""
    catalog.find(request.world, request.params["model"], request.version, "countTokens")
    body = messages.read("CountTokensRequest", await request.json())
    whole: dict[str, Any] = body.get("generateContentRequest") or {"contents": body.get("contents")}
    if not whole.get("contents"):
        raise ApiError(400, "* CountTokensRequest.contents: contents is not specified\n")
    prompt = tokens.told(count(request.project, whole, request.world.clock.now()), request.faults)
    return Reply({"totalTokens": sum(prompt.values()), "promptTokensDetails": tokens.details(prompt)})


HANDLERS: dict[str, Handler] = {
    "models.generateContent": generate,
    "models.streamGenerateContent": stream,
    "models.countTokens": count_tokens,
}
