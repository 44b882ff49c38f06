"""The console's Flask app."""

from __future__ import annotations

from typing import Any, Final

from flask import Flask, Response, render_template_string, request
from flask_restx import Api

from gemgate import __version__
from gemgate.api import docs, problems
from gemgate.api.context import SETTINGS
from gemgate.api.guard import objection
from gemgate.api.health import gateway_url
from gemgate.api.namespaces import NAMESPACES
from gemgate.api.problems import ID_HEADER, Problem
from gemgate.api.roles import Role, require_roles, role
from gemgate.config import Settings

PREFIX: Final = "/api/v1"
MAX_BODY: Final = 8 * 2**20
"""The largest body that the console takes, in bytes."""

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gemgate console</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}
code{background:#8882;padding:.1em .3em;border-radius:.2em}</style>
<h1>gemgate {{ version }}</h1>
{% if simulated %}<p><strong>This gateway answers from the simulator, not from Google.</strong></p>{% endif %}
<p>The gateway is at <code>{{ gateway }}</code>. Point an SDK at it:</p>
<p><code>export GOOGLE_GEMINI_BASE_URL={{ gateway }}</code></p>
<p>The dashboard will be on this page. Until then <a href="/api/docs">/api/docs</a> is the API to try,
<code>gemgate calls</code> shows the record, and <a href="/api/v1/health">/api/v1/health</a> how gemgate is.</p>
</html>
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_ABOUT = """Everything that gemgate knows and everything that an administrator does.

Times are UTC microseconds as integers (`*_at`, `start`), or ISO 8601 (`time`); money is integer nano-dollars
(`*_nano`), null where the price is unknown; spans are microseconds. Errors are `application/problem+json`.

Until an admin token was made, whoever is on this machine may do everything but read stored bodies. Afterwards each
request needs a token: `gemgate admin-token create NAME --role viewer|operator|admin`."""


class _Api(Api):
    """Flask-RESTX for its resources and namespaces; errors, document and its page are ours."""

    def error_router(self, original_handler: Any, e: Exception) -> Any:
        """Errors have one form wherever they come from: that of ``problems``."""
        return original_handler(e)

    def _register_specs(self, app: Flask) -> None:
        """The document is served by ``docs``."""

    def _register_doc(self, app: Flask) -> None:
        """Its page too."""

    def _register_apidoc(self, app: Flask) -> None:
        """And what the page loads."""


def build(settings: Settings) -> Flask:
    """The app. Raises Undeclared when a route declares no role."""
    app = Flask("gemgate.api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config[SETTINGS] = settings
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.strict_slashes = False
    _guard(app, settings)

    @app.get("/healthz")
    @role(Role.ANYONE)
    def healthz() -> Response:
        """Whether the console runs."""
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    @app.get("/")
    @role(Role.ANYONE)
    def page() -> str:
        """Where the gateway is, for a browser."""
        return render_template_string(
            _PAGE, version=__version__, gateway=gateway_url(settings), simulated=settings.simulated
        )

    api = _Api(app, prefix=PREFIX, version=__version__, title="gemgate", description=_ABOUT, doc=False)
    for namespace in NAMESPACES:
        api.add_namespace(namespace)
    docs.install(app, api, PREFIX)
    problems.install(app)
    require_roles(app)
    return app


def _guard(app: Flask, settings: Settings) -> None:
    """Keep pages of other sites away, and tell browsers to be strict."""
    hosts = [settings.console.host, *settings.console.allowed_hosts]

    @app.before_request
    def guard() -> None:
        """Turn pages of other sites away."""
        why = objection(request.method, request.headers, hosts)
        if why:
            raise Problem(403, "FOREIGN_PAGE", why)

    @app.after_request
    def harden(answer: Response) -> Response:
        """Tell browsers to be strict."""
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers[ID_HEADER] = problems.request_id()
        return answer
