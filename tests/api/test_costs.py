"""Money, errors and other ways over the API: the reports' own numbers, with what to do, and faults by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle
from sampled import MODEL, attempt, identity, intent, record

from gemgate.api import context
from gemgate.config import Settings
from gemgate.core.call import Outcome, Record
from gemgate.core.verdict import Kind

MINUTE = 60_000_000
DAY = 1_440 * MINUTE


def made(at: int, place: int) -> Record:
    """One call of forty: every fourth of another model, every tenth refused by Google."""
    one = intent(
        identity(), received_at=at, sent_at=at + 40, model="gemini-other" if place % 4 == 0 else MODEL
    )
    if place % 10:
        return record(one, attempt(one))
    failed = msgspec.structs.replace(attempt(one), verdict=Kind.BUSY, status=503, reason="overloaded")
    row = record(one, failed)
    return msgspec.structs.replace(row, outcome=Outcome.FAILED, status=503, reason="overloaded")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    found: Settings = blank(tmp_path_factory.mktemp("costs"))
    now = context.now()
    settle(found, [made(now - 5 * DAY + place * MINUTE, place) for place in range(40)])
    return build(found).test_client()


def get(client: FlaskClient, name: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1/{name}", query_string={"from": "-7d", **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_money_is_told_by_kind_and_by_how_sure_it_is(client: FlaskClient) -> None:
    total = get(client, "costs")["total"]
    assert total["list_nano"] == sum(kind["nano"] for kind in total["kinds"]) > 0
    assert total["proven_nano"] + total["estimated_billed_nano"] == total["billed_nano"]
    assert {"input", "cached", "output", "thoughts", "tool"} <= {kind["kind"] for kind in total["kinds"]}
    assert total["burnt"]["failed_list_nano"] > 0


def test_errors_come_with_what_to_do(client: FlaskClient) -> None:
    found = get(client, "errors", group="model")
    assert (found["total"]["calls"], found["total"]["errors"], found["total"]["share"]) == (40, 4, 0.1)
    assert [(kind["reason"], kind["calls"]) for kind in found["kinds"]] == [("overloaded", 4)]
    assert "overloaded" in found["kinds"][0]["meaning"]
    assert "Let another model" in found["kinds"][0]["remedy"]
    assert sum(one["tries"] for one in found["tries"]) == 4
    assert sum(group["total"]["errors"] for group in found["groups"]) == 4


def test_other_ways_say_where_calls_went(client: FlaskClient) -> None:
    found = get(client, "fallbacks")
    assert (found["total"]["tries_failed"], found["total"]["retried"]) == (4, 0)
    assert {(one["reason"], one["next_model"]) for one in found["flows"]} == {("overloaded", "")}
    assert sum(one["tries"] for one in found["flows"]) == 4


@pytest.mark.parametrize("name", ["usage", "costs", "errors", "fallbacks"])
def test_auto_suits_the_groups(client: FlaskClient, name: str) -> None:
    assert get(client, name, **{"from": "-1d"})["span"]["step"] == "quarter"
    assert get(client, name, **{"from": "-1d", "group": ["model", "key"]})["span"]["step"] == "hour"
    assert get(client, name, group=["model", "tag"])["span"]["step"] == "day"


@pytest.mark.parametrize("name", ["costs", "errors", "fallbacks"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("group", "colour"),
        ("zone", "Mars/Olympus"),
        ("from", "soon"),
        ("step", "year"),
        ("top", "0"),
        ("x", "1"),
    ],
)
def test_faults_name_their_field(client: FlaskClient, name: str, field: str, value: str) -> None:
    answer = client.get(f"/api/v1/{name}", query_string={field: value})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert field in answer.get_json()["errors"]
