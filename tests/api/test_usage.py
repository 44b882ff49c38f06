"""Use over the API: the report's own numbers, bad questions by their field, too large ones with advice."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle, writing
from sampled import MODEL, attempt, identity, intent, record

from gemgate.api import context
from gemgate.config import Settings
from gemgate.core.call import Record
from gemgate.insight.plan import MOST_FOLDED

MINUTE = 60_000_000
DAY = 1_440 * MINUTE
PATH = "/api/v1/usage"


def made(at: int, place: int) -> Record:
    """One call of forty: some of another model, some with two tags."""
    one = intent(
        identity(), received_at=at, sent_at=at + 40, model="gemini-other" if place % 4 == 0 else MODEL
    )
    row = record(one, attempt(one))
    return msgspec.structs.replace(row, tags=("red", "blue")) if place % 3 == 0 else row


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = blank(tmp_path_factory.mktemp("usage"))
    now = context.now()
    settle(found, [made(now - 5 * DAY + place * MINUTE, place) for place in range(40)])
    return found


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def get(client: FlaskClient, **query: Any) -> dict[str, Any]:
    answer = client.get(PATH, query_string=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_groups_sum_to_the_total(client: FlaskClient) -> None:
    found = get(client, **{"from": "-7d", "group": "model", "zone": "Asia/Kathmandu"})
    assert found["total"]["calls"] == 40
    assert found["span"]["step"] == "hour"
    assert [(group["names"], group["total"]["calls"]) for group in found["groups"]] == [
        ([MODEL], 30),
        (["gemini-other"], 10),
    ]
    assert (found["others"], found["groups_total"], found["overlapping"]) == (None, 2, False)
    assert sum(point["calls"] for point in found["series"]) == 40
    first = found["series"][0]
    assert first["time"].endswith("+05:45")
    when = datetime.datetime.fromisoformat(first["time"])
    assert (when - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(
        microseconds=1
    ) == first["start"]
    assert (len(found["heatmap"]), sum(found["heatmap"])) == (168, 40)
    # 1 ms each, over a week.
    assert found["concurrency"] == pytest.approx(40 * 1_000 / (7 * DAY), rel=0.001)


def test_the_rest_is_named_others(client: FlaskClient) -> None:
    found = get(client, **{"from": "-7d", "group": "model", "top": 1, "step": "none"})
    assert found["others"]["total"]["calls"] == 10
    assert [point["calls"] for point in found["others"]["series"]] == [10]


def test_tags_overlap_and_say_so(client: FlaskClient) -> None:
    found = get(client, **{"from": "-7d", "group": "tag"})
    assert {group["names"][0]: group["total"]["calls"] for group in found["groups"]} == {
        "": 26,
        "red": 14,
        "blue": 14,
    }
    assert found["overlapping"]


def test_filters_and_the_span_before(client: FlaskClient) -> None:
    found = get(client, **{"from": "-3d", "model": MODEL, "tag": "red", "compare": "true"})
    assert found["total"]["calls"] == 0
    assert found["before"]["calls"] == len([place for place in range(0, 40, 3) if place % 4])


def test_the_running_minute_is_there(client: FlaskClient, settings: Settings) -> None:
    before = get(client, **{"from": "-1h"})["total"]["calls"]
    settle(settings, [made(context.now(), 1)])
    assert get(client, **{"from": "-1h"})["total"]["calls"] == before + 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesteryear"}, "from"),
        ({"from": "-500d"}, "from"),
        ({"to": "-25h"}, "to"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"step": "year"}, "step"),
        ({"from": "-7d", "step": "minute"}, "step"),
        ({"group": "colour"}, "group"),
        ({"group": ["model", "model"]}, "group"),
        ({"group": ["model", "key", "tag"]}, "group"),
        ({"status": "ok"}, "status"),
        ({"status": "0xx"}, "status"),
        ({"tag": ["red", "blue"]}, "tag"),
        ({"top": "0"}, "top"),
        ({"top": "1" * 5_000}, "top"),
        ({"colour": "red"}, "colour"),
        ({"compare": "perhaps"}, "compare"),
    ],
)
@pytest.mark.parametrize("path", [PATH, "/api/v1/performance"])
def test_bad_questions_name_their_field(
    client: FlaskClient, path: str, query: dict[str, Any], field: str
) -> None:
    answer = client.get(path, query_string=query)
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert any(name.partition("[")[0] == field for name in answer.get_json()["errors"])


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "'; DROP TABLE calls; --", "ü" * 200, "(other)"])
def test_odd_names_are_nobody(client: FlaskClient, name: str) -> None:
    text = name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    for dimension in ("model", "key", "reason", "client"):
        answer = client.get(PATH, query_string={"from": "-7d", dimension: text})
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 200:
            assert answer.get_json()["total"]["calls"] == 0


def test_all_statuses_of_a_hundred_are_asked_for_at_once(client: FlaskClient) -> None:
    every = get(client, **{"from": "-7d", "group": "status", "top": "100"})["groups"]
    for hundred in ("2", "4", "5"):
        among = sum(one["total"]["calls"] for one in every if one["names"][0].startswith(hundred))
        assert get(client, **{"from": "-7d", "status": f"{hundred}xx"})["total"]["calls"] == among


def test_what_would_read_too_much_is_refused_with_advice(tmp_path: Path) -> None:
    settings = blank(tmp_path)
    now = context.now()
    settle(settings, [made(now - DAY, 1)])
    with writing(settings) as conn:
        columns = [
            row[1] for row in conn.execute("PRAGMA table_info(calls)") if row[1] not in ("seq", "call_id")
        ]
        conn.execute(
            f"INSERT INTO calls(call_id, {', '.join(columns)})"
            f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {MOST_FOLDED})"
            f" SELECT randomblob(16), {', '.join(f'c.{name}' for name in columns)} FROM n, calls AS c"
        )
    client = build(settings).test_client()
    answer = client.get(PATH, query_string={"from": "-7d"})
    found = answer.get_json()
    assert (answer.status_code, found["code"]) == (422, "TOO_MUCH")
    assert found["detail"][0].isupper()
    assert found["hint"].rstrip(".").lower() not in found["detail"].lower()
    assert "gemgate rollup status" in found["hint"]
    assert get(client, **{"from": "-1h"})["total"]["calls"] == 0
