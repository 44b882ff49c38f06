"""The console's Flask app."""

from __future__ import annotations

from flask import Flask, Response, jsonify, render_template_string, request

from gemgate import __version__
from gemgate.api import problems
from gemgate.api.guard import objection
from gemgate.api.health import gateway_url, health
from gemgate.api.roles import Role, require_roles, role
from gemgate.config import Settings

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gemgate console</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}
code{background:#8882;padding:.1em .3em;border-radius:.2em}</style>
<h1>gemgate {{ version }}</h1>
{% if simulated %}<p><strong>This gateway answers from the simulator, not from Google.</strong></p>{% endif %}
<p>The gateway is at <code>{{ gateway }}</code>. Point an SDK at it:</p>
<p><code>export GOOGLE_GEMINI_BASE_URL={{ gateway }}</code></p>
<p>The dashboard will be on this page. Until then <code>gemgate calls</code> shows the record, and
<a href="/api/v1/health">/api/v1/health</a> how gemgate is.</p>
</html>
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


def build(settings: Settings) -> Flask:
    """The app. Raises Undeclared when a route declares no role."""
    app = Flask("gemgate.api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    hosts = [settings.console.host, *settings.console.allowed_hosts]

    @app.before_request
    def guard() -> Response | None:
        """Turn pages of other sites away."""
        why = objection(request.method, request.headers, hosts)
        return problems.problem(403, "Forbidden", why) if why else None

    @app.after_request
    def harden(answer: Response) -> Response:
        """Tell browsers to be strict."""
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    @app.get("/healthz")
    @role(Role.ANYONE)
    def healthz() -> Response:
        """Whether the console runs."""
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    @app.get("/api/v1/health")
    @role(Role.ANYONE)
    def api_health() -> Response:
        """How gemgate is, in parts."""
        return jsonify(health(settings))

    @app.get("/")
    @role(Role.ANYONE)
    def page() -> str:
        """Where the gateway is, for a browser."""
        return render_template_string(
            _PAGE, version=__version__, gateway=gateway_url(settings), simulated=settings.simulated
        )

    problems.install(app)
    require_roles(app)
    return app
