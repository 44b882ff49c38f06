"""Errors of ours in the forms that Google's clients understand.

One body serves all: google.rpc.Status with our reason in an ErrorInfo of domain ``gemgate``, and a RetryInfo
where waiting helps. In streams it is wrapped in the form of that stream.
"""

from __future__ import annotations

import msgspec

from gemgate.core import fingerprint
from gemgate.core.errors import RPC_STATUS, Refused
from gemgate.core.verdict import Kind, Verdict

DOMAIN = "gemgate"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_MILLI = 1000


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """What an error says: HTTP ``status``, our ``code`` (upper case), ``message``, what to do (``hint``),
    whether a repeat may succeed, and after how many seconds (0.0: not said).
    """

    status: int
    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    retry_after: float = 0.0


def from_refused(refused: Refused) -> Complaint:
    """What gemgate itself refused."""
    return Complaint(
        status=refused.status,
        code=refused.code,
        message=refused.message,
        hint=refused.hint,
        retryable=refused.retryable,
        retry_after=refused.retry_after,
    )


def from_verdict(verdict: Verdict) -> Complaint:
    """What an upstream did, for a client that gets no error of the upstream's own."""
    retryable = verdict.kind in (Kind.BUSY, Kind.BROKEN, Kind.CUT)
    return Complaint(
        status=verdict.status if verdict.status >= 400 else 502,
        code=verdict.reason.upper() or verdict.kind.upper(),
        message=verdict.message or "The upstream gave no usable answer.",
        hint="Send the request again." if retryable else "",
        retryable=retryable,
        retry_after=verdict.retry_after,
    )


def render(complaint: Complaint, call: str = "") -> bytes:
    """The error as a JSON body; ``call`` is the id of the call, for the person who asks about it."""
    metadata = {"call": call, "hint": complaint.hint, "retryable": "true" if complaint.retryable else "false"}
    details: list[dict[str, object]] = [
        {
            "@type": _ERROR_INFO,
            "reason": complaint.code,
            "domain": DOMAIN,
            "metadata": {key: value for key, value in metadata.items() if value},
        }
    ]
    if complaint.retry_after > 0:
        details.append({"@type": _RETRY_INFO, "retryDelay": _span(complaint.retry_after)})
    return msgspec.json.encode(
        {
            "error": {
                "code": complaint.status,
                "message": fingerprint.redact(complaint.message),
                "status": RPC_STATUS.get(complaint.status, "UNKNOWN"),
                "details": details,
            }
        }
    )


def _span(seconds: float) -> str:
    """A protobuf Duration in JSON, to the millisecond, never shorter than asked."""
    millis = -int(-seconds * _MILLI // 1)
    whole, rest = divmod(millis, _MILLI)
    return f"{whole}.{rest:03d}s" if rest else f"{whole}s"


def retry_after_header(seconds: float) -> str:
    """The value of Retry-After: whole seconds, rounded up; empty when none is known."""
    return str(-int(-seconds // 1)) if seconds > 0 else ""


def sse_error(body: bytes) -> bytes:
    """The last event of a Gemini stream, or of a stream of the OpenAI layer, that broke."""
    return b"data: " + _one_line(body) + b"\r\n\r\n"


def interactions_error(body: bytes) -> bytes:
    """The last event of an interaction's stream that broke, in its own shape (``code`` is a word there)."""
    error = msgspec.json.decode(body, type=_Wrapped).error
    event = {
        "event_type": "error",
        "error": {"code": error.status.lower(), "message": error.message, "details": error.details},
    }
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def openai_error(complaint: Complaint, call: str = "") -> bytes:
    """The error for OpenAI's clients, who look for ``message``, ``type`` and ``code``; Google's fields stay."""
    error = msgspec.json.decode(render(complaint, call), type=_Wrapped).error
    kind = "invalid_request_error" if complaint.status < 500 and complaint.status != 429 else "server_error"
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": "rate_limit_error" if complaint.status == 429 else kind,
                "param": None,
                "code": complaint.code.lower(),
                "status": error.status,
                "details": error.details,
            }
        }
    )


class _Status(msgspec.Struct):
    code: int | str = 500
    message: str = ""
    status: str = "INTERNAL"
    details: list[msgspec.Raw] = []


class _Wrapped(msgspec.Struct):
    error: _Status


def _one_line(body: bytes) -> bytes:
    """JSON without line breaks: a ``data:`` line must be one. Breaks within JSON strings are escaped already."""
    return body.replace(b"\r", b"").replace(b"\n", b" ")
