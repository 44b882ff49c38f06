"""Models, projects and quotas through the API: what is known, what stands in the record, and no secret."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle, writing
from sampled import attempt, identity, intent, record

from gemgate.config import Settings, load
from gemgate.config.book import load_book
from gemgate.core.health import Change
from gemgate.core.pricing import cost
from gemgate.core.quota import Limits, Window
from gemgate.core.remedies import REMEDIES
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import audit, boots, quotas, stored_limits, stored_routes
from gemgate.store.connection import reader

API = "/api/v1"
SECRET = "AIzaStandingOfTheApiOne00000000000000000"
TOML = f"""
[[project]]
name = "one"
tier = "free"
keys = ["{SECRET}", "{SECRET[::-1]}"]
limits = {{ "gemini-2.5-pro" = {{ rpm = 4 }} }}
[[project]]
name = "two"
key = "AIzaStandingOfTheApiTwo00000000000000000"
billing_account = "bills"
spend = 20
"""
FLASH = "gemini-2.5-flash"
NOW = time.time_ns() // 1000
HOUR = 3_600_000_000
USED = Usage(input=100, output=20)
PRICE = load_book().price(FLASH, "standard", NOW)
assert PRICE is not None  # the book that comes with the package has no end to it
PAID = cost(PRICE, USED)
LEAKED = "Your API key was reported as leaked."


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A record with a good call, a refused one and one of a model that nobody knows; breakers and a stored limit."""
    folder = tmp_path_factory.mktemp("standing")
    (folder / "gemgate.toml").write_text(TOML)
    blank(folder)
    made = load(None, {}, {"data": folder})
    records = []
    for place, (model, verdict) in enumerate(
        [(FLASH, Kind.OK), (FLASH, Kind.BUSY), ("gemini-9-odd", Kind.OK)]
    ):
        at = NOW - 1_000_000 + place
        of = intent(identity(), method="models.generateContent", model=model, project="two", received_at=at)
        fine = verdict is Kind.OK
        tried = attempt(
            of,
            model=model,
            project="two",
            sent_at=at,
            verdict=verdict,
            status=200 if fine else 429,
            reason="" if fine else "quota_minute",
            retry_after=0 if fine else 7_000_000,
            usage=USED if fine else None,
            cost=PAID if fine and model == FLASH else None,
        )
        records.append(record(of, tried, received_at=at))
    settle(made, records)
    boot = boots.begin(folder, identity())
    with writing(made) as conn:
        quotas.changed(
            conn,
            [
                Change(NOW, "key", "one/1", "open", "key_leaked", LEAKED, NOW + HOUR, 1),
                Change(NOW, "target", f"{FLASH}@two", "open", "overloaded", "Busy.", NOW + HOUR, 2),
            ],
        )
        stored_limits.put(conn, ("two", FLASH), Limits(rpm=9), NOW)
    boot.release()
    return made


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def got(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert SECRET not in answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def test_a_model_shows_what_it_can_what_it_costs_where_it_is_and_what_it_did(client: FlaskClient) -> None:
    found = got(client.get(f"{API}/models/models/{FLASH}"))
    assert (found["id"], found["known"], found["kind"], found["context"]) == (FLASH, True, "text", 1_048_576)
    standard = next(one for one in found["prices"] if one["tier"] == "standard")
    assert standard["rates"]["input"] == PRICE.rates.input
    listed = got(client.get(f"{API}/prices", query_string={"model": FLASH, "tier": "standard"}))["items"]
    days = {one["id"]: (one["from"], one["until"]) for one in listed}
    assert (standard["from"], standard["until"]) == days[standard["id"]]
    assert found["fallbacks"][0]["model"]
    reach = {one["project"]: one for one in found["projects"]}
    assert (reach["one"]["reachable"], reach["one"]["bar"]) == (True, "")
    assert (reach["two"]["reachable"], reach["two"]["bar"], reach["two"]["rpm"]) == (False, "breaker", 9)
    assert 0 < reach["two"]["at"] <= 3600
    used = found["usage"]
    assert (used["calls"], used["tries"], used["tries_failed"], used["input"]) == (2, 2, 1, 100)
    assert used["list_nano"] == PAID.total


def test_models_are_narrowed_and_those_that_only_the_record_knows_are_told(client: FlaskClient) -> None:
    used = got(client.get(f"{API}/models?used=true"))["items"]
    assert [(one["id"], one["known"], one["usage"]["calls"]) for one in used] == [
        (FLASH, True, 2),
        ("gemini-9-odd", False, 1),
    ]
    assert used[1]["usage"]["unpriced"] == 1
    kinds = {one["kind"] for one in got(client.get(f"{API}/models?kind=embedding"))["items"]}
    assert kinds == {"embedding"}
    texts = [one["id"] for one in got(client.get(f"{API}/models?text=LITE&limit=500"))["items"]]
    assert texts
    assert all("lite" in one for one in texts)
    assert got(client.get(f"{API}/models/nothing-at-all"), 404)["code"] == "MODEL_NOT_FOUND"
    assert list(got(client.get(f"{API}/models?status=new"), 400)["errors"]) == ["status"]


def test_a_project_shows_its_keys_as_fingerprints_and_what_rests(client: FlaskClient) -> None:
    one, two = got(client.get(f"{API}/projects"))["items"]
    assert (one["name"], one["tier"], one["free"], one["state"]) == ("one", "free", True, "ready")
    assert [key["name"] for key in one["keys"]] == ["one/1", "one/2"]
    assert [key["reason"] for key in one["keys"]] == ["key_leaked", ""]
    assert one["keys"][0]["until"] == NOW + HOUR
    assert len({key["fingerprint"] for key in one["keys"] + two["keys"]}) == 3
    assert all(key["fingerprint"].startswith("key:") for key in one["keys"])
    assert [(row["model"], row["source"], row["rpm"]) for row in one["limits"]] == [
        ("gemini-2.5-pro", "file", 4)
    ]
    assert [(row["model"], row["source"], row["rpm"]) for row in two["limits"]] == [(FLASH, "stored", 9)]
    assert (two["billing_account"], two["spend_nano"]) == ("bills", 20 * 10**9)
    assert [row["name"] for row in two["breakers"]] == [f"{FLASH}@two"]


def test_a_pause_shows_everywhere_leaves_a_trace_and_is_made_once(
    client: FlaskClient, settings: Settings
) -> None:
    first = got(client.post(f"{API}/projects/two/pause"))
    again = got(client.post(f"{API}/projects/two/pause"))
    assert (first["state"], again["paused_at"]) == ("paused", first["paused_at"])
    assert [one["name"] for one in got(client.get(f"{API}/projects?state=paused"))["items"]] == ["two"]
    assert got(client.get(f"{API}/quotas"))["paused"] == ["two"]
    reach = got(client.get(f"{API}/models/{FLASH}"))["projects"]
    assert [(one["project"], one["bar"]) for one in reach] == [("one", ""), ("two", "paused")]
    outlook = got(client.get(f"{API}/routes/{FLASH}/outlook?project=two&fallback=false"))
    assert "every project that it may go to is paused" in outlook["sentence"]
    assert got(client.post(f"{API}/projects/two/resume"))["state"] == "ready"
    assert got(client.post(f"{API}/projects/two/resume"))["paused_at"] == 0
    assert got(client.post(f"{API}/projects/nine/pause"), 404)["code"] == "PROJECT_NOT_FOUND"
    conn = reader(settings.database)
    rows = audit.listing(conn, 50, 0, {"kind": "project", "subject": "two"})
    conn.close()
    assert [(row.action, row.before["paused_at"] > 0, row.after["paused_at"] > 0) for row in rows[::-1]] == [
        ("pause", False, True),
        ("resume", True, False),
    ]


def test_the_pause_of_a_project_that_is_configured_no_more_can_be_lifted(
    client: FlaskClient, settings: Settings
) -> None:
    with writing(settings) as conn:
        stored_routes.pause(conn, "gone", NOW)
    assert got(client.get(f"{API}/quotas"))["paused"] == ["gone"]
    found = got(client.post(f"{API}/projects/gone/resume"))
    assert (found["name"], found["state"], found["paused_at"]) == ("gone", "no key", 0)
    assert got(client.get(f"{API}/quotas"))["paused"] == []
    assert got(client.post(f"{API}/projects/gone/resume"), 404)["code"] == "PROJECT_NOT_FOUND"
    conn = reader(settings.database)
    (row,) = audit.listing(conn, 50, 0, {"kind": "project", "subject": "gone"})
    conn.close()
    assert (row.action, row.before, row.after) == ("resume", {"paused_at": NOW}, {"paused_at": 0})


def test_quotas_show_windows_with_their_source_breakers_with_a_remedy_and_refusals(
    client: FlaskClient, settings: Settings
) -> None:
    with writing(settings) as conn:
        boot = conn.execute("SELECT boot FROM boots ORDER BY id DESC LIMIT 1").fetchone()
        learned = Window("one", FLASH, "rpd", 250, "learned", closed_until=NOW + HOUR, reason="quota_day")
        quotas.keep(conn, [learned], [], b"{}", boot[0], NOW)
    found = got(client.get(f"{API}/quotas"))
    assert (found["as_of"], found["gateway"], found["routed"]) == (NOW, "", True)
    rows = {(one["project"], one["family"], one["window"]): one for one in found["items"]}
    mine = rows["two", FLASH, "rpm"]
    assert (mine["limit"], mine["source"]) == (9, "stored")
    assert mine["used"] == 2 or time.time_ns() // 1000 - NOW > 50_000_000  # its minute may be over
    day = rows["one", FLASH, "rpd"]
    assert (day["limit"], day["source"], day["closed_until"]) == (250, "learned", NOW + HOUR)
    assert day["sentence"] == "Google refused: quota of the day"
    spend = rows["", "bills", "spend"]
    assert (spend["limit"], spend["source"]) == (20 * 10**9, "file")
    remedies = {one["name"]: one["remedy"] for one in found["breakers"]}
    assert remedies["one/1"] == REMEDIES["key_leaked"]
    (refusal,) = found["refusals"]
    assert got(client.get(f"{API}/calls/{refusal['call_id']}"))["call_id"] == refusal["call_id"]
    assert (refusal["model"], refusal["project"], refusal["reason"]) == (FLASH, "two", "quota_minute")
    assert refusal["retry_after"] == 7_000_000
    closed = got(client.get(f"{API}/quotas?closed=true&project=one"))["items"]
    assert [(one["project"], one["window"]) for one in closed] == [("one", "rpd")]
    assert got(client.get(f"{API}/quotas?model={FLASH}&window=spend"))["items"] == []
    assert len(got(client.get(f"{API}/quotas?changes=9"))["changes"]) == 2
