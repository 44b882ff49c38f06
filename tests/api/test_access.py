"""Who is let in: tokens and roles, the open console, and what a request may bring."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from gemgate.api import context, streams
from gemgate.api.app import MAX_BODY, build
from gemgate.api.problems import MEDIA, Problem
from gemgate.api.roles import Role, role
from gemgate.config import Settings
from gemgate.config.settings import Console
from gemgate.core.errors import Refused
from gemgate.store import audit, tokens
from gemgate.store.connection import reader, visitor
from gemgate.store.migrate import upgrade

NOW = 1_795_000_000_000_000
SYSTEM = "/api/v1/system"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    upgrade(tmp_path / "gemgate.db")
    return Settings(data=tmp_path)


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def put(settings: Settings, name: str, needed: str = "viewer", **more: int | bool) -> str:
    secret = tokens.mint(name.encode().ljust(32, b"."))
    with contextlib.closing(visitor(settings.database)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        wanted = msgspec.structs.replace(tokens.Token(name=name, role=needed, created_at=NOW), **more)
        tokens.create(conn, wanted, secret)
        if more.get("disabled_at"):
            tokens.disable(conn, name, NOW)
        conn.keep()
    return secret


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def code(answer: Response) -> tuple[int, str]:
    assert answer.content_type == MEDIA
    body = json.loads(answer.data)
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


def test_without_a_token_made_this_machine_is_let_in_and_a_wrong_token_is_not(client: FlaskClient) -> None:
    assert client.get(SYSTEM).status_code == 200
    assert code(client.get(SYSTEM, headers=bearer("gg-admin-guess"))) == (401, "TOKEN_UNKNOWN")


def test_from_the_first_token_on_one_is_asked_for_and_health_is_not(
    settings: Settings, client: FlaskClient
) -> None:
    secret = put(settings, "ann")
    answer = client.get(SYSTEM)
    assert code(answer) == (401, "TOKEN_NEEDED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert client.get(SYSTEM, headers=bearer(secret)).status_code == 200
    assert client.get(SYSTEM, headers={"x-gemgate-token": secret}).status_code == 200
    assert client.get(SYSTEM, headers={"Authorization": f"Basic {secret}"}).status_code == 401
    assert client.get("/api/v1/health").status_code == 200
    assert client.get("/api/docs").status_code == 200


def test_a_token_that_was_switched_off_or_is_over_is_told_so(settings: Settings, client: FlaskClient) -> None:
    off = put(settings, "off", disabled_at=NOW)
    over = put(settings, "over", expires_at=NOW + 1)
    assert code(client.get(SYSTEM, headers=bearer(off))) == (401, "TOKEN_DISABLED")
    assert code(client.get(SYSTEM, headers=bearer(over))) == (401, "TOKEN_EXPIRED")
    # The only tokens being out of force lets nobody in.
    assert code(client.get(SYSTEM)) == (401, "TOKEN_NEEDED")


def test_a_console_that_others_reach_is_never_open(tmp_path: Path) -> None:
    upgrade(tmp_path / "gemgate.db")
    app = build(Settings(data=tmp_path, console=Console(host="0.0.0.0", allowed_hosts=("box.example",))))
    answer = app.test_client().get(SYSTEM, headers={"Host": "box.example"})
    assert code(answer) == (401, "TOKEN_NEEDED")


@pytest.mark.parametrize("held", ["viewer", "operator", "admin"])
def test_each_role_may_what_those_below_it_may(settings: Settings, client: FlaskClient, held: str) -> None:
    secret = put(settings, "one", held)
    may = client.get("/api/v1/audit", headers=bearer(secret))
    assert (may.status_code == 200) is (held == "admin")
    if held != "admin":
        assert code(may) == (403, "ROLE_NEEDED")
    assert client.get(SYSTEM, headers=bearer(secret)).status_code == 200


def test_stored_bodies_need_a_token_made_for_them(settings: Settings) -> None:
    app = build(settings)
    plain, special = put(settings, "plain", "admin"), put(settings, "special", "viewer", payloads=True)
    with app.test_request_context(headers=bearer(plain)):
        with pytest.raises(Problem) as found:
            context.require(Role.VIEWER, payloads=True)
        assert (found.value.status, found.value.code) == (403, "PAYLOADS_NEEDED")
    with app.test_request_context(headers=bearer(special)):
        context.require(Role.VIEWER, payloads=True)


def test_nobody_reads_stored_bodies_while_the_console_is_open(settings: Settings) -> None:
    with build(settings).test_request_context():
        who = context.caller()
        assert (who.name, who.role, who.payloads) == ("open", Role.ADMIN, False)
        with pytest.raises(Problem, match="made for it"):
            context.require(Role.VIEWER, payloads=True)


def test_a_change_and_its_trail_come_and_go_together(settings: Settings) -> None:
    app = build(settings)
    secret = put(settings, "ann", "admin")
    with app.test_request_context(headers={**bearer(secret), "x-request-id": "r-7"}):
        with context.changing() as change:
            change.audit("create", "thing", "a", None, {"size": 1})
        with pytest.raises(ZeroDivisionError):
            _fail()
    with contextlib.closing(reader(settings.database)) as conn:
        (entry,) = audit.listing(conn)
    assert (entry.actor, entry.role, entry.subject, entry.request_id) == ("ann", "admin", "a", "r-7")
    assert (entry.before, entry.after) == (None, {"size": 1})


def _fail() -> None:
    with context.changing() as change:
        change.audit("create", "thing", "b")
        raise ZeroDivisionError


def asked(app: Flask, raised: Exception) -> Response:
    """The answer of a route that raises this."""

    def view() -> str:
        raise raised

    app.add_url_rule("/raises", view_func=role(Role.ANYONE)(view))
    return app.test_client().get("/raises")


def test_what_the_core_refuses_is_a_problem(settings: Settings) -> None:
    refused = Refused(429, "BUSY", "Full.", hint="Wait.", retry_after=1.2)
    answer = asked(build(settings), refused)
    assert code(answer) == (429, "BUSY")
    assert answer.headers["Retry-After"] == "2"


def test_sqlites_own_words_are_not_told(settings: Settings) -> None:
    answer = asked(build(settings), sqlite3.OperationalError("no such table: secret_thing"))
    assert code(answer) == (503, "STORE_DOWN")
    assert "secret_thing" not in answer.text


def test_a_record_that_another_program_holds_is_told_of(settings: Settings) -> None:
    app = build(settings)
    app.add_url_rule("/write", view_func=role(Role.ANYONE)(_write))
    with contextlib.closing(visitor(settings.database)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        answer = app.test_client().get("/write")
    assert code(answer) == (503, "STORE_BUSY")
    assert answer.headers["Retry-After"] == "1"


def _write() -> str:
    with context.changing() as change:
        change.audit("create", "thing", "a")
    return ""


def test_a_read_that_takes_too_long_is_ended_with_advice(settings: Settings) -> None:
    app = build(settings)

    def view() -> str:
        with context.reading() as conn:
            conn.set_progress_handler(lambda: 1, 1)  # as when its time is over
            conn.execute("SELECT count(*) FROM sqlite_master a, sqlite_master b").fetchone()
        return ""

    app.add_url_rule("/long", view_func=role(Role.ANYONE)(view))
    answer = app.test_client().get("/long")
    assert code(answer) == (422, "TOO_MUCH")
    assert json.loads(answer.data)["hint"]
    assert app.test_client().get(SYSTEM).status_code == 200


def test_without_a_record_reading_says_so(tmp_path: Path) -> None:
    client = build(Settings(data=tmp_path)).test_client()
    assert code(client.get(SYSTEM)) == (503, "STORE_DOWN")
    assert client.get("/api/v1/health").status_code == 200


def test_a_record_that_was_taken_away_lets_nobody_in(settings: Settings, client: FlaskClient) -> None:
    """It would say that a token is needed. What is asked here needs no record itself."""
    put(settings, "ann", "admin")
    asked = {"model": "some", "prompt": "x"}
    assert code(client.post("/api/v1/generate", json=asked)) == (401, "TOKEN_NEEDED")
    settings.database.rename(settings.data / "elsewhere.db")
    assert code(client.post("/api/v1/generate", json=asked)) == (503, "STORE_DOWN")


def test_a_record_that_was_replaced_is_opened_anew(settings: Settings, client: FlaskClient) -> None:
    assert client.get("/api/v1/events").get_json()["items"] == []
    other = settings.data / "other.db"
    upgrade(other)
    with contextlib.closing(sqlite3.connect(other)) as conn, conn:
        conn.execute("INSERT INTO events(at, kind, subject, sentence) VALUES(?, 'k', 's', 'w')", (NOW,))
    for end in ("-wal", "-shm"):
        settings.database.with_name(settings.database.name + end).unlink(missing_ok=True)
    other.replace(settings.database)
    assert [one["subject"] for one in client.get("/api/v1/events").get_json()["items"]] == ["s"]


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"{", "application/json", (400, "NOT_JSON")),
        (b"[" * 100_000, "application/json", (400, "NOT_JSON")),
        (b'{"name": "\xff"}', "application/json", (400, "NOT_JSON")),
        (b'{"name": "\\ud800"}', "application/json", (400, "NOT_JSON")),
        (b"[]", "application/json", (400, "BAD_BODY")),
        (b'{"name": 1, "colour": 2}', "application/json", (400, "BAD_BODY")),
        (b"", "application/json", (400, "NOT_JSON")),
        (b"name=a", "application/x-www-form-urlencoded", (415, "NOT_JSON")),
        (b'{"name": "a"}', "", (415, "NOT_JSON")),
        (b" " * (MAX_BODY + 1), "application/json", (413, "TOO_LARGE")),
    ],
    ids=["cut", "deep", "no_utf8", "surrogate", "list", "fields", "empty", "form", "no_type", "large"],
)
def test_a_body_is_one_json_object_or_a_problem(
    client: FlaskClient, body: bytes, kind: str, expected: tuple[int, str]
) -> None:
    answer = client.post("/api/v1/keys", data=body, headers={"Content-Type": kind} if kind else {})
    assert code(answer) == expected
    if expected == (400, "BAD_BODY") and body.startswith(b"{"):
        errors = json.loads(answer.data)["errors"]
        assert errors["name"] == "Expected text, got a whole number."
        assert "known here" in errors["colour"]


def test_head_is_a_get_without_body_and_options_names_the_methods(client: FlaskClient) -> None:
    head = client.head(SYSTEM)
    assert (head.status_code, head.data, head.content_type) == (200, b"", "application/json")
    options = client.options(SYSTEM)
    assert options.status_code == 200
    assert {"GET", "HEAD", "OPTIONS"} == set(options.headers["Allow"].split(", "))
    assert "Access-Control-Allow-Origin" not in options.headers


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.x", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_a_request_id_is_taken_over_where_it_is_usable(client: FlaskClient, sent: str, kept: bool) -> None:
    answer = client.get("/api/v1/nothing", headers={"x-request-id": sent})
    assert (answer.headers["x-request-id"] == sent) is kept
    assert answer.get_json()["request_id"] == answer.headers["x-request-id"]


def test_the_stream_after_the_last_is_refused_and_a_slot_comes_back(settings: Settings) -> None:
    closed: list[int] = []

    class Events:
        """A stream that notes that it was closed."""

        def __iter__(self) -> Events:
            return self

        def __next__(self) -> bytes:
            return b"data: 1\n\n"

        def close(self) -> None:
            closed.append(1)

    with build(settings).test_request_context():
        held = [streams.stream(Events()) for _ in range(streams.MOST)]
        with pytest.raises(Problem) as found:
            streams.stream(Events())
        assert (found.value.status, found.value.retry_after) == (503, streams.RETRY)
        held[0].close()
        held[0].close()
        assert len(closed) == 1
        held[0] = streams.stream(Events())
        for one in held:
            one.close()
    assert len(closed) == streams.MOST + 1
