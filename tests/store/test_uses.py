"""Use as the record tells it: every try once, whatever was summed already, and wherever the questions cut time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampled import MODEL, PLAIN, START, attempt, identity, intent, priced, record

from gemgate.core.actions import UNREACHED
from gemgate.core.call import Intent, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import ledger, uses
from gemgate.store.connection import Connection
from gemgate.store.uses import FINE, SLOT, Spent

METHOD = "models.generateContent"
HOUR = 3_600_000_000
BASE = START // HOUR * HOUR


def tried(at: int, **changes: Any) -> Intent:
    """A metered try sent at a moment."""
    return intent(identity(), received_at=at - 1_000, sent_at=at, method=METHOD, **changes)


def call(at: int, tokens: int = 1, **changes: Any) -> Record:
    """A settled call of one such try."""
    one = tried(at, **changes)
    return record(one, attempt(one, usage=Usage(input=tokens)))


def sums(rows: list[Spent]) -> dict[tuple[str, str], tuple[int, int]]:
    """Requests and tokens by project and model."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        requests, tokens = found.get((row.project, row.model), (0, 0))
        found[row.project, row.model] = (requests + row.requests, tokens + row.tokens)
    return found


def test_one_try_as_it_was(conn: Connection) -> None:
    one = tried(BASE + 5, project="p")
    ledger.settle(conn, [record(one)])
    expected = [Spent("p", MODEL, BASE + 5, 1, PLAIN.input, priced(PLAIN).billed or 0)]
    assert uses.used(conn, BASE) == expected
    assert uses.used(conn, BASE + 5) == expected
    assert uses.used(conn, BASE + 6) == []


def test_tries_of_one_moment_stand_together_at_the_last_ones_time(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE + place * FINE // 4, 10) for place in range(6)])
    assert [(row.sent_at - BASE, row.requests, row.tokens) for row in uses.used(conn, BASE)] == [
        (75_000, 4, 40),
        (125_000, 2, 20),
    ]


def test_what_counts_and_what_does_not(conn: Connection) -> None:
    other = intent(identity(), received_at=BASE, sent_at=BASE + 1, method="models.countTokens")
    nameless = tried(BASE + 1, model="")
    refused, unreached, both = tried(BASE + 1), tried(BASE + 2), tried(BASE + 3)
    hedge = msgspec.structs.replace(both, attempt=2, project="second", hedge=True)
    none = {"usage": None, "verdict": Kind.BROKEN}
    ledger.settle(
        conn,
        [
            record(other),
            record(nameless),
            record(refused, attempt(refused, **{**none, "status": 429, "reason": "quota_minute"})),
            *(
                record(one, attempt(one, **{**none, "reason": word}))
                for word in UNREACHED
                for one in [msgspec.structs.replace(unreached, call_id=identity())]
            ),
            record(both, attempt(both), attempt(hedge, usage=Usage(input=4), estimated=True), answered=1),
        ],
    )
    assert sums(uses.used(conn, BASE)) == {
        ("default", MODEL): (2, PLAIN.input),
        ("second", MODEL): (1, 4),
    }
    assert sums(uses.used(conn, BASE, {"models.countTokens"})) == {("default", MODEL): (1, PLAIN.input)}


def test_unpriced_money_is_left_out_and_free_money_is_none(conn: Connection) -> None:
    paid, free, strange = (tried(BASE + place) for place in range(3))
    ledger.settle(
        conn,
        [
            record(paid),
            record(free, attempt(free, cost=priced(PLAIN, free=True))),
            record(strange, attempt(strange, cost=None)),
        ],
    )
    (row,) = uses.used(conn, BASE)
    assert (row.requests, row.nano) == (3, priced(PLAIN).billed)


def test_open_tries_count_with_their_estimate(conn: Connection) -> None:
    ledger.open_tries(conn, [tried(BASE + 7), tried(BASE + 8, model="")])
    assert uses.used(conn, BASE) == [Spent("default", MODEL, BASE + 7, 1, 321, 0)]
    assert uses.used(conn, BASE + 8) == []
    assert sums(uses.days(conn, BASE, BASE + HOUR)) == {("default", MODEL): (1, 321)}
    assert uses.days(conn, BASE, BASE + 7) == []


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, str, int]]:
    """Tries in the order of their rows: slots from the base (rows may be late), project, tokens."""
    moment = st.integers(0, 6 * SLOT) | st.integers(0, 6).map(lambda slot: slot * SLOT)
    return draw(st.lists(st.tuples(moment, st.sampled_from("ab"), st.integers(0, 99)), max_size=30))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.data())
