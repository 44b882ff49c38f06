"""What one event of an answer, or a whole unary body, says: JSON in, ``core.meter.Seen`` out.

Only the fields that the record needs are decoded. Nothing here raises: bytes that are no JSON object are
``garbage``, and an object with a field of an unexpected type is read as far as it goes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from gemgate.core.meter import Fault, Seen
from gemgate.dialects import nulls
from gemgate.dialects.gemini import signatures, usage
from gemgate.dialects.gemini.methods import Reading


class _Empty(msgspec.Struct, gc=False):
    """An object whose content does not matter, only that it is there."""


class _Error(msgspec.Struct, gc=False):
    code: int | str | None = 0
    message: str = ""
    status: str = ""


class _Part(msgspec.Struct, rename="camel", gc=False):
    thought_signature: str = ""


class _Content(msgspec.Struct, gc=False):
    parts: tuple[_Part, ...] = ()


class _Chunk(msgspec.Struct, gc=False):
    web: _Empty | None = None
    maps: _Empty | None = None


class _Grounding(msgspec.Struct, rename="camel", gc=False):
    web_search_queries: tuple[str, ...] = ()
    image_search_queries: tuple[str, ...] = ()
    grounding_chunks: tuple[_Chunk, ...] = ()


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    content: _Content | None = None
    finish_reason: str = ""
    continuation_token: str = ""
    grounding_metadata: _Grounding | None = None


class _Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str = ""


class _Response(msgspec.Struct, rename="camel", gc=False):
    candidates: tuple[_Candidate, ...] = ()
    usage_metadata: usage.Metadata | None = None
    model_version: str = ""
    response_id: str = ""
    prompt_feedback: _Feedback | None = None
    service_tier: str = ""
    error: _Error | None = None


class _Embedded(msgspec.Struct, rename="camel", gc=False):
    embedding: _Empty | None = None
    embeddings: tuple[_Empty, ...] = ()
    usage_metadata: usage.Metadata | None = None
    model_version: str = ""
    error: _Error | None = None


class _Interaction(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""
    agent: str | _Empty | None = None
    status: str = ""
    service_tier: str | None = ""
    continuation_token: str | None = ""
    usage: usage.Totals | None = None
    steps: tuple[_Empty, ...] = ()


class _Event(_Interaction, gc=False):
    """An event of an interaction's stream, or the interaction itself."""

    event_type: str = ""
    interaction: _Interaction | None = None
    interaction_id: str = ""
    error: _Error | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    delta: _Empty | None = None
    message: _Empty | None = None


class _Completion(msgspec.Struct, gc=False):
    id: str | None = ""
    model: str | None = ""
    choices: tuple[_Choice, ...] = ()
    data: tuple[_Empty, ...] = ()
    usage: usage.Spent | None = None
    service_tier: str | None = ""
    error: _Error | None = None


class _Faulty(msgspec.Struct, gc=False):
    error: _Error | None = None


class _Metered(msgspec.Struct, rename="camel", gc=False):
    usage_metadata: usage.Metadata | None = None
    model_version: str = ""


class _Ending(msgspec.Struct, gc=False):
    candidates: tuple[_Candidate, ...] = ()


_GARBAGE = Seen(garbage=True)
_DONE = Seen(done=True)
# google.rpc.Code names (and the words interactions use for them) as HTTP statuses.
_CODES = {
    "invalid_argument": 400,
    "invalid_request": 400,
    "failed_precondition": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "rate_limit_exceeded": 429,
    "cancelled": 499,
    "internal": 500,
    "internal_error": 500,
    "unknown": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "overloaded": 503,
    "deadline_exceeded": 504,
}
# An interaction is still under way in these; every other status ends the answer.
_RUNNING = {"in_progress", "queued", ""}

_response = msgspec.json.Decoder(_Response)
_embedded = msgspec.json.Decoder(_Embedded)
_event = msgspec.json.Decoder(_Event)
_completion = msgspec.json.Decoder(_Completion)
_faulty = msgspec.json.Decoder(_Faulty)
_faulties = msgspec.json.Decoder(list[_Faulty])
_metered = msgspec.json.Decoder(_Metered)
_ending = msgspec.json.Decoder(_Ending)
_anything = msgspec.json.Decoder(dict[str, msgspec.Raw])


def observe(reading: Reading, data: bytes, name: str = "") -> Seen:
    """Read one event (``name`` is its SSE name) or a whole body. Never raises."""
    reader = _READERS[reading]
    try:
        return reader(data, name)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    if b"null" in data:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            seen = reader(nulls.dropped(data), name)
            if seen.fault is None:
                return seen
            # Whoever passes the fault on passes Google's own bytes.
            return msgspec.structs.replace(seen, fault=msgspec.structs.replace(seen.fault, raw=data))
    return _otherwise(data)


def fault_in(data: bytes) -> Fault | None:
    """The error object in a body, bare or in a one-element array, or None. Never raises."""
    try:
        if data.lstrip()[:1] == b"[":
            rows = _faulties.decode(data)
            error = next((row.error for row in rows if row.error is not None), None)
        else:
            error = _faulty.decode(data).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if error is None else _fault(error, data)


def _fault(error: _Error, data: bytes) -> Fault:
    status, code = error.status, error.code
    if isinstance(code, str):
        status = status or code.upper()
        code = int(code) if code.isdigit() and len(code) == 3 else _CODES.get(code.lower(), 0)
    return Fault(code or _CODES.get(status.lower(), 500), status, error.message, data)


