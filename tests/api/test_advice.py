"""Advice over the API: answered from the last run, made anew by operators alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from keyed import key
from recorded import blank, build, settle, writing
from sampled import identity, intent, record

from gemgate.api import advice, context
from gemgate.config import PricesSettings, Settings
from gemgate.insight.advice.study import KINDS
from gemgate.store import tokens

DAY = 86_400_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A record in which a model that ends, and a key without a limit, are used every hour."""
    found = blank(tmp_path)
    with writing(found) as conn:
        key(conn)
    now = context.now()
    rows = []
    for place in range(60):
        at = now - 5 * DAY + place * 3_600_000_000
        one = intent(identity(), received_at=at, sent_at=at + 1, model="gemini-2.5-pro")
        rows.append(msgspec.structs.replace(record(one), key=1))
    settle(found, rows)
    return found


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def get(client: FlaskClient, **query: Any) -> Any:
    return client.get("/api/v1/advice", query_string=query)


def test_before_the_first_run_there_is_nothing_and_no_time(client: FlaskClient) -> None:
    found = get(client)
    assert found.status_code == 200
    assert found.json == {"as_of": None, "since": None, "until": None, "calls": 0, "findings": []}


def test_a_run_is_kept_and_answered_from(client: FlaskClient) -> None:
    made = client.post("/api/v1/advice/refresh")
    assert made.status_code == 200, made.json
    assert made.json["calls"] == 60
    assert {one["kind"] for one in made.json["findings"]} == {"ending_model", "unlimited_key"}
    assert get(client).json == made.json
    (one,) = get(client, kind="unlimited_key").json["findings"]
    assert one["key"]
    assert get(client, key=one["key"]).json["findings"] == [one]
    assert get(client, key="another").json["findings"] == []
    assert len(get(client, kind=["unlimited_key", "ending_model"]).json["findings"]) == 2


def test_a_strange_kind_is_named(client: FlaskClient) -> None:
    found = get(client, kind="luck")
    assert found.status_code == 400
    assert found.mimetype == "application/problem+json"
    assert all(kind in found.json["errors"]["kind"] for kind in KINDS)


def test_a_viewer_reads_and_makes_no_run(client: FlaskClient, settings: Settings) -> None:
    secret = tokens.mint(bytes(32))
    with writing(settings) as conn:
        tokens.create(conn, tokens.Token(name="vera", role="viewer"), secret)
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/advice", headers=headers).status_code == 200
    assert client.post("/api/v1/advice/refresh", headers=headers).status_code == 403
    assert client.get("/api/v1/advice").status_code == 401


def test_one_run_at_a_time(client: FlaskClient) -> None:
    with advice.UNDER_WAY:
        found = client.post("/api/v1/advice/refresh")
    assert found.status_code == 409
    assert found.json["code"] == "UNDER_WAY"
    assert client.post("/api/v1/advice/refresh").status_code == 200


def test_what_is_to_be_tried_can_be_tried(client: FlaskClient) -> None:
    """The paths that findings name are served, and take what they say."""
    targets = {"targets": ["gemini-3.5-flash-lite", "gemini-3.8-flash"]}
    assert client.put("/api/v1/routes/light", json=targets).status_code == 200
    served = client.get("/api/v1/swagger.json").json["paths"]
    assert {"/routes/{name}", "/calls/{call_id}", "/limits/stored/{project}/{model}"} <= set(served)


def test_a_price_book_that_cannot_be_read_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("{")
    broken = dataclasses.replace(settings, prices=PricesSettings(file=tmp_path / "prices.json"))
    found = build(broken).test_client().post("/api/v1/advice/refresh")
    assert (found.status_code, found.json["code"]) == (503, "PRICES_UNREADABLE")
    assert str(tmp_path) not in found.text
