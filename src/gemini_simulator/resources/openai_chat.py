"""Google's OpenAI layer: chat completions, whole and streamed, with the differences seen on the wire.

Streamed tool calls have no index, come whole, and end with ``stop``; usage repeats in each chunk; thoughts stand
in the content between tags; a signature rides in ``extra_content``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from gemini_simulator import catalog
from gemini_simulator.content import Chunk, merged, speak
from gemini_simulator.http import ApiError, Handler, Reply, Request, StreamReply
from gemini_simulator.resources.answering import put
from gemini_simulator.resources.openai_input import generate_body
from gemini_simulator.world import World

FINISHED = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}


def usage_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """usageMetadata in OpenAI's words: thoughts count as completion."""
    thoughts = metadata.get("thoughtsTokenCount", 0)
    usage: dict[str, Any] = {
        "prompt_tokens": metadata.get("promptTokenCount", 0),
        "completion_tokens": metadata.get("candidatesTokenCount", 0) + thoughts,
        "total_tokens": metadata.get("totalTokenCount", 0),
    }
    if thoughts:
        usage["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    if metadata.get("cachedContentTokenCount"):
        usage["prompt_tokens_details"] = {"cached_tokens": metadata["cachedContentTokenCount"]}
    return usage


def tool_call(part: dict[str, Any], fallback_id: str) -> dict[str, Any]:
    """A functionCall part as a tool call, signature included."""
    call = part["functionCall"]
    made: dict[str, Any] = {
        "id": call.get("id") or fallback_id,
        "type": "function",
        "function": {
            "name": call["name"],
            "arguments": msgspec.json.encode(call.get("args", {})).decode(),
        },
    }
    if part.get("thoughtSignature"):
        made["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
    return made


def finish_of(reason: str) -> str:
    """A finishReason in OpenAI's words."""
    return FINISHED.get(reason, "content_filter")


def completion(answer: Chunk, model: str, created: int) -> dict[str, Any]:
    """A whole GenerateContentResponse as a chat completion."""
    answer_id = answer.get("responseId", "")
    choices = []
    for candidate in answer.get("candidates", []):
        parts = candidate.get("content", {}).get("parts", [])
        calls = [
            tool_call(part, f"{answer_id}-{at}") for at, part in enumerate(parts) if "functionCall" in part
        ]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(map(_text, parts)) or None}
        if calls:
            message["tool_calls"] = calls
        finish = "tool_calls" if calls else finish_of(candidate.get("finishReason", ""))
        choices.append({"index": candidate.get("index", 0), "message": message, "finish_reason": finish})
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": choices,
        "usage": usage_of(answer.get("usageMetadata", {})),
    }


def _text(part: dict[str, Any]) -> str:
    text = str(part.get("text", ""))
    return f"<thought>{text}</thought>" if part.get("thought") and text else text


def deltas(candidate: Chunk, answer_id: str) -> list[tuple[dict[str, Any], str | None]]:
    """What one chunk of a candidate brings: deltas with the finish reason on the last."""
    found: list[dict[str, Any]] = []
    for at, part in enumerate(candidate.get("content", {}).get("parts", [])):
        if "functionCall" in part:
            found.append({"role": "assistant", "tool_calls": [tool_call(part, f"{answer_id}-{at}")]})
        elif part.get("text") and part.get("thought"):
            marked = {"google": {"thought": True}}
            found.append({"role": "assistant", "content": _text(part), "extra_content": marked})
        elif part.get("text"):
            found.append({"role": "assistant", "content": part["text"]})
    finish = finish_of(candidate["finishReason"]) if candidate.get("finishReason") else None
    if finish and not found:
        found.append({"role": "assistant"})
    last = len(found) - 1
    return [(delta, finish if at == last else None) for at, delta in enumerate(found)]


async def events(chunks: AsyncIterator[Chunk], model: str, created: int, usage: bool) -> AsyncIterator[bytes]:
    """The stream of a chat completion; ``usage`` repeats the running usage in each chunk."""
    try:
        async for chunk in chunks:
            answer_id = chunk.get("responseId", "")
            for candidate in chunk.get("candidates", []):
                for delta, finish in deltas(candidate, answer_id):
                    choice: dict[str, Any] = {"index": candidate.get("index", 0), "delta": delta}
                    if finish:
                        choice["finish_reason"] = finish
                    said: dict[str, Any] = {
                        "choices": [choice],
                        "created": created,
                        "id": answer_id,
                        "model": model,
                        "object": "chat.completion.chunk",
                    }
                    if usage:
                        said["usage"] = usage_of(chunk.get("usageMetadata", {}))
                    yield b"data: " + msgspec.json.encode(said) + b"\n\n"
    except ApiError as error:
        yield b"data: " + msgspec.json.encode(error.payload()) + b"\n\n"
        return
    yield b"data: [DONE]\n\n"


def prepare(world: World, version: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The model id of a chat request and its generateContent body. Raises ApiError 400 or 404."""
    name = str(body.get("model") or "").removeprefix("models/")
    if not name:
        raise ApiError(400, "model is not specified")
    model = catalog.served(world, catalog.find(world, name, version, "generateContent"))
    return name, generate_body(body, model)


async def complete(request: Request) -> Reply | StreamReply:
    """openai.chat.completions."""
    body = await request.json()
    model, generate = prepare(request.world, request.version, body)
    created = int(request.world.clock.now())
    asked = put(request, model, generate)
    headers = {"x-gemini-service-tier": asked.tier}
    if body.get("stream"):
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return StreamReply(events(speak(asked), model, created, usage), headers=headers)
    return Reply(completion(merged([chunk async for chunk in speak(asked)]), model, created), headers=headers)


HANDLERS: dict[str, Handler] = {"openai.chat.completions": complete}
