"""Stored prices and limits that are damaged: each stops itself alone, and can be taken away."""

from __future__ import annotations

import sqlite3

import pytest

from gemgate.core.quota import Limits
from gemgate.gateway import stored
from gemgate.store import stored_limits, stored_prices, stored_routes
from gemgate.store.connection import Connection
from gemgate.store.stored_limits import StoredLimits

PRICE = {"model": "new", "tier": "standard", "input": 3}
DAMAGES = ["[", "[]", '{"rpm": "\\ud800"}', b'{"rpm": "\xed\xa0\x80"}', b"\xff", '{"rpm":' + "[" * 99_999]


def damage(conn: Connection, table: str, text: str | bytes) -> None:
    """Put this in place of the first row's body, as text that may be none."""
    data = text.encode() if isinstance(text, str) else text
    conn.execute(f"UPDATE {table} SET body = CAST(? AS TEXT) WHERE rowid = 1", (data,))


@pytest.mark.parametrize("text", DAMAGES)
def test_a_damaged_price_is_left_out_alone_and_can_be_removed(conn: Connection, text: str | bytes) -> None:
    for model in ("old", "new"):
        stored_prices.add(conn, {**PRICE, "model": model}, 1)
    damage(conn, "stored_prices", text)
    book, left_out = stored_prices.looked(conn, None)
    assert list(left_out) == ["stored/1"]
    assert "cannot be read" in left_out["stored/1"]
    price = book.price("new", "standard", 0)
    assert price is not None
    assert price.rates.input == 3
    assert stored_prices.find(conn, 1) == {"id": "stored/1"}
    assert stored_prices.remove(conn, 1) == {"id": "stored/1"}
    assert [one["id"] for one in stored_prices.every(conn)] == ["stored/2"]


@pytest.mark.parametrize("text", DAMAGES)
def test_a_damaged_route_or_pause_takes_no_other_with_it(conn: Connection, text: str | bytes) -> None:
    for name in ("a", "b"):
        stored_routes.create(conn, name, {"targets": []}, 1)
        stored_routes.pause(conn, name, 5)
    damage(conn, "stored_routes", text)
    conn.execute("UPDATE stored_routes SET changed_at = 'then' WHERE name = 'a'")
    conn.execute("UPDATE paused_projects SET paused_at = 'then' WHERE project = 'a'")
    found = stored.read(conn)
    assert (found.routes, found.paused, found.bad) == (
        [("a", None), ("b", {"targets": []})],
        {"a", "b"},
        (),
    )
    assert stored_routes.paused(conn) == {"a": 1, "b": 5}


def test_a_name_that_is_no_text_takes_its_kind_and_nothing_else(conn: Connection) -> None:
    stored_routes.create(conn, "a", {"targets": []}, 1)
    stored_routes.pause(conn, "b", 5)
    conn.execute("UPDATE stored_routes SET name = CAST(x'ff' AS TEXT)")
    found = stored.read(conn)
    assert (found.routes, found.paused, [name for name, _ in found.bad]) == ([], {"b"}, ["routes"])
    conn.execute("ALTER TABLE stored_routes RENAME TO gone")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        stored.read(conn)


@pytest.mark.parametrize("text", DAMAGES)
def test_damaged_limits_are_left_out_alone(conn: Connection, text: str | bytes) -> None:
    for model in ("a", "b"):
        stored_limits.put(conn, ("one", model), Limits(rpm=2), 1)
    damage(conn, "stored_limits", text)
    assert stored_limits.find(conn, "one", "a") == StoredLimits("one", "a", None)
    assert stored_limits.every(conn) == [("one", "a", None), ("one", "b", Limits(rpm=2))]
    found = stored.read(conn)
    assert (found.limits, [name for name, _ in found.bad]) == (
        [("one", "b", Limits(rpm=2))],
        ["limits of a on one"],
    )
    stored_limits.remove(conn, ("one", "a"))
    assert stored.read(conn).bad == ()