def test_every_try_is_told_once_wherever_the_sums_stand(
    conn: Connection, history: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    for table in ("prefixes", "attempts", "calls", "use_slots", "marks"):
        conn.execute(f"DELETE FROM {table}")
    settled = [call(BASE + at, tokens, project=project) for at, project, tokens in history]
    place = 0
    while place < len(settled):
        size = data.draw(st.integers(1, 8))
        ledger.settle(conn, settled[place : place + size])
        place += size
        for _ in range(data.draw(st.integers(0, 3))):
            uses.advance(conn, BASE + 6 * SLOT, data.draw(st.integers(1, 5)))
    since, until = sorted(BASE + data.draw(st.integers(-1, 6 * SLOT)) for _ in range(2))

    def truth(low: int, high: int) -> dict[tuple[str, str], tuple[int, int]]:
        requests: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for at, project, count in history:
            if low <= BASE + at < high:
                requests[project] += 1
                tokens[project] += count
        return {(project, MODEL): (requests[project], tokens[project]) for project in requests}

    end = BASE + 7 * SLOT
    assert sums(uses.used(conn, since)) == truth(since, end)
    assert sums(uses.days(conn, since, until)) == truth(since, until)
    rows = uses.since_midnight(conn, since, until)
    recent = until // SLOT * SLOT
    assert sums(rows) == truth(min(since, recent), end)
    assert sums([row for row in rows if row.sent_at >= recent]) == truth(recent, end)


def test_sums_are_made_in_steps_and_old_ones_let_go(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE + place * SLOT) for place in range(5)])
    now = BASE + 5 * SLOT
    steps = []
    while uses.advance(conn, now, 2):
        steps.append(conn.execute("SELECT sum(requests) FROM use_slots").fetchone()[0])
    assert steps == [2, 4]
    assert conn.execute("SELECT count(*), sum(requests) FROM use_slots").fetchone() == (5, 5)
    assert not uses.advance(conn, now + 25 * HOUR)
    assert conn.execute("SELECT count(*) FROM use_slots").fetchone() == (5,)
    assert not uses.advance(conn, now + 27 * HOUR)
    assert conn.execute("SELECT count(*) FROM use_slots").fetchone() == (0,)


def test_a_long_record_is_summed_from_the_last_day_on(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE + day * 24 * HOUR) for day in range(6)])
    now = BASE + 5 * 24 * HOUR + 1_000
    assert not uses.advance(conn, now, 2)
    assert conn.execute("SELECT sum(requests), min(first_seq) FROM use_slots").fetchone() == (2, 5)


def test_sums_that_nobody_made_for_long_go_on_where_it_matters(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE), call(BASE + 1)])
    assert uses.advance(conn, BASE + 2, 1)
    ledger.settle(conn, [call(BASE + day * 24 * HOUR) for day in range(1, 9)])
    now = BASE + 8 * 24 * HOUR + 1_000
    before = [uses.used(conn, now - HOUR), uses.days(conn, now - 25 * HOUR, now)]
    assert [sums(rows) for rows in before] == [{("default", MODEL): (1, 1)}, {("default", MODEL): (2, 2)}]
    assert not uses.advance(conn, now, 2)
    assert conn.execute("SELECT sum(requests), min(first_seq) FROM use_slots").fetchone() == (2, 9)
    assert [uses.used(conn, now - HOUR), uses.days(conn, now - 25 * HOUR, now)] == [
        before[0],
        [msgspec.structs.replace(row, sent_at=row.sent_at // SLOT * SLOT) for row in before[1]],
    ]


def test_a_step_reads_tries_and_calls_by_their_keys(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE + place) for place in range(5)])
    uses.advance(conn, BASE + SLOT, 2)
    said: list[str] = []
    conn.set_trace_callback(said.append)
    uses.advance(conn, BASE + SLOT, 2)
    uses.used(conn, BASE)
    conn.set_trace_callback(None)
    over = [sql for sql in said if "CROSS JOIN" in sql]
    assert len(over) == 2
    for sql in over:
        steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert steps[0].startswith("SEARCH a USING INTEGER PRIMARY KEY (rowid>?"), steps
        assert steps[1].startswith("SEARCH c USING INTEGER PRIMARY KEY (rowid=?"), steps
