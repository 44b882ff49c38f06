"""Stored bodies over the API: who reads them, what readings leave behind, and the rules."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from keyed import key
from recorded import blank, build, writing
from sampled import identity

from gemgate.config import Settings
from gemgate.core.call import spell
from gemgate.jobs import payloads as job
from gemgate.jobs.context import Context
from gemgate.store import audit, payloads, tokens
from gemgate.store.payloads import REQUEST, Body

CALL = identity()
TEXT = b'{"contents": [], "html": "<script>"}'
URL = f"/api/v1/payloads/{spell(CALL)}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = blank(tmp_path)
    digest, packed = payloads.pack(TEXT)
    with writing(found) as conn:
        key(conn)
        body = Body(
            call_id=CALL,
            side=REQUEST,
            digest=digest,
            size=len(TEXT),
            packed=packed,
            whole=True,
            redacted=0,
            at=time.time_ns() // 1000,
            expires_at=2**60,
        )
        payloads.keep(conn, body)
    return found


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def bearer(settings: Settings, name: str, role: str, *, reads: bool) -> dict[str, str]:
    """The header of a new token."""
    text = tokens.mint(name.encode().ljust(32, b"."))
    with writing(settings) as conn:
        tokens.create(conn, tokens.Token(name=name, role=role, payloads=reads, created_at=1), text)
    return {"Authorization": f"Bearer {text}"}


def codes(client: FlaskClient, headers: dict[str, str]) -> list[tuple[int, str]]:
    """What is answered to whoever asks for a body."""
    answers = [client.get(URL + path, headers=headers) for path in ("", "/request")]
    return [(one.status_code, (one.get_json(silent=True) or {}).get("code", "")) for one in answers]


def test_bodies_are_read_with_a_token_made_for_it_and_no_other(
    client: FlaskClient, settings: Settings
) -> None:
    assert codes(client, {}) == [(403, "PAYLOADS_NEEDED")] * 2  # open, and so an administrator
    admin = bearer(settings, "admin", "admin", reads=False)
    reader = bearer(settings, "reader", "viewer", reads=True)
    assert codes(client, {}) == [(401, "TOKEN_NEEDED")] * 2
    assert codes(client, admin) == [(403, "PAYLOADS_NEEDED")] * 2
    listed = client.get(URL, headers=reader).get_json()
    assert [(one["side"], one["size"], one["whole"]) for one in listed["items"]] == [
        ("request", len(TEXT), True)
    ]
    answer = client.get(f"{URL}/request", headers=reader)
    assert answer.data == TEXT
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    for path in ("/response", "/neither"):
        assert client.get(URL + path, headers=reader).status_code == 404
    assert client.get("/api/v1/payloads/nothing", headers=reader).status_code == 404
    with writing(settings) as conn:
        (entry,) = [one for one in audit.listing(conn, 10) if one.kind == "payload"]
    assert (entry.actor, entry.action, entry.subject) == ("reader", "read", f"{spell(CALL)}/request")


def test_rules_are_made_changed_and_deleted_with_a_trace(client: FlaskClient, settings: Settings) -> None:
    made = client.put(
        "/api/v1/payloads/rules/key/alpha", json={"redact": {"paths": ["$..x"]}, "max_bytes": 9}
    )
    assert made.status_code == 200, made.get_json()
    for _ in range(2):  # once more the same is no change
        assert client.put("/api/v1/payloads/rules/route/models/a", json={}).status_code == 200
    wider = {"max_bytes": 10}
    assert client.put("/api/v1/payloads/rules/route/models/a", json=wider).get_json()["max_bytes"] == 10
    listed = client.get("/api/v1/payloads/rules").get_json()
    assert [(one["scope"], one["of"], one["max_bytes"]) for one in listed["items"]] == [
        ("key", "alpha", 9),
        ("route", "models/a", 10),
    ]
    assert listed["stored_bytes"] > 0
    assert client.delete("/api/v1/payloads/rules/key/alpha").get_json() == listed["items"][0]
    assert client.delete("/api/v1/payloads/rules/key/alpha").status_code == 404
    with writing(settings) as conn:
        actions = [(one.action, one.subject) for one in audit.listing(conn, 10)]
    assert actions == [
        ("delete", "key/alpha"),
        ("change", "route/models/a"),
        ("create", "route/models/a"),
        ("create", "key/alpha"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("key/alpha", {"redact": {"patterns": ["("]}}, 400, "redact.patterns[0]"),
        ("key/alpha", {"redact": {"paths": ["$"]}}, 400, "redact.paths[0]"),
        ("key/alpha", {"max_bytes": 2**40}, 400, "max_bytes"),
        ("route/%00", {}, 400, "of"),
        ("route/%ff", {}, 400, "of"),
        ("route/" + "x" * 201, {}, 400, "of"),
        ("route/a/%2e%2e/b", {}, 400, "of"),
        ("route/%2e", {}, 400, "of"),
        ("key/alpha", {"max_bytes": 2**20 + 1}, 400, "max_bytes"),
        ("key/nobody", {}, 404, ""),
        ("tag/x", {}, 404, ""),
    ],
)
def test_a_rule_that_cannot_be_meant_names_its_field(
    client: FlaskClient, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    answer = client.put(f"/api/v1/payloads/rules/{path}", json=body)
    assert answer.status_code == status
    assert not field or field in answer.get_json()["errors"], answer.get_json()


def test_the_job_takes_away_what_is_too_old(settings: Settings) -> None:
    context = Context(settings)
    assert job.run(context) == ""
    with writing(settings) as conn:
        conn.execute("UPDATE call_payloads SET expires_at = 1")
    assert job.run(context) == "1 stored bodies were taken away."
    with writing(settings) as conn:
        assert payloads.of_call(conn, CALL) == []
        assert payloads.taken(conn) == 0
