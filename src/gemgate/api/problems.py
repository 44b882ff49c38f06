"""Errors of the console, as problem details (RFC 9457), on every path."""

from __future__ import annotations

import json
import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

_LOG = logging.getLogger(__name__)


def problem(status: int, title: str, detail: str, allow: str = "") -> Response:
    """One error. ``allow`` lists the methods that a 405 permits."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    answer = Response(json.dumps(body) + "\n", status, content_type="application/problem+json")
    if allow:
        answer.headers["Allow"] = allow
    return answer


def on_http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug raise: unknown routes, wrong methods, malformed requests."""
    status = error.code or 500
    if status < 400:  # a redirect travels as an exception too
        plain = error.get_response()
        return Response(status=status, headers=dict(plain.headers))
    if status == 404:
        detail = "There is nothing at this path. The console's API is under /api/v1; calls go to the gateway."
    else:
        detail = error.description or error.name
    allowed = getattr(error, "valid_methods", None) or ()
    return problem(status, error.name, detail, ", ".join(sorted(allowed)))


def on_fault(error: Exception) -> Response:
    """A fault of ours: the log gets what happened, the caller only that it did."""
    # The kind and place alone: a fault's text may carry what a caller sent.
    _LOG.error("%s while answering %s %s", type(error).__name__, request.method, request.url_rule)
    return problem(500, "Internal Server Error", "The console failed at this request; its log says where.")


def install(app: Flask) -> None:
    """Answer every error of the app as problem details."""
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Exception, on_fault)
