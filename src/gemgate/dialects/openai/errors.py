"""Errors in OpenAI's form, ours and Google's.

``{"error": {message, type, param, code, …}}``: ``type`` follows the status, ``code`` is our stable reason, or
Google's, in lower case, but for the few words that OpenAI's clients look for. Beside them stand ``retryable``,
and where they are known ``hint``, ``call`` (the id of the call), and Google's ``status`` and ``details``.
``param`` is the field that the message names, where the fault is in one.
"""

from __future__ import annotations

import re

import msgspec

from gemgate.core import fingerprint
from gemgate.core.errors import Refused
from gemgate.dialects.gemini.errors import DOMAIN, Complaint
from gemgate.dialects.openai.parameters import INVALID, UNSUPPORTED

KEPT = "An answer is kept unless store is false. Ids of other makers are not known here."
"""The hint for ids of answers that nobody keeps."""
_LOST = "PREVIOUS_RESPONSE_NOT_FOUND"
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
# The words that OpenAI's own API uses, by status, where Google gives no reason.
_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
# Ours, where OpenAI has a word of its own that programs look for.
_WORDS = {"MODEL_UNKNOWN": "model_not_found", "MODEL_CLOSED": "model_not_found"}
_RETRYABLE = (408, 429, 500, 502, 503, 504)
_FIELD = re.compile(r"'([\w.\[\]\-]+)'")
_MODEL = re.compile(r"\bmodels?/|\bmodel\b", re.IGNORECASE)
_TOO_LONG = re.compile(r"input token count\b.*\bexceeds the maximum", re.IGNORECASE)


class _Violation(msgspec.Struct, gc=False):
    field: str = ""


class _Detail(msgspec.Struct, gc=False):
    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = {}
    fieldViolations: tuple[_Violation, ...] = ()


class _Error(msgspec.Struct):
    code: int | str | None = 0
    message: str = ""
    status: str = ""
    type: str | None = ""
    details: msgspec.Raw = msgspec.Raw(b"")


class _Wrapped(msgspec.Struct):
    error: _Error


class _Theirs(msgspec.Struct):
    """What a rendered error says again in a stream of responses."""

    message: str = ""
    param: str | None = None
    code: str | None = None


class _Rendered(msgspec.Struct):
    error: _Theirs


_one = msgspec.json.Decoder(_Wrapped)
_many = msgspec.json.Decoder(list[_Wrapped])
_details = msgspec.json.Decoder(list[_Detail])
_rendered = msgspec.json.Decoder(_Rendered)


def kind(status: int) -> str:
    """The ``type`` of an error with this HTTP status."""
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def render(complaint: Complaint, call: str) -> bytes:
    """An error of ours; ``call`` is the id of the call, empty for none."""
    param = None
    if complaint.code in (INVALID, UNSUPPORTED):
        found = _FIELD.search(complaint.message)
        param = found[1] if found is not None else None
    elif complaint.code == _LOST:
        param = "previous_response_id"
    error: dict[str, object] = {
        "message": fingerprint.redact(complaint.message),
        "type": kind(complaint.status),
        "param": param,
        "code": _WORDS.get(complaint.code) or complaint.code.lower(),
        "retryable": complaint.retryable,
    }
    if complaint.hint:
        error["hint"] = complaint.hint
    if call:
        error["call"] = call
    return msgspec.json.encode({"error": error})


def lost(previous: str) -> Refused:
    """The refusal of a ``previous_response_id`` that nobody keeps: OpenAI's own API says 400 there, not 404."""
    return Refused(400, "PREVIOUS_RESPONSE_NOT_FOUND", f"Nobody keeps an answer {previous}.", hint=KEPT)


def names_no_model(body: bytes) -> bool:
    """Whether a 404 of Google's is about something else than the model."""
    error = _google(body)
    return error is not None and not _MODEL.search(error.message)


def from_google(status: int, body: bytes) -> bytes | None:
    """Google's error, bare or in a one-element array, for an answer of HTTP ``status``.

    A status below 400 (an error within a stream) gives way to the one that the error itself states. None when the
    body is no error of Google's: one that has OpenAI's form already is none.
    """
    error = _google(body)
    if error is None or error.type:
        return None
    if status < 400:
        status = error.code if isinstance(error.code, int) and error.code >= 400 else 500
    details: list[_Detail] = []
    try:
        if error.details:
            details = _details.decode(error.details)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        details = []  # unusual details go on as they are
    reason = next((one for one in details if one.reason), _Detail())
    fields = (one.field for detail in details for one in detail.fieldViolations if one.field)
    said: dict[str, object] = {
        "message": fingerprint.redact(error.message),
        "type": kind(status),
        "param": next(fields, None),
        "code": _code(status, error, reason),
        "retryable": status in _RETRYABLE,
    }
    if reason.domain == DOMAIN:
        said |= {name: reason.metadata[name] for name in ("hint", "call") if name in reason.metadata}
        said["retryable"] = reason.metadata.get("retryable") == "true"
    if error.status:
        said["status"] = error.status
    if error.details:
        said["details"] = error.details
    return msgspec.json.encode({"error": said})


def _google(body: bytes) -> _Error | None:
    try:
        if body.lstrip()[:1] == b"[":
            rows = _many.decode(body)
            return rows[0].error if rows else None
        return _one.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _code(status: int, error: _Error, reason: _Detail) -> str | None:
    if reason.domain == DOMAIN:
        return reason.reason.lower()
    if status == 404 and _MODEL.search(error.message):
        return "model_not_found"
    if status == 400 and _TOO_LONG.search(error.message):
        return "context_length_exceeded"
    return _CODES.get(status) or (reason.reason or error.status).lower() or None


def stream_error(body: bytes) -> bytes:
    """The last event of a stream of chat completions that broke, from the body of an error in OpenAI's form."""
    return b"data: " + _one_line(body) + b"\n\n"


def responses_error(body: bytes) -> bytes:
    """The last event of a stream of responses that broke, from the body of an error in OpenAI's form.

    The members of OpenAI's own event stand beside ``error``, without which its SDKs would take the stream for
    one that ended well.
    """
    error = _rendered.decode(body).error
    head = msgspec.json.encode(
        {"type": "error", "code": error.code, "message": error.message, "param": error.param}
    )
    return b"event: error\ndata: " + head[:-1] + b"," + _one_line(body.strip())[1:] + b"\n\n"


def _one_line(body: bytes) -> bytes:
    """JSON without line breaks: a ``data:`` line must be one. Breaks within JSON strings are escaped already."""
    return body.replace(b"\r", b"").replace(b"\n", b" ")