def _otherwise(data: bytes) -> Seen:
    """What can be said of bytes that a reader refused: a fault in an array, a marker, parts of an object."""
    if data.strip() == b"[DONE]":
        return _DONE
    fault = fault_in(data)
    if fault is not None:
        return Seen(fault=fault)
    try:
        _anything.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _GARBAGE
    counted = finish = None
    model = ""
    with contextlib.suppress(msgspec.DecodeError):
        metered = _metered.decode(data)
        model = metered.model_version
        counted = metered.usage_metadata
    with contextlib.suppress(msgspec.DecodeError):
        finish = next((row.finish_reason for row in _ending.decode(data).candidates if row.finish_reason), "")
    return Seen(
        usage=None if counted is None else usage.from_metadata(counted),
        finish=finish or "",
        model=model,
        parts=True,
    )


def _read_response(data: bytes, _: str) -> Seen:
    seen = _response.decode(data)
    if seen.error is not None:
        return Seen(fault=_fault(seen.error, data))
    finish = token = ""
    parts = grounded = False
    searches = maps = 0
    signed: list[str] = []
    for candidate in seen.candidates:
        finish = candidate.finish_reason or finish
        token = candidate.continuation_token or token
        if candidate.content is not None:
            for part in candidate.content.parts:
                parts = True
                if part.thought_signature:
                    signed.append(part.thought_signature)
        ground = candidate.grounding_metadata
        if ground is not None:
            searches += len(ground.web_search_queries) + len(ground.image_search_queries)
            maps = maps or int(any(chunk.maps is not None for chunk in ground.grounding_chunks))
            web = any(chunk.web is not None for chunk in ground.grounding_chunks)
            grounded = grounded or web or searches > 0
    counted = seen.usage_metadata
    return Seen(
        usage=None if counted is None else usage.from_metadata(counted),
        finish=finish,
        model=seen.model_version,
        response=seen.response_id,
        tier=seen.service_tier or ("" if counted is None else counted.service_tier),
        block="" if seen.prompt_feedback is None else seen.prompt_feedback.block_reason,
        parts=parts,
        searches=searches,
        maps=maps,
        grounded=grounded,
        signatures=signatures.kept(signed, 4) if signed else (),
        continuation=signatures.plain(token) if token else b"",
    )


def _read_embedded(data: bytes, _: str) -> Seen:
    seen = _embedded.decode(data)
    if seen.error is not None:
        return Seen(fault=_fault(seen.error, data))
    counted = seen.usage_metadata
    return Seen(
        usage=None if counted is None else usage.from_metadata(counted),
        model=seen.model_version,
        parts=seen.embedding is not None or bool(seen.embeddings),
        done=True,
    )


def _read_interaction(data: bytes, name: str) -> Seen:
    seen = _event.decode(data)
    if seen.error is not None:
        return Seen(fault=_fault(seen.error, data))
    kind = seen.event_type or name
    if kind == "error":
        return Seen(fault=Fault(500, "INTERNAL", "", data))
    signed = signatures.kept(signatures.in_steps(data), 4) if b'"signature"' in data else ()
    if kind.startswith("step."):
        return Seen(parts=True, signatures=signed)
    body = seen.interaction or seen
    ends = not kind or kind == "interaction.completed" or body.status not in _RUNNING
    counted = None if body.usage is None else usage.from_totals(body.usage)
    return Seen(
        usage=counted,
        finish=body.status if ends else "",
        model=body.model or (body.agent if isinstance(body.agent, str) else ""),
        response=body.id or seen.interaction_id,
        tier=body.service_tier or "",
        parts=bool(body.steps),
        searches=0 if counted is None else counted.searches,
        maps=0 if counted is None else counted.maps,
        grounded=counted is not None and counted.searches > 0,
        signatures=signed,
        continuation=signatures.plain(body.continuation_token) if body.continuation_token else b"",
    )


def _read_completion(data: bytes, _: str) -> Seen:
    seen = _completion.decode(data)
    if seen.error is not None:
        return Seen(fault=_fault(seen.error, data))
    finish = ""
    parts = bool(seen.data)
    for choice in seen.choices:
        finish = choice.finish_reason or finish
        parts = parts or choice.delta is not None or choice.message is not None
    return Seen(
        usage=None if seen.usage is None else usage.from_spent(seen.usage),
        finish=finish,
        model=seen.model or "",
        response=seen.id or "",
        tier=seen.service_tier or "",
        parts=parts,
        done=bool(seen.data),
        signatures=(signatures.kept(signatures.in_chat(data), 4) if b'"thought_signature"' in data else ()),
    )


def _read_other(data: bytes, _: str) -> Seen:
    """Counts and everything else: an object with or without an error in it; its tokens are not billed."""
    error = _faulty.decode(data).error
    return Seen(parts=True, done=True) if error is None else Seen(fault=_fault(error, data))


_READERS: dict[Reading, Callable[[bytes, str], Seen]] = {
    Reading.GENERATE: _read_response,
    Reading.INTERACTION: _read_interaction,
    Reading.EMBED: _read_embedded,
    Reading.COUNT: _read_other,
    Reading.OPENAI: _read_completion,
    Reading.LIVE: _read_other,
    Reading.OTHER: _read_other,
}
