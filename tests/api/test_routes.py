"""Routes through the API: made in the file's words, refused by field, left in the file where they stand there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from recorded import blank, build, writing

from gemgate.config import Settings, load
from gemgate.core.access import Key, Token
from gemgate.core.budget import Budget
from gemgate.store import audit, budgets, keys, stored_routes
from gemgate.store.connection import reader

URL = "/api/v1/routes"
FLASH, LITE = "gemini-3.8-flash", "gemini-3.5-flash-lite"
TOML = f"""
[[project]]
name = "one"
key = "AIzaRoutesOfTheApiOne0000000000000000000"
[[project]]
name = "two"
key = "AIzaRoutesOfTheApiTwo0000000000000000000"
[[route]]
name = "filed"
targets = ["{FLASH}@one", "{LITE}"]
when = {{ tools = true }}
[[route]]
name = "filed"
targets = ["{LITE}"]
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("routes")
    (folder / "gemgate.toml").write_text(TOML)
    blank(folder)
    return load(None, {}, {"data": folder})


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def got(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def trace(settings: Settings, subject: str) -> list[tuple[str, Any, Any]]:
    conn = reader(settings.database)
    try:
        rows = audit.listing(conn, 50, 0, {"kind": "route", "subject": subject})[::-1]
        return [(row.action, row.before, row.after) for row in rows]
    finally:
        conn.close()


def test_a_route_is_made_replaced_and_deleted_and_each_leaves_a_trace(
    client: FlaskClient, settings: Settings
) -> None:
    body = {
        "target": [{"model": FLASH, "project": "two", "weight": 3}, {"model": LITE}],
        "balance": "weighted",
    }
    made = got(client.post(URL, json={"name": "mine", **body, "patience": None}), 201)
    assert (made["source"], made["in_force"], made["balance"]) == ("stored", True, "weighted")
    assert [(one["model"], one["projects"], one["weight"]) for one in made["targets"]] == [
        (FLASH, ["two"], 3),
        (LITE, [], 1),
    ]
    assert got(client.post(URL, json={"name": "mine", **body}), 409)["code"] == "ROUTE_EXISTS"
    other = {"targets": [f"{LITE}@one"], "limits": {"rpm": 5}, "patience": 2.5}
    changed = got(client.put(f"{URL}/mine", json=other))
    assert (changed["balance"], changed["patience"], changed["limits"]) == (
        "ordered",
        2.5,
        {"rpm": 5, "tpm": None},
    )
    assert changed["created_at"] == made["created_at"] < changed["changed_at"]
    assert got(client.get(f"{URL}/mine"))["routes"] == [changed]
    assert got(client.delete(f"{URL}/mine"))["sentence"] == "Nobody names it."
    assert got(client.delete(f"{URL}/mine"), 404)["code"] == "ROUTE_NOT_FOUND"
    assert trace(settings, "mine") == [
        ("create", None, body),
        ("change", body, other),
        ("delete", other, None),
    ]


def test_a_route_without_targets_is_told_how_to_write_them(client: FlaskClient) -> None:
    problem = got(client.post(URL, json={"name": "bare"}), 400)
    assert '"targets": [' in problem["errors"]["targets"]


def test_a_model_in_no_catalogue_is_allowed_and_noted(client: FlaskClient) -> None:
    made = got(client.post(URL, json={"name": "new", "targets": ["nonsense-model", FLASH]}), 201)
    assert made["notes"] == ["nonsense-model is in no catalogue; calls to it may fail."]
    assert got(client.get(f"{URL}/filed"))["routes"][0]["notes"] == []
    got(client.delete(f"{URL}/new"))


def test_what_is_wrong_is_named_by_its_field_and_changes_nothing(
    client: FlaskClient, settings: Settings
) -> None:
    for body, field in (
        ({"targets": [f"{FLASH}@three"]}, "targets[0]"),
        ({"targets": []}, "targets"),
        ({"targets": [FLASH, FLASH]}, "targets[1]"),
        ({"target": [{"model": FLASH, "when": {"methods": ["sing"]}}]}, "target[0].when.methods"),
        ({"targets": ["filed"]}, "targets"),
        ({"targets": [FLASH], "pace": 1}, "pace"),
        ({"targets": [FLASH], "balance": "fair"}, "balance"),
        ({"targets": [FLASH], "limits": {"rpd": 1}}, "limits"),
    ):
        problem = got(client.put(f"{URL}/wrong", json=body), 400)
        assert [one.split(".rpd")[0] for one in problem["errors"]] == [field], problem
    assert got(client.post(URL, json={"name": "a b", "targets": [FLASH]}), 400)["errors"].keys() == {"name"}
    assert trace(settings, "wrong") == []
    assert got(client.get(f"{URL}/wrong"), 404)["code"] == "ROUTE_NOT_FOUND"


def test_a_route_of_the_file_is_only_read_here(client: FlaskClient) -> None:
    for answer in (
        client.post(URL, json={"name": "filed", "targets": [LITE]}),
        client.put(f"{URL}/filed", json={"targets": [LITE]}),
        client.delete(f"{URL}/filed"),
    ):
        problem = got(answer, 409)
        assert problem["code"] == "FROM_FILE"
        assert "gemgate.toml" in problem["hint"]
    assert [one["when"]["tools"] for one in got(client.get(f"{URL}/filed"))["routes"]] == [True, None]


def test_the_list_has_both_kinds_and_pages(client: FlaskClient) -> None:
    for name in ("alpha", "beta"):
        got(client.put(f"{URL}/{name}", json={"targets": [LITE]}))
    found = got(client.get(URL))
    assert [(one["name"], one["source"]) for one in found["items"]] == [
        ("filed", "file"),
        ("filed", "file"),
        ("alpha", "stored"),
        ("beta", "stored"),
    ]
    assert FLASH in found["built_in"]
    first = got(client.get(f"{URL}?limit=3"))
    second = got(client.get(f"{URL}?limit=3&cursor={first['next']}"))
    assert first["items"] + second["items"] == found["items"]
    assert second["next"] is None
    stored = got(client.get(f"{URL}?source=stored"))["items"]
    assert [one["name"] for one in stored] == ["alpha", "beta"]
    for name in ("alpha", "beta"):
        got(client.delete(f"{URL}/{name}"))


def test_a_deletion_says_who_still_names_the_route(client: FlaskClient, settings: Settings) -> None:
    got(client.put(f"{URL}/shared", json={"targets": [LITE]}))
    with writing(settings) as conn:
        for name, routes in (("some", ("sha*",)), ("all", ("*",)), ("none", ("filed",))):
            keys.create(conn, Key(id=0, name=name, routes=routes), Token(digest=name.encode(), key=0))
        budgets.create(
            conn,
            Budget(id=0, name="cap", scope="route", of="shared", unit="tokens", amount=1, period="day"),
            1,
        )
    assert got(client.get(f"{URL}/shared"))["keys"] == ["some"]
    gone = got(client.delete(f"{URL}/shared"))
    assert (gone["keys"], gone["budgets"]) == (["some"], ["cap"])
    assert gone["sentence"].startswith("It is still named by key some, budget cap")


def test_a_stored_route_that_cannot_be_meant_any_more_is_shown_so(
    settings: Settings, client: FlaskClient
) -> None:
    got(client.put(f"{URL}/late", json={"targets": [f"{LITE}@two"]}))
    fewer = replace(settings, projects=settings.projects[:1])
    (shown,) = got(build(fewer).test_client().get(f"{URL}/late"))["routes"]
    assert (shown["in_force"], shown["targets"]) == (False, [])
    assert "a project that is configured" in shown["wrong"]
    assert got(client.get(f"{URL}/late"))["routes"][0]["in_force"] is True
    with writing(settings) as conn:
        stored_routes.remove(conn, "late")


def test_the_outlook_tells_what_the_command_tells(client: FlaskClient, settings: Settings) -> None:
    found = got(client.get(f"{URL}/filed/outlook?tokens=100&tools=true"))
    assert (found["route"], found["method"]) == ("filed", "models.generateContent")
    names = [(one["place"], one["model"], one["project"], one["verdict"]) for one in found["targets"]]
    assert names == [
        (1, FLASH, "one", "is tried first"),
        (2, LITE, "one", "is tried when those before it fail"),
        (3, LITE, "two", "is tried when those before it fail"),
    ]
    assert found["sentence"] == f"Now: {FLASH}@one is tried first."
    without = got(client.get(f"{URL}/filed/outlook"))
    assert [(one["model"], one["project"]) for one in without["targets"]] == [(LITE, "one"), (LITE, "two")]
    only = got(client.get(f"{URL}/{FLASH}/outlook?fallback=false&project=two&method=count"))
    assert [(one["model"], one["project"]) for one in only["targets"]] == [(FLASH, "two")]
    assert only["method"] == "models.countTokens"
    assert got(client.get(f"{URL}/filed/outlook?project=nine"), 400)["code"] == "UNKNOWN_PROJECT"
    assert list(got(client.get(f"{URL}/filed/outlook?tokens=-1"), 400)["errors"]) == ["tokens"]


def test_without_a_record_the_routes_cannot_be_told(tmp_path: Path) -> None:
    assert got(build(Settings(data=tmp_path)).test_client().get(URL), 503)["code"] == "STORE_DOWN"
