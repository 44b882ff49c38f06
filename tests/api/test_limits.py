"""Limits through the API: whose word each is, and what may be stored beside gemgate.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from recorded import blank, build, writing

from gemgate.config import Settings, load
from gemgate.core.access import Key, Token
from gemgate.core.quota import Window
from gemgate.store import audit, keys, quotas, revisions
from gemgate.store.connection import reader

URL = "/api/v1/limits"
FLASH, LITE = "gemini-3.8-flash", "gemini-3.5-flash-lite"
TOML = """
[[project]]
name = "one"
tier = "tier1"
keys = ["AIzaLimitsFirstProjectKey0000000000000a"]
limits = { "gemini-2.5-pro" = { rpm = 7 } }
[[project]]
name = "two"
tier = "free"
keys = ["AIzaLimitsSecondProjectKey000000000000b"]
[[route]]
name = "slow"
targets = ["gemini-3.8-flash@one"]
limits = { rpm = 3 }
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("limits")
    blank(folder)
    file = folder / "gemgate.toml"
    file.write_text(TOML, encoding="utf-8")
    file.chmod(0o600)
    made = load(file, {}, {"data": folder})
    with writing(made) as conn:
        keys.create(conn, Key(id=0, name="ci", rpm=11), Token(digest=b"x" * 32, key=0, hint=""))
        learned = Window("two", LITE, "rpm", 2, "learned")
        quotas.keep(conn, [learned], [], b"{}", b"b" * 16, 1_795_000_000_000_000)
    return made


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def shown(client: FlaskClient, **query: Any) -> dict[tuple[str, str, str], tuple[int, str]]:
    """Limits in force by name, family and window: the number, and whose word it is."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(URL, query_string={**query, "cursor": cursor, "limit": 20})
        assert page.status_code == 200, page.json
        found, cursor = found + page.json["items"], page.json["next"]
    return {(one["name"], one["family"], one["window"]): (one["limit"], one["source"]) for one in found}


def test_each_limit_says_whose_word_it_is(client: FlaskClient) -> None:
    found = shown(client)
    assert found["one", "gemini-2.5-pro", "rpm"] == (7, "file")
    assert found["one", "gemini-2.5-pro", "tpm"][1] == "tier"
    assert found["two", LITE, "rpm"] == (2, "learned")
    assert found["slow", "", "rpm"] == (3, "file")
    assert found["ci", "", "rpm"] == (11, "stored")
    assert shown(client, scope="route") == {("slow", "", "rpm"): (3, "file")}
    assert shown(client, source="learned") == {("two", LITE, "rpm"): (2, "learned")}
    assert set(shown(client, name="one", model="models/gemini-2.5-pro")) == {
        key for key in found if key[:2] == ("one", "gemini-2.5-pro")
    }


def test_a_stored_limit_is_in_force_until_it_is_taken_away(client: FlaskClient, settings: Settings) -> None:
    before = shown(client, name="one", model=FLASH)
    place = f"{URL}/stored/one/models/{FLASH}"
    assert client.put(place, json={"rpm": 0, "tpd": 5_000}).json == {
        "project": "one",
        "model": FLASH,
        "unreadable": False,
        "rpm": 0,
        "tpm": None,
        "rpd": None,
        "tpd": 5_000,
    }
    after = shown(client, name="one", model=FLASH)
    assert after["one", FLASH, "rpm"] == (0, "stored")
    assert after["one", FLASH, "tpd"] == (5_000, "stored")
    assert {key: one for key, one in after.items() if one[1] != "stored"}.items() <= before.items()
    assert client.put(place, json={"rpm": 1}).json["tpd"] is None
    assert [one["model"] for one in client.get(f"{URL}/stored").json["items"]] == [FLASH]
    assert client.get(place).json["rpm"] == 1
    assert client.delete(place).json["rpm"] == 1
    assert shown(client, name="one", model=FLASH) == before
    assert (client.delete(place).status_code, client.get(place).status_code) == (404, 404)
    conn = reader(settings.database)
    rows = audit.listing(conn, 9, 0, {"kind": "limit"})[::-1]
    assert revisions.number(conn, revisions.ROUTING) == 3
    conn.close()
    assert [(one.action, one.subject) for one in rows] == [
        (action, f"one/{FLASH}") for action in ("create", "change", "delete")
    ]
    assert rows[1].before == rows[0].after


def test_what_the_file_defines_stays_the_file_s(client: FlaskClient) -> None:
    for method in ("put", "delete"):
        body = {"json": {"rpm": 1}} if method == "put" else {}
        answer = getattr(client, method)(f"{URL}/stored/one/gemini-2.5-pro", **body)
        assert (answer.status_code, answer.json["code"]) == (409, "FROM_FILE")
        assert "gemgate.toml" in answer.json["hint"]
    nowhere = client.put(f"{URL}/stored/oen/{FLASH}", json={"rpm": 1})
    assert (nowhere.status_code, nowhere.json["code"]) == (404, "PROJECT_NOT_FOUND")
    assert "one" in nowhere.json["hint"]


def test_models_that_google_counts_together_have_one_limit(client: FlaskClient) -> None:
    assert client.put(f"{URL}/stored/two/{FLASH}", json={"rpm": 5}).status_code == 200
    same = client.put(f"{URL}/stored/two/{FLASH}-001", json={"rpm": 6})
    assert (same.status_code, same.json["code"]) == (409, "SAME_FAMILY")
    client.delete(f"{URL}/stored/two/{FLASH}")
    assert client.put(f"{URL}/stored/two/*", json={"rpm": 4}).status_code == 200
    assert shown(client, name="two")["two", "*", "rpm"] == (4, "stored")
    client.delete(f"{URL}/stored/two/*")


@pytest.mark.parametrize(
    ("model", "body", "field"),
    [
        (FLASH, {}, ""),
        (FLASH, {"rpm": None}, ""),
        (FLASH, {"rpm": -1}, "rpm"),
        (FLASH, {"rpm": "5"}, "rpm"),
        (FLASH, {"rpmm": 5}, "rpmm"),
        ("rpm", {"rpm": 5}, "model"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuvwx", {"rpm": 5}, "model"),
    ],
)
def test_a_field_at_fault_is_named(client: FlaskClient, model: str, body: dict[str, Any], field: str) -> None:
    answer = client.put(f"{URL}/stored/one/{model}", json=body)
    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])


def test_a_damaged_row_is_shown_as_such_and_mended_here(client: FlaskClient, settings: Settings) -> None:
    for model in (FLASH, LITE):
        assert client.put(f"{URL}/stored/two/{model}", json={"rpd": 4}).status_code == 200
    with writing(settings) as conn:
        conn.execute("UPDATE stored_limits SET body = '[' WHERE model = ?", (FLASH,))
        revisions.bump(conn, revisions.ROUTING)
    listed = client.get(f"{URL}/stored").json["items"]
    assert [(one["model"], one["unreadable"], one["rpd"]) for one in listed] == [
        (LITE, False, 4),
        (FLASH, True, None),
    ]
    assert client.get(f"{URL}/stored/two/{FLASH}").json["unreadable"] is True
    assert shown(client, name="two")["two", LITE, "rpd"] == (4, "stored")
    assert client.put(f"{URL}/stored/two/{FLASH}", json={"rpm": 5}).json["unreadable"] is False
    with writing(settings) as conn:
        conn.execute("UPDATE stored_limits SET body = '[' WHERE model = ?", (FLASH,))
    assert client.delete(f"{URL}/stored/two/{FLASH}").json["unreadable"] is True
    assert client.delete(f"{URL}/stored/two/{LITE}").status_code == 200
