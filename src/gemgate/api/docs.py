"""The document of the API, and its page where every call can be tried: Swagger UI out of Flask-RESTX's own package.

The page loads nothing from elsewhere. Its policy lets run what carries the nonce of this one answer, so that nothing
that an answer shows can become a script.
"""

from __future__ import annotations

import functools
import secrets
from pathlib import Path
from typing import Final

import flask_restx
import msgspec
from flask import Flask, Response, render_template_string, send_from_directory
from flask_restx import Api
from werkzeug.exceptions import NotFound

from gemgate.api.document import document
from gemgate.api.roles import Role, role

PATH: Final = "/api/docs"

_STATIC: Final = Path(flask_restx.__file__).parent / "static"
_FILES: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gemgate API</title>
<link rel="icon" type="image/png" href="{{ path }}/favicon-32x32.png">
<link rel="stylesheet" href="{{ path }}/swagger-ui.css">
<style nonce="{{ nonce }}">body{margin:0}</style>
<div id="docs"></div>
<script nonce="{{ nonce }}" src="{{ path }}/swagger-ui-bundle.js"></script>
<script nonce="{{ nonce }}">
SwaggerUIBundle({
  url: "{{ document }}", dom_id: "#docs", presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout",
  validatorUrl: null, docExpansion: "none", displayRequestDuration: true, defaultModelsExpandDepth: 0,
  deepLinking: true, filter: true, persistAuthorization: false,
});
</script>
</html>
"""
# Swagger UI sets styles of elements by script, which a policy permits, and shows its icons as data.
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


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

    @app.get(PATH)
    @role(Role.ANYONE)
    def docs() -> Response:
        """The page."""
        nonce = secrets.token_urlsafe(16)
        page = render_template_string(_PAGE, path=PATH, nonce=nonce, document=f"{prefix}/swagger.json")
        made = Response(page, content_type="text/html; charset=utf-8")
        made.headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
        made.headers["Referrer-Policy"] = "no-referrer"
        return made

    @app.get(f"{PATH}/<path:name>")
    @role(Role.ANYONE)
    def docs_file(name: str) -> Response:
        """What the page loads."""
        if name not in _FILES:
            raise NotFound
        return send_from_directory(_STATIC, name, max_age=3600)
