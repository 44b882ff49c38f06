"""Plain questions in Gemini's form, and its answers as plain text: for those who ask a model and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gemgate.core.usage import Usage
from gemgate.dialects.gemini.usage import Metadata, from_metadata


class Said(msgspec.Struct, frozen=True):
    """One message: ``role`` is ``user`` or ``model``."""

    role: str
    text: str


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer, or one event of a streamed one, brings. ``usage`` is the count up to there, None for none."""

    text: str = ""
    thoughts: str = ""
    finish: str = ""
    block: str = ""
    model: str = ""
    usage: Usage | None = None


class _Part(msgspec.Struct):
    text: str = ""
    thought: bool = False


class _Content(msgspec.Struct):
    parts: tuple[_Part, ...] = ()


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str = ""


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    candidates: tuple[_Candidate, ...] = ()
    prompt_feedback: _Feedback | None = None
    usage_metadata: Metadata | None = None
    model_version: str = ""


_decoder = msgspec.json.Decoder(_Answer)


def question(messages: Sequence[Said], system: str, config: dict[str, Any]) -> bytes:
    """The body of generateContent. ``config`` is the ``generationConfig``, in Google's names."""
    body: dict[str, Any] = {
        "contents": [{"role": one.role, "parts": [{"text": one.text}]} for one in messages]
    }
    if system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if config:
        body["generationConfig"] = config
    return msgspec.json.encode(body)


def answer(body: bytes) -> Piece:
    """What an answer, or an event, says: of several candidates the first. Raises ValueError where it is none."""
    try:
        seen = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("this is no answer of generateContent") from None
    first = seen.candidates[0] if seen.candidates else _Candidate()
    parts = first.content.parts if first.content is not None else ()
    return Piece(
        text="".join(part.text for part in parts if not part.thought),
        thoughts="".join(part.text for part in parts if part.thought),
        finish=first.finish_reason,
        block=seen.prompt_feedback.block_reason if seen.prompt_feedback is not None else "",
        model=seen.model_version,
        usage=from_metadata(seen.usage_metadata) if seen.usage_metadata is not None else None,
    )


def joined(one: Piece, more: Piece) -> Piece:
    """Two pieces of one streamed answer, in their order."""
    return Piece(
        text=one.text + more.text,
        thoughts=one.thoughts + more.thoughts,
        finish=more.finish or one.finish,
        block=more.block or one.block,
        model=more.model or one.model,
        usage=more.usage or one.usage,
    )


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the gateway's or Google's. ``code`` is the gateway's own reason, or Google's status word."""

    status: int
    code: str
    message: str
    hint: str = ""
    call: str = ""
    retry_after: float = 0.0


class _Detail(msgspec.Struct, rename="camel"):
    domain: str = ""
    reason: str = ""
    metadata: dict[str, str] = {}
    retry_delay: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    status: str = ""
    details: tuple[_Detail, ...] = ()


class _Wrapped(msgspec.Struct):
    error: _Error


_faults = msgspec.json.Decoder(_Wrapped)


def fault(body: bytes) -> Fault | None:
    """The error that a body or an event is, None when it is none."""
    try:
        error = _faults.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    own = next((one for one in error.details if one.domain == "gemgate"), _Detail())
    delay = next((one.retry_delay for one in error.details if one.retry_delay), "")
    return Fault(
        status=error.code,
        code=own.reason or error.status,
        message=error.message,
        hint=own.metadata.get("hint", ""),
        call=own.metadata.get("call", ""),
        retry_after=_seconds(delay),
    )


def _seconds(delay: str) -> float:
    """A protobuf Duration in JSON (``3.5s``), 0.0 for what is none."""
    try:
        return max(0.0, float(delay.removesuffix("s")))
    except ValueError:
        return 0.0
