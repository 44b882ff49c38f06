"""Virtual keys through the API: a secret is shown once, every change leaves a trace, and no secret is in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle, writing
from sampled import attempt, identity, intent, record

from gemgate.api import context
from gemgate.config import Settings
from gemgate.core import access
from gemgate.core.access import Key, Token
from gemgate.store import audit, keys
from gemgate.store.connection import reader

URL = "/api/v1/keys"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return blank(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def trace(settings: Settings, subject: str) -> list[audit.Entry]:
    """What was changed of a key, the oldest first."""
    conn = reader(settings.database)
    try:
        return audit.listing(conn, 50, 0, {"kind": "key", "subject": subject})[::-1]
    finally:
        conn.close()


def test_a_key_is_made_shown_changed_rotated_and_switched(client: FlaskClient, settings: Settings) -> None:
    wanted = {
        "name": "shop-1",
        "owner": "team  a",
        "tags": ["Web", "web"],
        "routes": ["models/gemini-3.8-*"],
        "networks": ["10.1.2.3/8"],
        "rights": ["shared"],
        "rpm": 60,
        "tpm": 0,
        "expires_at": context.now() + 10**9,
    }
    answer = client.post(URL, json=wanted)
    assert answer.status_code == 201
    made = answer.json
    secret = made.pop("secret")
    assert (made["owner"], made["tags"], made["routes"], made["networks"]) == (
        "team a",
        ["web"],
        ["gemini-3.8-*"],
        ["10.0.0.0/8"],
    )
    assert (made["rpm"], made["tpm"], made["concurrency"], made["state"]) == (60, 0, None, "in force")
    assert "first key" in made["notes"][0]
    assert client.get(f"{URL}/shop%2D1").json == {**made, "notes": []}

    conn = reader(settings.database)
    every, tokens = keys.every(conn)
    conn.close()
    assert access.Keys(every, tokens).find(secret, context.now()).name == "shop-1"

    changed = client.patch(
        f"{URL}/shop-1", json={"rpm": None, "tags": [], "routes": ["nothing-like-it"]}
    ).json
    assert (changed["rpm"], changed["tags"], changed["tpm"]) == (None, [], 0)
    assert "'nothing-like-it'" in changed["notes"][0]

    rotated = client.post(f"{URL}/shop-1/rotate", json={"grace": 3600}).json
    assert rotated["secret"] != secret
    assert [one["valid_until"] > 0 for one in rotated["secrets"]] == [False, True]
    once = client.post(f"{URL}/shop-1/rotate", json={"grace": 0}).json
    assert len(once["secrets"]) == 1

    assert client.post(f"{URL}/shop-1/disable").json["state"] == "disabled"
    assert client.get(URL, query_string={"state": "in force"}).json["items"] == []
    assert client.post(f"{URL}/shop-1/enable").json["state"] == "in force"

    rows = trace(settings, "shop-1")
    assert [one.action for one in rows] == ["create", "change", "rotate", "rotate", "disable", "enable"]
    assert rows[0].before is None
    assert (rows[1].before["rpm"], rows[1].after["rpm"]) == (60, None)
    for later, row in zip(rows[1:], rows, strict=False):
        assert {**later.before, "secrets": 0} == {**row.after, "secrets": 0}
    body = (settings.database).read_bytes() + (settings.database.with_name("gemgate.db-wal")).read_bytes()
    for text in (secret, rotated["secret"], once["secret"]):
        assert text.encode() not in body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "x", "nmae": 1}, "nmae"),
        ({"name": "x", "rpm": -1}, "rpm"),
        ({"name": "x", "rpm": "60"}, "rpm"),
        ({"name": "x", "networks": ["10.0.0.0/8", "here"]}, "networks"),
        ({"name": "x", "rights": ["everything"]}, "rights[0]"),
        ({"name": "x", "tags": ["a,b"]}, "tags"),
        ({"name": "x", "tags": [str(n) for n in range(9)]}, "tags"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "owner": "\u0000"}, "owner"),
    ],
)
def test_a_field_at_fault_is_named(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = client.post(URL, json=body)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert list(answer.json["errors"]) == [field]
    assert all(one["name"] != "x" for one in client.get(URL).json["items"])


def test_what_is_not_there_or_there_already_is_said(client: FlaskClient) -> None:
    assert client.post(URL, json={"name": "twice"}).status_code == 201
    again = client.post(URL, json={"name": "twice"})
    assert (again.status_code, again.json["code"]) == (409, "KEY_EXISTS")
    for method, path in (
        ("get", "twcie"),
        ("patch", "twcie"),
        ("post", "twcie/rotate"),
        ("post", "twcie/disable"),
    ):
        answer = getattr(client, method)(
            f"{URL}/{path}", **({} if method == "get" else {"json": {"rpm": 1} if method == "patch" else {}})
        )
        assert (answer.status_code, answer.json["code"]) == (404, "KEY_NOT_FOUND")
        assert "twice" in answer.json["hint"]
    assert client.patch(f"{URL}/twice", json={}).status_code == 400


def test_a_key_of_an_older_name_is_still_reached(client: FlaskClient, settings: Settings) -> None:
    with writing(settings) as conn:
        keys.create(conn, Key(id=0, name="old/1"), Token(digest=b"o" * 32, key=0, hint=""))
    assert client.get(f"{URL}/old%2F1").json["name"] == "old/1"
    assert client.post(f"{URL}/old/1/disable").json["state"] == "disabled"


def test_pages_follow_each_other(client: FlaskClient) -> None:
    for number in range(5):
        assert client.post(URL, json={"name": f"page-{number}", "owner": "pages"}).status_code == 201
    seen, cursor = [], ""
    while cursor is not None:
        answer = client.get(URL, query_string={"owner": "pages", "limit": 2, "cursor": cursor}).json
        seen += [one["name"] for one in answer["items"]]
        cursor = answer["next"]
    assert seen == [f"page-{number}" for number in range(5)]
    first = client.get(URL, query_string={"owner": "pages", "limit": 2}).json["next"]
    strange = client.get(URL, query_string={"cursor": first})
    assert (strange.status_code, list(strange.json["errors"])) == (400, ["cursor"])


def test_what_a_key_has_spent_is_that_of_its_calls(client: FlaskClient, settings: Settings) -> None:
    client.post(URL, json={"name": "spender"})
    conn = reader(settings.database)
    key = keys.find(conn, "spender")
    conn.close()
    assert key is not None
    now = context.now()
    calls = []
    for at in (now, now - 40 * 86_400_000_000):
        one = intent(identity(), received_at=at, sent_at=at)
        calls.append(record(one, attempt(one), key=key.id))
    settle(settings, calls)
    cost = calls[0].attempts[0].cost
    assert cost is not None
    found = client.get(f"{URL}/spender").json
    assert (found["spent_day_nano"], found["spent_month_nano"]) == (cost.billed, cost.billed)
    (listed,) = [one for one in client.get(URL).json["items"] if one["name"] == "spender"]
    assert listed == found


def test_a_record_that_is_not_there_is_said(tmp_path: Path) -> None:
    answer = build(Settings(data=tmp_path)).test_client().get(URL)
    assert answer.status_code == 503
    assert json.loads(answer.data)["code"] == "STORE_DOWN"
