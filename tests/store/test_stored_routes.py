"""Stored routes and pauses: each change is counted, so that gateways notice, and what is damaged is told apart."""

from __future__ import annotations

import pytest
from sampled import START, attempt, intent, record

from gemgate.core.verdict import Kind
from gemgate.store import ledger, quotas, revisions, stored_routes
from gemgate.store.boots import Boot
from gemgate.store.connection import Connection
from gemgate.store.stored_routes import Exists, Missing

BODY = {"targets": ["gemini-2.5-flash"], "patience": 2.5}


def number(conn: Connection) -> int:
    return revisions.number(conn, revisions.ROUTING)


def test_routes_are_made_replaced_and_removed_and_each_is_counted(conn: Connection) -> None:
    made = stored_routes.create(conn, "b", BODY, 10)
    stored_routes.create(conn, "a", {}, 11)
    assert stored_routes.every(conn) == [made, stored_routes.StoredRoute("a", {}, 11, 11)]
    with pytest.raises(Exists):
        stored_routes.create(conn, "b", {}, 12)
    assert number(conn) == 2
    assert stored_routes.replace(conn, "b", {"targets": []}, 20).created_at == 10
    found = stored_routes.find(conn, "b")
    assert found == stored_routes.StoredRoute("b", {"targets": []}, 10, 20)
    stored_routes.remove(conn, "b")
    assert number(conn) == 4
    for change in (lambda: stored_routes.remove(conn, "b"), lambda: stored_routes.replace(conn, "b", {}, 1)):
        with pytest.raises(Missing):
            change()
    assert (stored_routes.find(conn, "b"), number(conn)) == (None, 4)


@pytest.mark.parametrize("text", ["{", "[]", "null", '"x"'])
def test_a_body_that_is_no_table_is_none(conn: Connection, text: str) -> None:
    stored_routes.create(conn, "torn", BODY, 1)
    conn.execute("UPDATE stored_routes SET body = ?", (text,))
    assert [one.body for one in stored_routes.every(conn)] == [None]


def test_a_pause_counts_once_and_keeps_its_time(conn: Connection) -> None:
    assert stored_routes.pause(conn, "one", 5)
    assert not stored_routes.pause(conn, "one", 9)
    assert stored_routes.paused(conn) == {"one": 5}
    assert number(conn) == 1
    assert stored_routes.resume(conn, "one")
    assert not stored_routes.resume(conn, "one")
    assert (stored_routes.paused(conn), number(conn)) == ({}, 2)


def test_the_newest_refusals_are_found_without_reading_every_try(conn: Connection, boot: Boot) -> None:
    calls = []
    for place in range(6):
        of = intent(boot.id, received_at=START + place, sent_at=START + place)
        busy = {
            "verdict": Kind.BUSY,
            "status": 429,
            "reason": "quota_minute",
            "retry_after": place,
            "usage": None,
        }
        tried = attempt(of, **(busy if place % 2 else {}))
        calls.append(record(of, tried, received_at=START + place))
    ledger.settle(conn, calls)
    assert [one.retry_after for one in quotas.refusals(conn, 2)] == [5, 3]
    assert [one.call_id for one in quotas.refusals(conn, 9, looked=3)] == [calls[5].call_id, calls[3].call_id]
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    quotas.refusals(conn, 9)
    conn.set_trace_callback(None)
    for statement in statements:
        plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [step for step in plan if step.startswith("SCAN")], plan
