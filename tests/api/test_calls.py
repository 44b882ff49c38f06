"""Calls over the API: lists and their pages, one call, and bad questions that name their field."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from keyed import budget, key
from recorded import blank, build, settle, writing
from sampled import MODEL, START, attempt, identity, intent, record

from gemgate.api.calls import CallsQuery, listed
from gemgate.api.problems import Problem
from gemgate.config import Settings
from gemgate.core.call import Event, Outcome, Record, spell
from gemgate.core.verdict import Kind
from gemgate.store import events
from gemgate.store.connection import reader
from gemgate.store.reports.listing import Bounds

SPACE = 1_000_000
CALLS = 30


def made(place: int) -> Record:
    """One call of thirty: every third of another model, every fourth of a key, every fifth failed."""
    one = intent(
        identity(), received_at=START + place * SPACE, model="gemini-other" if place % 3 == 0 else MODEL
    )
    row = record(one, attempt(one), duration=place * 10)
    if place % 4 == 0:
        row = msgspec.structs.replace(row, key=1, user="ann", tags=("team:b",))
    if place % 5 == 0:
        first = attempt(
            one, verdict=Kind.BUSY, status=503, reason="overloaded", usage=None, retry_after=3_000_000
        )
        second = attempt(one, number=2, project="second", sent_at=one.sent_at + 5_000)
        row = msgspec.structs.replace(
            row, outcome=Outcome.FAILED, status=503, reason="overloaded", attempts=[first, second]
        )
    return row


@pytest.fixture(scope="module")
def rows() -> list[Record]:
    return [made(place) for place in range(CALLS)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, rows: list[Record]) -> Settings:
    found = blank(tmp_path_factory.mktemp("api"))
    with writing(found) as conn:
        key(conn)
        budget(conn, "whole")
        budget(conn, "foreign", scope="key", of="beta")
        at = rows[20].received_at + 100
        for kind, subject in (
            ("budget_soft", "whole"),
            ("budget_soft", "foreign"),
            ("runaway_rate", "alpha"),
        ):
            events.add(conn, [Event(at, kind, subject, "It is so.")])
    settle(found, rows)
    return found


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def every(client: FlaskClient, **query: Any) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = client.get("/api/v1/calls", query_string=query | more)
        assert answer.status_code == 200, answer.text
        body = answer.get_json()
        found += [one["call_id"] for one in body["items"]]
        if body["next"] is None:
            return found
        more = {"cursor": body["next"]}


def ids(rows: list[Record]) -> list[str]:
    return [spell(row.call_id) for row in rows]


def test_lists_narrow_and_sort(client: FlaskClient, rows: list[Record]) -> None:
    back = rows[::-1]
    assert every(client, limit=7) == ids(back)
    assert every(client, sort="oldest", limit=7) == ids(rows)
    assert every(client, sort="duration", limit=7) == ids(back)
    assert every(client, key="alpha") == ids([row for row in back if row.key])
    assert every(client, key="") == ids([row for row in back if not row.key])
    assert every(client, key=["alpha", ""]) == ids(back)
    assert every(client, key="nobody") == []
    assert every(client, tag=" TEAM:b ") == ids([row for row in back if row.tags])
    assert every(client, status="5xx") == ids([row for row in back if row.status == 503])
    assert every(client, status=["200", "503"]) == ids(back)
    assert every(client, switched="true") == ids([row for row in back if len(row.attempts) == 2])
    assert every(client, model_asked="gemini-other", outcome="ok") == ids(
        [row for row in back if row.model == "gemini-other" and row.status == 200]
    )
    assert every(client, min_duration=100, max_duration=150) == ids(rows[10:16][::-1])
    assert every(client, text=spell(rows[4].call_id)[:23]) == ids([rows[4]])
    assert every(client, text="r-1") == ids(back)
    assert every(client, **{"from": str(START + 3 * SPACE), "to": str(START + 5 * SPACE)}) == ids(
        rows[3:5][::-1]
    )


def test_a_call_goes_out_as_the_command_shows_it(client: FlaskClient, rows: list[Record]) -> None:
    (one,) = client.get("/api/v1/calls", query_string={"limit": 1}).get_json()["items"]
    assert one["received_at"] == rows[-1].received_at
    assert one["time"].endswith("+00:00")
    assert one["seq"] == CALLS
    assert (one["billed_nano"], one["tags"], one["json_output"]) == (
        rows[-1].attempts[0].cost.billed,
        [],
        False,
    )  # type: ignore[union-attr]


def test_a_page_that_ends_early_says_how_far_it_looked(settings: Settings, rows: list[Record]) -> None:
    query = CallsQuery(method=["generateContent"], max_duration=0)
    with contextlib.closing(reader(settings.database)) as conn:
        first = listed(conn, query, Bounds(scanned=5))
        assert (first.items, first.scanned_until) == ([], rows[-5].received_at)
        assert first.next
        rest = listed(conn, msgspec.structs.replace(query, cursor=first.next))
    assert [one.call_id for one in rest.items] == ids(rows[:1])
    assert (rest.next, rest.scanned_until) == (None, None)


def test_an_order_of_too_many_is_refused_with_advice(settings: Settings) -> None:
    few = Bounds(ordered=10)
    with contextlib.closing(reader(settings.database)) as conn:
        with pytest.raises(Problem) as caught:
            listed(conn, CallsQuery(sort="cost"), few)
        assert (caught.value.status, caught.value.code) == (422, "TOO_MUCH")
        assert "shorter span" in caught.value.hint
        assert len(listed(conn, CallsQuery(sort="cost", key=["alpha"]), few).items) == 8


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"sort": "price"}, "sort"),
        ({"status": "4x"}, "status"),
        ({"from": "yesterday"}, "from"),
        ({"to": "soon"}, "to"),
        ({"from": "now", "to": "-1h"}, "to"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"cursor": "xyz"}, "cursor"),
        ({"min_input": "-1"}, "min_input"),
        ({"min_input": "5", "max_input": "4"}, "min_input"),
        ({"switched": "perhaps"}, "switched"),
        ({"modle": "x"}, "modle"),
    ],
)
def test_bad_questions_name_their_field(client: FlaskClient, query: dict[str, str], field: str) -> None:
    answer = client.get("/api/v1/calls", query_string=query)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert field in answer.get_json()["errors"]


def test_a_cursor_is_for_its_own_question(client: FlaskClient) -> None:
    query = {"limit": 3, "from": "2020-01-01", "to": "-0s"}
    cursor = client.get("/api/v1/calls", query_string={"limit": 3}).get_json()["next"]
    for other in ({"key": "alpha"}, {"sort": "cost"}, query):
        answer = client.get("/api/v1/calls", query_string={"limit": 3, "cursor": cursor} | other)
        assert answer.status_code == 400, other
        assert "other filters" in answer.get_json()["errors"]["cursor"]
    assert client.get("/api/v1/calls", query_string={"limit": 9, "cursor": cursor}).status_code == 200


def test_one_call_is_told_with_all_that_hangs_on_it(client: FlaskClient, rows: list[Record]) -> None:
    body = client.get(f"/api/v1/calls/{spell(rows[20].call_id)}").get_json()
    assert body["call_id"] == spell(rows[20].call_id)
    first, second = body["tries"]
    assert (first["project"], second["project"]) == ("default", "second")
    assert first["means"] == "the model was overloaded; it named 3.00 s to wait"
    assert first["then"] == "the same model was tried on project second: attempt 2"
    assert "went to the client" in second["then"]
    (price,) = body["prices"]
    assert (price["name"], price["book"]) == ("gemini-sample@standard", "the tests' book")
    assert price["tries"] == [2]
    assert (price["from"], price["until"]) == (None, None)
    assert price["rates"]["input"] == 300_000_000
    assert body["prefixes"] == [8_192, 16_384]
    assert [one["subject"] for one in body["events"]] == ["whole", "alpha"]
    assert body["payloads"] == []
    assert body["story"][0] == f"Call {body['call_id']}, {body['time']}"
    assert any("means  the model was overloaded" in line for line in body["story"])


def test_the_beginning_of_an_id_will_do_where_it_is_the_only_one(
    client: FlaskClient, rows: list[Record]
) -> None:
    short = spell(rows[3].call_id)[:27]
    assert client.get(f"/api/v1/calls/{short}").get_json()["call_id"] == spell(rows[3].call_id)
    answer = client.get(f"/api/v1/calls/{short[:4]}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "SEVERAL_CALLS")
    answer = client.get("/api/v1/calls/00000000")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "CALL_NOT_FOUND")
    for wrong in ("xyz", "0" * 33, "-"):
        answer = client.get(f"/api/v1/calls/{wrong}")
        assert answer.status_code == 400
        assert "call_id" in answer.get_json()["errors"]


def test_without_a_record_it_says_so(tmp_path: Path) -> None:
    client = build(Settings(data=tmp_path)).test_client()
    for path in ("/api/v1/calls", "/api/v1/calls/01", "/api/v1/calls/live"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "STORE_DOWN")
