"""The document of the API, and its page where every call can be tried."""

from __future__ import annotations

import functools

import msgspec
from flask import Flask, Response
from flask_restx import Api

from gemgate.api.document import document
from gemgate.api.roles import Role, role


def install(app: Flask, api: Api, prefix: str) -> None:
    """Serve ``<prefix>/swagger.json`` and ``/api/docs``."""

    @functools.cache
    def written() -> bytes:
        return msgspec.json.encode(document(api, prefix))

    @app.get(f"{prefix}/swagger.json")
    @role(Role.ANYONE)
    def swagger() -> Response:
        """The document, Swagger 2.0."""
        return Response(written(), content_type="application/json")
