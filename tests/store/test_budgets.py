"""Budgets on record, what the time before them shows, and what is let go of."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyed import budget, key
from sampled import START, attempt, identity, intent, record

from gemgate.core.budget import Budget, since, slot
from gemgate.core.call import Charged, Record
from gemgate.core.usage import Usage
from gemgate.store import boots, budgets, ledger, revisions, spends
from gemgate.store.connection import Connection

HOUR = 3_600_000_000
DAY = 24 * HOUR


def call(at: int, **changes: Any) -> Record:
    """A settled call that came at a moment."""
    one = intent(identity(), received_at=at, sent_at=at, project=changes.pop("project", "default"))
    return record(one, attempt(one, usage=Usage(input=changes.pop("tokens", 3), thoughts=1)), **changes)


def money(some: list[Record]) -> int:
    return sum(one.cost.billed or 0 for of_call in some for one in of_call.attempts if one.cost)


def found(conn: Connection, made: Budget, now: int) -> int:
    return sum(one.amount for one in budgets.seed(conn, made, now))


def test_what_was_written_is_read_and_counted(conn: Connection) -> None:
    one = budget(conn, soft=0.5, zone="Europe/Berlin", unpriced=True)
    other = budget(conn, "team", scope="tag", of="a", unit="tokens", period="rolling", seconds=3_600)
    assert budgets.every(conn) == [one, other]
    assert budgets.find(conn, "team") == other
    assert budgets.find(conn, "nobody") is None
    assert revisions.number(conn, revisions.ACCESS) == 2
    changed = budgets.change(conn, "team", amount=5, soft=1.0)
    assert budgets.every(conn) == [one, msgspec.structs.replace(other, amount=5, soft=1.0)]
    assert changed.amount == 5
    assert revisions.number(conn, revisions.ACCESS) == 3
    with pytest.raises(budgets.Missing):
        budgets.change(conn, "nobody", amount=5)
    for field in ("id", "name", "created_at"):
        with pytest.raises(TypeError):
            budgets.change(conn, "team", **{field: 1})


def test_a_removed_budget_stays_on_record_and_frees_its_name(conn: Connection) -> None:
    first = budget(conn)
    with pytest.raises(budgets.Exists, match="whole"):
        budget(conn)
    spends.add(conn, [[Charged(first.id, START, 7)]])
    assert budgets.remove(conn, "whole", START + 1).disabled_at == START + 1
    second = budget(conn)
    assert second.id != first.id
    names = [(one.id, one.disabled_at > 0) for one in budgets.every(conn)]
    assert names == [(first.id, True), (second.id, False)]
    assert budgets.find(conn, "whole") == second
    assert budgets.spends(conn) == [Charged(first.id, START, 7)]


def test_what_was_seeded_is_spent(conn: Connection) -> None:
    calls = [call(START), call(START + 5)]
    ledger.settle(conn, calls)
    wanted = Budget(id=0, name="whole", scope="all", unit="money", amount=10**9, period="hour")
    made = budgets.create(conn, wanted, START + 9, budgets.seed(conn, wanted, START + 9))
    assert budgets.spends(conn) == [Charged(made.id, slot(made, START + 9), money(calls))]


def test_spends_of_a_moment_and_later(conn: Connection) -> None:
    made = budget(conn)
    for place in range(4):
        spends.add(conn, [[Charged(made.id, START + place, 1)]])
    assert [one.slot for one in budgets.spends(conn, START + 2)] == [START + 2, START + 3]


def test_each_scope_sees_its_own_calls(conn: Connection) -> None:
    alpha = key(conn)
    calls = [
        call(START),
        call(START + 1, key=alpha.id),
        call(START + 2, tags=("a", "b"), route="fast"),
        call(START + 3, key=alpha.id, tags=("b",), project="second"),
        call(START - DAY, key=alpha.id, tags=("a",), route="fast", project="second"),
    ]
    ledger.settle(conn, calls)
    for changes, which in (
        ({}, calls[:4]),
        ({"scope": "key", "of": "alpha"}, [calls[1], calls[3]]),
        ({"scope": "key", "of": "beta"}, []),
        ({"scope": "tag", "of": "b"}, calls[2:4]),
        ({"scope": "route", "of": "fast"}, [calls[2]]),
        ({"scope": "project", "of": "second"}, [calls[3]]),
    ):
        made = budget(conn, f"of {changes}", **changes)
        assert found(conn, made, START + 9) == money(which), changes
        tokens = msgspec.structs.replace(made, unit="tokens")
        assert found(conn, tokens, START + 9) == 4 * len(which), changes


def test_unpriced_calls_are_left_out_of_money(conn: Connection) -> None:
    one = intent(identity(), model="gemini-unknown")
    ledger.settle(conn, [record(one), call(START)])
    assert found(conn, budget(conn), START + 9) == money([call(START)])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 40 * HOUR), max_size=12),
    st.sampled_from(["hour", "day", "week", "month", "rolling"]),
    st.integers(0, 40 * HOUR),
    st.integers(1, 3),
)
def test_a_seed_is_the_sum_of_its_slots_however_it_is_cut(
    conn: Connection, times: list[int], period: Any, now: int, chunk: int
) -> None:
    conn.execute("SAVEPOINT example")
    calls = [call(START + at) for at in times]
    ledger.settle(conn, calls)
    made = budget(conn, unit="tokens", period=period, seconds=7_200, zone="Asia/Kolkata")
    whole, budgets._CHUNK = budgets._CHUNK, chunk  # type: ignore[misc]
    try:
        seeds = budgets.seed(conn, made, START + now)
    finally:
        budgets._CHUNK = whole  # type: ignore[misc]
    expected: Counter[int] = Counter()
    for at in times:
        if since(made, START + now) <= START + at <= START + now:
            expected[slot(made, START + at)] += 4
    assert {one.slot: one.amount for one in seeds} == dict(expected)
    assert len(seeds) == len(expected)
    conn.execute("ROLLBACK TO example")
    conn.names.forget()


def test_the_sweep_takes_what_rolling_budgets_have_outlived(conn: Connection) -> None:
    rolling = budget(conn, "last minute", period="rolling", seconds=60)
    daily = budget(conn, "daily")
    now = START // 1_000_000 * 1_000_000 + 10 * DAY
    rows = [
        Charged(number, at, 1)
        for number in (rolling.id, daily.id)
        for at in (START, START + DAY, now - DAY - HOUR, now - HOUR, now)
    ]
    spends.add(conn, [rows])
    assert budgets.sweep(conn, now, 2) == 2
    assert budgets.sweep(conn, now) == 1
    assert budgets.sweep(conn, now) == 0
    assert [one.slot for one in budgets.spends(conn) if one.budget == rolling.id] == [now - HOUR, now]
    assert len([one for one in budgets.spends(conn) if one.budget == daily.id]) == 5


def test_seeded_calls_are_nobodys_spending(conn: Connection) -> None:
    real, seeded = call(START), call(START + 1)
    ledger.settle(conn, [real, seeded])
    boots.register(conn, seeded.boot, "seed", "", START)
    conn.execute(
        "INSERT INTO seeds(boot_id, calls, low, high, made_at, body)"
        " SELECT id, 1, 1, 2, ?, '{}' FROM boots WHERE boot = ?",
        (START, seeded.boot),
    )
    for scope, of in (("all", ""), ("project", "default")):
        made = budget(conn, f"of-{scope}", scope=scope, of=of)
        assert found(conn, made, START + 9) == money([real]) > 0


def test_a_slice_of_a_seed_reads_by_time(conn: Connection) -> None:
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {budgets._SLICE}", (1, 2, 3))]
    assert any("COVERING INDEX ix_calls_received_at" in step for step in steps), steps
    for scope, (join, which) in budgets._SCOPES.items():
        sql = budgets._SPENT.format(amount="c.billed_nano", join=join, which=which)
        steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}", (1, 2, "x"))]
        assert steps[0] == "SEARCH c USING INDEX ix_calls_received_at (received_at>? AND received_at<?)", (
            scope
        )
        assert not any(step.startswith("SCAN") for step in steps), (scope, steps)
