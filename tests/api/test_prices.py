"""Prices through the API: what is in force, what a dated one takes days from, and spans priced anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle
from sampled import PLAIN, attempt, identity, intent, record

from gemgate.api import context
from gemgate.config import Settings
from gemgate.config.settings import PricesSettings
from gemgate.core.pricing import cost
from gemgate.jobs import reprice
from gemgate.jobs.context import Context
from gemgate.store import audit, revisions, stored_prices
from gemgate.store.connection import reader

URL = "/api/v1/prices"
MODEL = "gemini-4-argon"
TURN = "2026-12-01"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("prices")
    file = folder / "own.json"
    row = {"id": "own-row", "tier": "standard", "input": 5, "output": 6}
    file.write_text(json.dumps({"models": [{"id": "my-model", "rows": [row]}]}), encoding="utf-8")
    made = blank(folder)
    return Settings(data=made.data, prices=PricesSettings(file))


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


@pytest.fixture
def clean(client: FlaskClient) -> Iterator[None]:
    """Without stored prices afterwards."""
    yield
    for one in client.get(URL, query_string={"every": "true", "limit": 500}).json["items"]:
        if one["origin"] == "stored":
            client.delete(f"{URL}/{one['id']}")


def listed(client: FlaskClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(URL, query_string={"model": MODEL, "tier": "standard", **query})
    assert answer.status_code == 200
    found = answer.json["items"]
    assert isinstance(found, list)
    return found


def test_the_book_is_shown_as_it_is_on_a_day(client: FlaskClient) -> None:
    (before,) = listed(client, at="2026-11-30")
    (after,) = listed(client, at=TURN)
    assert (before["until"], after["from"], before["origin"]) == (TURN, TURN, "book")
    assert after["rates"]["input"] == 2 * before["rates"]["input"]
    assert listed(client, every="true") == [before, after]
    (own,) = listed(client, model="my-model")
    assert (own["origin"], own["rates"]) == ("file", {"input": 5, "output": 6})


def test_a_price_takes_days_from_others_only_when_it_may(
    client: FlaskClient, settings: Settings, clean: None
) -> None:
    wanted = {"model": MODEL, "from": "2026-11-20", "until": "2026-12-11", "input": 7, "output": 8}
    refused = client.post(URL, json=wanted)
    assert (refused.status_code, refused.json["code"]) == (409, "PRICE_OVERLAPS")
    assert f"{MODEL}/standard/2026-10-13" in refused.json["detail"]
    whole = listed(client, every="true")

    answer = client.post(URL, json={**wanted, "replace": True})
    assert answer.status_code == 201
    made = answer.json
    assert [(one["id"], one["had"], one["stays"]) for one in made["replaces"]] == [
        (
            f"{MODEL}/standard/2026-10-13",
            {"from": None, "until": TURN},
            [{"from": None, "until": "2026-11-20"}],
        ),
        (
            f"{MODEL}/standard/2026-12-01",
            {"from": TURN, "until": None},
            [{"from": "2026-12-11", "until": None}],
        ),
    ]
    spans = [(one["from"], one["until"], one["origin"]) for one in listed(client, every="true")]
    assert spans == [
        (None, "2026-11-20", "book"),
        ("2026-11-20", "2026-12-11", "stored"),
        ("2026-12-11", None, "book"),
    ]
    gone = client.delete(f"{URL}/{made['price']['id']}")
    assert (gone.status_code, gone.json["model"]) == (200, MODEL)
    assert listed(client, every="true") == whole
    conn = reader(settings.database)
    rows = audit.listing(conn, 2, 0, {"kind": "price"})
    conn.close()
    assert [(one.action, one.subject) for one in rows] == [
        ("delete", made["price"]["id"]),
        ("create", made["price"]["id"]),
    ]
    assert rows[0].before == rows[1].after


def test_every_change_is_counted_for_gateways(client: FlaskClient, settings: Settings, clean: None) -> None:
    def number() -> int:
        conn = reader(settings.database)
        try:
            return revisions.number(conn, revisions.ROUTING)
        finally:
            conn.close()

    before = number()
    made = client.post(URL, json={"model": "brand-new", "input": 1}).json["price"]
    assert (made["rates"], made["until"]) == ({"input": 1}, None)
    assert number() == before + 1
    client.delete(f"{URL}/{made['id']}")
    assert number() == before + 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": 1}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": -1}, "input"),
        ({"model": "m", "input": 1.5}, "input"),
        ({"model": "m", "input": 1, "tier": "golden"}, "tier"),
        ({"model": "m", "input": 1, "from": "2026-13-01"}, "from"),
        ({"model": "m", "input": 1, "from": "soon"}, "from"),
        ({"model": "m", "input": 1, "from": "2026-02-01", "until": "2026-02-01"}, "until"),
        ({"model": "m", "input": 1, "long": {"outputs": 1}}, "long.outputs"),
        ({"model": "AIzaSyA1234567890abcdefghijklmnopqrstuvwx", "input": 1}, "model"),
    ],
)
def test_a_field_at_fault_is_named(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = client.post(URL, json=body)
    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])


def test_what_is_not_stored_here_is_not_removed_here(client: FlaskClient) -> None:
    for price, status, code in (
        ("own-row", 409, "FROM_FILE"),
        (f"{MODEL}/standard/2026-12-01", 409, "FROM_BOOK"),
        ("stored/999", 404, "PRICE_NOT_FOUND"),
        ("stored/x", 404, "PRICE_NOT_FOUND"),
        ("nothing", 404, "PRICE_NOT_FOUND"),
    ):
        answer = client.delete(f"{URL}/{price}")
        assert (answer.status_code, answer.json["code"]) == (status, code)
    over = client.post(URL, json={"model": "my-model", "input": 1, "replace": True})
    assert (over.status_code, over.json["code"]) == (409, "FROM_FILE")
    assert "own.json" in over.json["hint"]


def test_a_span_is_priced_anew_by_a_job(client: FlaskClient, settings: Settings, clean: None) -> None:
    at = context.now() - 1_000_000
    one = intent(identity(), received_at=at, sent_at=at, method="models.generateContent", model=MODEL)
    settle(settings, [record(one, attempt(one, cost=None))])
    body = {"from": str(at - 10), "to": str(at + 10), "model": MODEL}
    dry = client.post(f"{URL}/reprice", json=body)
    assert (dry.status_code, dry.json["state"], dry.json["dry_run"]) == (202, "queued", True)
    wet = client.post(f"{URL}/reprice", json={**body, "dry_run": False}).json
    for number in (dry.json["id"], wet["id"]):
        assert client.get(f"{URL}/reprice/{number}").json["state"] == "queued"
        reprice.run(Context(settings))
        found = client.get(f"{URL}/reprice/{number}").json
        assert (found["state"], found["done"], found["total"]) == ("done", 1, 1)
    conn = reader(settings.database)
    price = stored_prices.in_force(conn, None).price(MODEL, "standard", at)
    (nano,) = conn.execute("SELECT list_nano FROM calls").fetchone()
    conn.close()
    assert nano == cost(price, PLAIN).total
    assert found["models"] == {
        MODEL: {
            "tries": 1,
            "changed": 1,
            "before": {"list_nano": 0, "billed_nano": 0, "unpriced": 1},
            "after": {"list_nano": nano, "billed_nano": nano, "unpriced": 0},
        }
    }
    first = client.get(f"{URL}/reprice", query_string={"limit": 1}).json
    assert [one["id"] for one in first["items"]] == [wet["id"]]
    second = client.get(f"{URL}/reprice", query_string={"limit": 1, "cursor": first["next"]}).json
    assert ([one["id"] for one in second["items"]], second["next"]) == ([dry.json["id"]], None)


def test_a_repricing_is_cancelled_once(client: FlaskClient) -> None:
    number = client.post(f"{URL}/reprice", json={"from": "-1h", "to": "now"}).json["id"]
    assert client.delete(f"{URL}/reprice/{number}").json["state"] == "cancelled"
    again = client.delete(f"{URL}/reprice/{number}")
    assert (again.status_code, again.json["code"]) == (409, "JOB_ENDED")
    assert client.get(f"{URL}/reprice/{10**30}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"from": "now", "to": "-1h"}, "to"),
        ({"from": "lately", "to": "now"}, "from"),
        ({"from": "-1h", "to": "now", "zone": "Mars/Olympus"}, "zone"),
        ({"from": 1, "to": "now"}, "from"),
    ],
)
def test_a_span_that_cannot_be_meant_is_refused(
    client: FlaskClient, body: dict[str, Any], field: str
) -> None:
    refused = client.post(f"{URL}/reprice", json=body)
    assert (refused.status_code, list(refused.json["errors"])) == (400, [field])


def test_a_span_is_said_in_the_words_of_all_spans(client: FlaskClient) -> None:
    body = {"from": "2026-07-01", "to": "2026-07-01T12:00:00", "zone": "Europe/Berlin"}
    made = client.post(f"{URL}/reprice", json=body).json
    assert (made["from"], made["to"]) == (1_782_856_800_000_000, 1_782_900_000_000_000)


def test_a_price_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("{", encoding="utf-8")
    settings = Settings(data=blank(tmp_path).data, prices=PricesSettings(tmp_path / "own.json"))
    answer = build(settings).test_client().get(URL)
    assert (answer.status_code, answer.json["code"]) == (503, "PRICES_UNREADABLE")
