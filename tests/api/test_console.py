"""The console's routes: who may use them, who is kept away, and what errors look like."""

from __future__ import annotations

import http.server
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from gemgate.api.app import build
from gemgate.api.guard import local, name_in, objection
from gemgate.api.roles import Role, Undeclared, require_roles, role, roles_of
from gemgate.config import Settings
from gemgate.config.settings import Console, Gateway
from gemgate.store.migrate import upgrade


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A folder without a database, and a gateway port on which nothing listens."""
    return Settings(data=tmp_path, gateway=Gateway(port=1), console=Console(allowed_hosts=("box.example",)))


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def test_every_rule_declares_a_role(settings: Settings) -> None:
    app = build(settings)
    rules = {rule.rule: roles_of(app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()}
    assert all(None not in roles.values() and roles for roles in rules.values())
    assert rules["/api/v1/health"] == {"GET": Role.ANYONE}
    assert rules["/api/v1/system"] == {"GET": Role.VIEWER}


def test_a_route_without_a_role_stops_the_app_from_being_built() -> None:
    app = Flask("some", static_folder=None)
    app.add_url_rule("/open", view_func=role(Role.VIEWER)(lambda: "x"), endpoint="open")
    require_roles(app)
    app.add_url_rule("/bare", view_func=lambda: "x", endpoint="bare")
    with pytest.raises(Undeclared, match="/bare"):
        require_roles(app)


def test_health_says_what_is_down_and_why(client: FlaskClient) -> None:
    answer = client.get("/api/v1/health")
    assert answer.status_code == 200
    found = answer.get_json()
    assert found["status"] == "degraded"
    assert found["gateway"]["reachable"] is False
    assert found["gateway"]["url"] == "http://127.0.0.1:1"
    assert found["store"]["reason"] == "there is no database yet"
    assert found["simulated"] is True


class Answering(http.server.BaseHTTPRequestHandler):
    """A gateway that names what is paused and left out."""

    def do_GET(self) -> None:
        body = b'{"status": "ok", "paused": ["secret-project"], "left_out": [], "store": {"spilled": 3}}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_health_counts_what_it_must_not_name_to_everybody(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.timeout = 30  # seconds until a test whose request never comes goes on
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        settings = Settings(data=tmp_path, gateway=Gateway(port=server.server_address[1]))
        answer = build(settings).test_client().get("/api/v1/health")
        thread.join()
    assert answer.get_json()["gateway"]["says"] == {
        "status": "ok",
        "paused": 1,
        "left_out": 0,
        "store": {"spilled": 3},
    }
    assert "secret-project" not in answer.text


def test_health_sees_the_store(client: FlaskClient, settings: Settings) -> None:
    upgrade(settings.database)
    assert client.get("/api/v1/health").get_json()["store"]["up"] is True
    conn = sqlite3.connect(settings.database)
    conn.execute("UPDATE alembic_version SET version_num = '0000'")
    conn.commit()
    conn.close()
    store = client.get("/api/v1/health").get_json()["store"]
    assert (store["up"], store["schema"]) == (False, "0000")
    settings.database.write_bytes(b"no database at all" * 100)
    assert client.get("/api/v1/health").get_json()["store"]["up"] is False


def test_the_page_says_where_the_gateway_is(client: FlaskClient) -> None:
    answer = client.get("/")
    assert "http://127.0.0.1:1" in answer.text
    assert "simulator" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/healthz", 405),
        ("DELETE", "/", 405),
    ],
)
def test_errors_are_problem_details(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.data)
    assert body["status"] == status
    assert body["detail"]
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_fault_of_ours_shows_nothing_of_itself(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    app = build(settings)

    def broken() -> str:
        raise RuntimeError("AIzaSecretInAFault")

    app.add_url_rule("/broken", view_func=role(Role.ANYONE)(broken))
    answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert "AIzaSecretInAFault" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", {"Host": "127.0.0.1:8081"}, True),
        ("GET", {"Host": "localhost:8081"}, True),
        ("GET", {"Host": "[::1]:8081"}, True),
        ("GET", {"Host": "app.localhost"}, True),
        ("GET", {"Host": "BOX.example:8081"}, True),
        ("GET", {"Host": "evil.example"}, False),
        ("GET", {"Host": "localhost.evil.example"}, False),
        ("GET", {"Host": "127.0.0.1.evil.example"}, False),
        ("GET", {"Host": ""}, False),
        ("GET", {"Host": "localhost", "Origin": "https://evil.example"}, False),
        ("POST", {"Host": "localhost:1", "Origin": "http://localhost:2"}, False),
        ("POST", {"Host": "localhost:1", "Origin": "http://localhost:1"}, True),
        ("POST", {"Host": "localhost", "Origin": "null"}, False),
        ("GET", {"Host": "localhost", "Origin": "http://["}, False),
        ("GET", {"Host": "["}, False),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ("POST", {"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, False),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "none"}, True),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "same-origin"}, True),
    ],
)
def test_pages_of_other_sites_are_kept_away(
    client: FlaskClient, method: str, headers: dict[str, str], allowed: bool
) -> None:
    why = objection(method, headers, ["127.0.0.1", "box.example"])
    assert (why == "") is allowed
    if headers["Host"]:
        answer = client.open("/nothing", method=method, headers=headers)
        assert (answer.status_code == 403) is not allowed


@given(st.text(max_size=60))
def test_no_host_header_breaks_the_guard(text: str) -> None:
    name = name_in(text)
    assert isinstance(local(name), bool)
    assert isinstance(objection("GET", {"Host": text, "Origin": text}, []), str)
