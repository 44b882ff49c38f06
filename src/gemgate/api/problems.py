"""Errors of the console, as problem details (RFC 9457), on every path.

Shape: ``type`` (``urn:gemgate:problem:<code>``), ``title``, ``status``, ``detail``, ``code``, ``errors`` (a sentence
for each field at fault), ``hint`` (what to do), ``request_id`` (also in the header ``x-request-id``).
"""

from __future__ import annotations

import http
import logging
import math
import re
import sqlite3
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

import msgspec
from flask import Flask, Response, g, has_request_context, request
from werkzeug.exceptions import HTTPException

from gemgate.core.errors import Refused, place_of
from gemgate.insight.plan import TooMuch
from gemgate.insight.spans import BadAsk

MEDIA: Final = "application/problem+json"
ID_HEADER: Final = "x-request-id"

_LOG = logging.getLogger(__name__)
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NOTHING_HERE: Final = (
    "There is nothing at this path. The console's API is under /api/v1; calls go to the gateway."
)
# What Werkzeug raises says in its own words what was wrong; these say it in ours, and what to do.
_WORDS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("BAD_REQUEST", "The request cannot be read.", ""),
    404: ("NOTHING_HERE", _NOTHING_HERE, "The document of the API is at /api/v1/swagger.json."),
    405: (
        "WRONG_METHOD",
        "This path does not take this method.",
        "The header Allow lists those that it takes.",
    ),
    413: ("TOO_LARGE", "The body is larger than the console takes.", "Send less at once."),
    415: ("NOT_JSON", "The body must be JSON.", "Send it with the header Content-Type: application/json."),
}


class ProblemBody(msgspec.Struct, kw_only=True):
    """What went wrong, why, and what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: dict[str, str] = {}
    hint: str = ""
    request_id: str = ""


class Problem(Exception):
    """An error answer of the API.

    ``status`` is the HTTP status, ``code`` our stable upper-case reason, ``detail`` a sentence for people, ``hint``
    what to do about it, ``errors`` a sentence by field, ``retry_after`` seconds after which the same may succeed.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        hint: str = "",
        errors: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = dict(errors or {})
        self.retry_after = retry_after


def request_id() -> str:
    """The id of the request: the client's own where it sent a usable one, else one made here."""
    if not has_request_context():
        return ""
    if "request_id" not in g:
        asked = request.headers.get(ID_HEADER, "")
        g.request_id = asked if _ID.fullmatch(asked) else uuid4().hex
    return str(g.request_id)


def body_of(problem: Problem, asked: str) -> bytes:
    """The JSON of a problem for the request of this id."""
    title = http.HTTPStatus(problem.status).phrase if problem.status in _PHRASES else "Error"
    said = ProblemBody(
        type=f"urn:gemgate:problem:{problem.code.lower()}",
        title=title,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        errors=problem.errors,
        hint=problem.hint,
        request_id=asked,
    )
    return msgspec.json.encode(said) + b"\n"


def answer(problem: Problem) -> Response:
    """The answer that says it."""
    made = Response(body_of(problem, request_id()), problem.status, content_type=MEDIA)
    if problem.retry_after is not None:
        made.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    # A virtual key that the gateway does not take is no token of the console's.
    if problem.status == 401 and problem.code.startswith("TOKEN_"):
        made.headers["WWW-Authenticate"] = 'Bearer realm="gemgate"'
    return made


def of_refused(error: Refused) -> Problem:
    """The problem that a refusal of the core stands for."""
    return Problem(error.status, error.code, error.message, error.hint, retry_after=error.retry_after or None)


def of_ask(error: BadAsk) -> Problem:
    """The problem of a question that makes no sense, with its field."""
    detail = "The query string does not hold what is asked for here."
    return Problem(400, "BAD_QUERY", detail, errors={error.field: error.sentence})


def of_store(error: sqlite3.Error) -> Problem:
    """What SQLite complains of, without its words: they may hold what a caller sent."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        hint = "Narrow the span, or name a model, route or key."
        return Problem(
            422, "TOO_MUCH", "The answer needs more of the record read than is allowed at once.", hint
        )
    _LOG.warning(
        "the record: %s while answering %s", getattr(error, "sqlite_errorname", "?"), request.url_rule
    )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Problem(503, "STORE_BUSY", "Another program holds the record.", retry_after=1.0)
    return Problem(
        503, "STORE_DOWN", "The record cannot be used now.", "`gemgate doctor` looks at it closer."
    )


def on_http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug raise: unknown routes, wrong methods, malformed requests."""
    status = error.code or 500
    if status < 400:  # a redirect travels as an exception too
        plain = error.get_response()
        return Response(status=status, headers=dict(plain.headers))
    name = re.sub(r"\W+", "_", error.name).upper()
    code, detail, hint = _WORDS.get(status, (name, error.description or error.name, ""))
    made = answer(Problem(status, code, detail, hint))
    allowed = getattr(error, "valid_methods", None) or ()
    if allowed:
        made.headers["Allow"] = ", ".join(sorted(allowed))
    return made


def on_fault(error: Exception) -> Response:
    """A fault of ours: the log gets what happened, the caller only that it did."""
    if isinstance(error, Problem):
        return answer(error)
    if isinstance(error, Refused):
        return answer(of_refused(error))
    if isinstance(error, sqlite3.Error):
        return answer(of_store(error))
    if isinstance(error, BadAsk):
        return answer(of_ask(error))
    if isinstance(error, TooMuch):
        detail = "The answer needs more of the record read than is allowed at once."
        hint = f"{error.advice[:1].upper()}{error.advice[1:].rstrip('.')}."
        return answer(Problem(422, "TOO_MUCH", detail, hint))
    # The kind and place alone: a fault's text may carry what a caller sent.
    _LOG.error(
        "%s while answering %s %s (%s)",
        type(error).__name__,
        request.method,
        request.url_rule,
        place_of(error),
    )
    return answer(Problem(500, "INTERNAL", "The console failed at this request; its log says where."))


def install(app: Flask) -> None:
    """Answer every error of the app as problem details."""
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Exception, on_fault)


_PHRASES: Final = frozenset(int(status) for status in http.HTTPStatus)
