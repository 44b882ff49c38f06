"""What calls spend and bring about: once, with their row, whatever is told again, rolled back or left by a crash."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyed import budget, key
from sampled import START, assumed, attempt, findings, identity, intent, priced, record

from gemgate.core.budget import slot as slot_of
from gemgate.core.call import Charged, Event, Intent, Kept, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import (
    budgets,
    events,
    interrupted,
    ledger,
    names,
    operations,
    quotas,
    reports,
    signatures,
    spends,
)
from gemgate.store.connection import Connection

MOST = 2**63 - 1


def spent(conn: Connection) -> dict[tuple[int, int], int]:
    return {(one.budget, one.slot): one.amount for one in spends.since(conn)}


def bodies(conn: Connection, names: list[str], now: int = 0) -> dict[str, bytes]:
    return {name: one.body for name, one in signatures.find(conn, names, now).items()}


def braked(conn: Connection, **changes: Any) -> Intent:
    """A try of a key with a budget of money and one of tokens, both held."""
    if not budgets.every(conn):
        key(conn)
        budget(conn, "money")
        budget(conn, "tokens", unit="tokens")
    fields: dict[str, Any] = {
        "key": 1,
        "user": "ann",
        "door": "responses",
        "tags": ("team:b", "x"),
        "output_estimate": 50,
        "held": (Charged(1, START, 900_000), Charged(2, START, 5_000)),
    }
    return intent(identity(), **(fields | changes))


def settled(of: Intent, *charged: Charged, **changes: Any) -> Record:
    """Its row, with all that the intent knew."""
    return record(of, key=of.key, user=of.user, door=of.door, tags=of.tags, charged=charged, **changes)


def test_what_a_call_spent_is_added_with_its_row(conn: Connection, data: Path) -> None:
    one, other = braked(conn), braked(conn)
    ledger.open_tries(conn, [one, other])
    ledger.settle(conn, [settled(one, Charged(1, START, 3), Charged(2, START, 40))])
    assert spent(conn) == {(1, START): 3, (2, START): 40}
    ledger.settle(conn, [settled(other, Charged(1, START, 4), Charged(1, START + 9, 1))])
    assert spent(conn) == {(1, START): 7, (1, START + 9): 1, (2, START): 40}
    conn.keep()
    assert findings(data) == []
    rows = reports.newest(conn, reports.Filter(key="alpha"))
    assert [(row.key, row.user, row.door, row.tags) for row in rows] == [
        ("alpha", "ann", "responses", ("team:b", "x"))
    ] * 2


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 9)), max_size=4), max_size=20
    ),
    st.lists(st.tuples(st.lists(st.integers(0, 19), max_size=30), st.booleans(), st.booleans()), max_size=6),
)
def test_each_call_is_charged_once_however_often_it_is_told(
    conn: Connection,
    amounts: list[list[tuple[int, int, int]]],
    batches: list[tuple[list[int], bool, bool]],
) -> None:
    """Batches repeat calls, are rolled back, and come through the spill file."""
    if not conn.in_transaction:
        conn.execute("BEGIN IMMEDIATE")
    for table in ("budget_spends", "attempts", "call_tags", "prefixes", "calls"):
        conn.execute(f"DELETE FROM {table}")
    calls = [
        record(intent(identity()), charged=tuple(Charged(*one) for one in of_call)) for of_call in amounts
    ]
    conn.keep()
    told: set[int] = set()
    for places, kept, through_file in batches:
        some = [calls[place] for place in places if place < len(calls)]
        conn.execute("BEGIN IMMEDIATE")
        if through_file:
            frames = [operations.encode(ledger.settle, one) for one in some]
            operations.apply(conn, [operations.decode(frame) for frame in frames])
        else:
            ledger.settle(conn, some)
        if kept:
            conn.keep()
            told.update(place for place in places if place < len(calls))
        else:
            conn.forget()
    expected: Counter[tuple[int, int]] = Counter()
    for place in told:
        for number, slot, amount in amounts[place]:
            expected[number, slot] += amount
    assert spent(conn) == {place: amount for place, amount in expected.items() if amount}


def test_sums_stay_within_what_a_row_can_hold(conn: Connection) -> None:
    for _ in range(3):
        spends.add(conn, [[Charged(1, 0, MOST - 1)], [Charged(1, 0, 2**70)], [Charged(2, 0, -5)]])
    assert spent(conn) == {(1, 0): MOST}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
def test_many_budgets_at_once(conn: Connection, count: int) -> None:
    for _ in range(2):
        spends.add(conn, [[Charged(place, 0, place + 1) for place in range(count)]])
    assert spent(conn) == {(place, 0): 2 * place + 2 for place in range(count)}


def test_a_call_that_died_is_charged_what_it_held(conn: Connection, data: Path) -> None:
    one = braked(conn)
    ledger.open_tries(conn, [one])
    assert budgets.held(conn) == {1: 900_000, 2: 5_000}
    assert interrupted.close_dead(conn, {one.boot: START + 90}, assumed) == 1
    assert interrupted.close_dead(conn, {one.boot: START + 90}, assumed) == 0
    ledger.settle(conn, [settled(one, Charged(1, START, 1))])  # its spilled row, moved too late
    assert spent(conn) == {(1, START): 900_000, (2, START): 5_000}
    assert budgets.held(conn) == {}
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.key, row.user, row.door, row.tags) == ("alpha", "ann", "responses", ("team:b", "x"))
    assert (row.outcome, row.input, row.output, row.estimated) == ("interrupted", 321, 50, 371)
    assert row.estimated_billed_nano == priced(Usage(input=321, output=50)).billed
    conn.keep()
    assert findings(data) == []


def test_a_finished_try_of_a_call_that_died_is_charged_what_it_came_to(conn: Connection) -> None:
    first = braked(conn)
    second = msgspec.structs.replace(
        first, attempt=2, held=(Charged(1, START, 70), Charged(2, START + 5, 80))
    )
    third = msgspec.structs.replace(first, attempt=3, held=(Charged(1, START, 600),), hedge=True)
    met = attempt(first, verdict=Kind.CUT, usage=Usage(input=10, output=5), estimated=True)
    ledger.open_tries(conn, [first])
    ledger.next_try(conn, [ledger.NextTry(finished=met, opened=second)])
    ledger.open_tries(conn, [third])
    billed = priced(Usage(input=10, output=5)).billed or 0
    assert budgets.held(conn) == {1: billed + 670, 2: 95}
    interrupted.close_dead(conn, {first.boot: START}, assumed)
    assert spent(conn) == {(1, START): billed + 670, (2, START): 15, (2, START + 5): 80}


@pytest.mark.parametrize(
    ("usage", "costs", "money"),
    [
        (None, None, 0),  # refused before it used anything
        (Usage(), None, 0),
        (Usage(input=9), None, 900_000),  # unpriced: nobody knows, so what was held
        (Usage(input=9), priced(Usage(input=9), free=True), 0),
    ],
)
def test_a_finished_try_without_a_known_price(conn: Connection, usage: Any, costs: Any, money: int) -> None:
    first = braked(conn)
    met = attempt(first, verdict=Kind.BUSY, usage=usage, cost=costs)
    second = msgspec.structs.replace(first, attempt=2, held=())
    ledger.open_tries(conn, [first])
    ledger.next_try(conn, [ledger.NextTry(finished=met, opened=second)])
    interrupted.close_dead(conn, {first.boot: START}, assumed)
    assert spent(conn).get((1, START), 0) == money


def test_an_intent_with_holds_passes_through_the_spill_file(conn: Connection) -> None:
    one = braked(conn)
    operation, value = operations.decode(operations.encode(ledger.open_tries, one))
    assert value == one
    operations.apply(conn, [(operation, value)])
    assert budgets.held(conn) == {1: 900_000, 2: 5_000}


def test_tags_are_cleaned_and_two_that_became_one_are_one(conn: Connection) -> None:
    conn.names.tags = names.Dimension(conn, "tags", most=1)
    told = record(
        intent(identity()), tags=("a\x1f", "b", "c", "d" * 300), user="u\n", door="chat.completions"
    )
    ledger.settle(conn, [told])
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.tags, row.user, row.door) == (("(other)", "a\ufffd"), "u\ufffd", "chat.completions")


def test_what_an_answer_showed_is_kept_with_its_row_until_it_expires(conn: Connection) -> None:
    one, other = Kept("aa", b"\x00first", START + 5), Kept("bb", b"second", START + 50)
    ledger.settle(conn, [record(intent(identity()), kept=(one, other))])
    assert bodies(conn, ["aa", "bb", "cc"]) == {"aa": b"\x00first", "bb": b"second"}
    assert bodies(conn, ["aa", "bb"], START + 5) == {"bb": b"second"}
    assert signatures.find(conn, []) == {}
    again = Kept("aa", b"other", START + 70)
    ledger.settle(conn, [record(intent(identity()), kept=(again,))])
    assert bodies(conn, ["aa"]) == {"aa": b"other"}
    assert signatures.sweep(conn, START + 49) == 0
    assert signatures.sweep(conn, START + 99, 1) == 1
    assert list(signatures.find(conn, ["aa", "bb"])) == ["aa"]


def test_more_names_than_one_statement_takes(conn: Connection) -> None:
    many = [Kept(str(place), b"%d" % place, START) for place in range(1_203)]
    signatures.keep(conn, many)
    assert signatures.find(conn, [one.name for one in many]) == {one.name: one for one in many}


def test_events_come_with_their_row_once_and_are_read_newest_first(conn: Connection) -> None:
    told = [
        record(intent(identity()), events=(Event(START + place, kind, subject, f"Sentence {place}.\x1b"),))
        for place, (kind, subject) in enumerate([("soft", "a"), ("spent", "a"), ("soft", "b")])
    ]
    ledger.settle(conn, told)
    ledger.settle(conn, told)
    first, second, third = (
        Event(one.at, one.kind, one.subject, one.sentence[:-1] + "\ufffd") for r in told for one in r.events
    )
    assert events.newest(conn) == [third, second, first]
    assert events.newest(conn, limit=1) == [third]
    assert events.newest(conn, since=START + 1, subject="a") == [second]
    assert events.newest(conn, kind="soft") == [third, first]
    assert events.newest(conn, kind="soft", subject="b") == [third]
    long = Event(START, "k" * 99, "s" * 999, "w" * 9_999)
    events.add(conn, [long])
    kept = events.newest(conn, limit=1)[0]
    assert (len(kept.kind), len(kept.subject), len(kept.sentence)) == (40, 200, 1_000)


def test_a_call_that_is_rolled_back_leaves_nothing(conn: Connection) -> None:
    one = braked(conn)
    conn.keep()
    conn.execute("BEGIN IMMEDIATE")
    told = settled(
        one, Charged(1, START, 3), kept=(Kept("aa", b"x", 9),), events=(Event(1, "soft", "a", "b"),)
    )
    ledger.settle(conn, [told])
    conn.forget()
    for table in ("calls", "call_tags", "budget_spends", "signatures", "events", "tags", "users"):
        assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_the_state_that_is_kept_lets_go_of_what_has_expired(conn: Connection) -> None:
    rolling = budget(conn, "last minute", period="rolling", seconds=60)
    now = START + 3 * 86_400_000_000
    spends.add(conn, [[Charged(rolling.id, START, 1), Charged(rolling.id, now, 1)]])
    signatures.keep(conn, [Kept("old", b"x", now), Kept("new", b"x", now + 1)])
    quotas.keep(conn, [], [], b"{}", identity(), now)
    assert spent(conn) == {(rolling.id, now): 1}
    assert list(signatures.find(conn, ["old", "new"])) == ["new"]


def test_only_the_slots_that_count_are_read(conn: Connection) -> None:
    rolling = budget(conn, "rolling", period="rolling", seconds=60)
    daily, gone = budget(conn, "daily"), budget(conn, "gone", disabled_at=1)
    second, start = 1_000_000, slot_of(daily, START)
    rows = [Charged(rolling.id, START // second * second - n * second, 1) for n in range(500)]
    rows += [Charged(daily.id, start, 5), Charged(daily.id, start - 1, 7), Charged(gone.id, start, 9)]
    spends.add(conn, [rows])
    found = spends.counting(conn, [rolling, daily, gone], START)
    assert sum(one.amount for one in found if one.budget == rolling.id) == 61
    assert [one for one in found if one.budget != rolling.id] == [Charged(daily.id, start, 5)]
