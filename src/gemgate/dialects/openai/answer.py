"""A whole answer of generateContent as a chat completion.

Thoughts stand apart from the text, in ``reasoning_content``; pictures in ``images``, as data URLs; signatures in
``extra_content.google.thought_signature``, as Google's own OpenAI layer has them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gemgate.core.call import spell
from gemgate.dialects.openai import answered, counts
from gemgate.dialects.openai.pivot import Signature, tool_call_id

_encode = msgspec.json.Encoder().encode

Kept = list[tuple[str, Signature]]
"""Ids of tool calls, with what must be put back later."""


def completion(body: bytes, call_id: bytes, model: str, created: int, kept: Kept) -> bytes:
    """OpenAI's body; ``model`` is named where Google names none. Adds to ``kept``. Raises ``Refused`` (502)."""
    answer = answered.decode(body)
    choices = [_choice(candidate, call_id, kept) for candidate in answer.candidates]
    if not choices and answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
        choices = [_withheld(answered.blocked(answer.prompt_feedback), answer.prompt_feedback.block_reason)]
    said: dict[str, Any] = {
        "id": completion_id(call_id),
        "object": "chat.completion",
        "created": created,
        "model": answer.model_version.removeprefix("models/") or model,
        "choices": choices,
    }
    if answer.usage_metadata is not None:
        said["usage"] = counts.usage(answer.usage_metadata)
    if answer.tier:
        said["service_tier"] = counts.tier(answer.tier)
    return _encode(said)


def completion_id(call_id: bytes) -> str:
    """The id of a completion, by which the call is found in the record."""
    return f"chatcmpl-{spell(call_id)}"


def tool_call(
    part: answered.Part, call: answered.FunctionCall, call_id: bytes, at: tuple[int, int], kept: Kept
) -> dict[str, Any]:
    """OpenAI's tool call; ``at`` is its choice and its place among the calls of that. Adds to ``kept``."""
    made = tool_call_id(call_id, *at)
    signature = part.thought_signature
    if signature or call.id:
        kept.append((made, Signature(signature, call.id, call.name)))
    said: dict[str, Any] = {
        "id": made,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if signature:
        said["extra_content"] = signed(signature)
    return said


def signed(signature: str) -> dict[str, Any]:
    """``extra_content`` with a thought signature."""
    return {"google": {"thought_signature": signature}}


def image(blob: answered.Blob, at: int) -> dict[str, Any] | None:
    """A picture as clients of OpenAI's form have them; None for another medium, which has no place there.

    ``at`` is its place among those of its choice: without it OpenAI's SDK cannot sum up a stream.
    """
    if not blob.mime_type.startswith("image/"):
        return None
    url = f"data:{blob.mime_type};base64,{blob.data}"
    return {"index": at, "type": "image_url", "image_url": {"url": url}}


def _choice(candidate: answered.Candidate, call_id: bytes, kept: Kept) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    signature = ""
    for part in candidate.content.parts if candidate.content is not None else ():
        if part.function_call is not None:
            at = candidate.index, len(calls)
            calls.append(tool_call(part, part.function_call, call_id, at, kept))
            continue
        signature = part.thought_signature or signature
        if part.text:
            (thoughts if part.thought else texts).append(part.text)
        elif part.inline_data is not None:
            picture = image(part.inline_data, len(images))
            if picture is not None:
                images.append(picture)
    finish = answered.finish(candidate.finish_reason, bool(calls))
    text: str | None = "".join(texts)
    refusal = None
    if not text:
        if finish == "content_filter" and not calls and not images:
            refusal = answered.refusal(candidate)
        if calls or refusal:
            text = None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    if images:
        message["images"] = images
    if signature:
        message["extra_content"] = signed(signature)
    result = candidate.logprobs_result
    choice: dict[str, Any] = {
        "index": candidate.index,
        "message": message,
        "logprobs": None if result is None else answered.logprobs(result),
        "finish_reason": finish,
    }
    native = answered.native(candidate.finish_reason)
    if native:
        choice["native_finish_reason"] = native
    return choice


def _withheld(refusal: str, reason: str) -> dict[str, Any]:
    """The one choice of a prompt that was blocked."""
    return {
        "index": 0,
        "message": {"role": "assistant", "content": None, "refusal": refusal},
        "logprobs": None,
        "finish_reason": "content_filter",
        "native_finish_reason": reason,
    }
