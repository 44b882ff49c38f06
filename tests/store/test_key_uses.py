"""What keys used, as the record tells it to a gateway that starts: every call once, settled or under way."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampled import START, attempt, identity, intent, record

from gemgate.core.call import Attempt, Intent, Record
from gemgate.core.usage import Usage
from gemgate.store import ledger, quotas, uses
from gemgate.store.connection import Connection

METHOD = "models.generateContent"
HOUR = 3_600_000_000
DAY = 24 * HOUR
BASE = START // HOUR * HOUR
USED = Usage(input=5, cached=2, output=3, thoughts=2, tool=1)


def tried(at: int, **changes: Any) -> Intent:
    """A key's metered try, sent at a moment, of a call that came a second before."""
    return intent(
        identity(), **({"received_at": at - 1_000_000, "sent_at": at, "method": METHOD, "key": 1} | changes)
    )


def call(at: int, **changes: Any) -> Record:
    """A settled call of one such try, let in when it was sent."""
    one = tried(at, key=changes.pop("key", 1), method=changes.pop("method", METHOD))
    given = {"waited": 1_000_000, "key": one.key} | changes
    return record(one, *given.pop("attempts", [attempt(one, usage=USED)]), **given)


def tries(of: Intent, count: int) -> list[Attempt]:
    return [attempt(of, number=number, usage=USED) for number in range(1, count + 1)]


def test_a_call_counts_once_with_all_its_tokens(conn: Connection) -> None:
    one = tried(BASE)
    ledger.settle(conn, [record(one, *tries(one, 3), key=1, waited=1_000_000)])
    assert uses.of_keys(conn, BASE) == [(1, BASE, 1, 33)]
    assert uses.of_keys(conn, BASE + 1) == []


def test_what_was_let_in_before_or_never_does_not_count(conn: Connection) -> None:
    refused = call(BASE + 5)
    refused.attempts = []
    ledger.settle(
        conn,
        [
            call(BASE - 1),
            refused,
            call(BASE + 5, key=0),
            call(BASE + 5, method="models.list"),
            call(BASE + 6, key=2),
        ],
    )
    assert uses.of_keys(conn, BASE) == [(2, BASE + 6, 1, 11)]
    assert (1, BASE + 5, 1, 11) in uses.of_keys(conn, BASE, methods={METHOD, "models.list"})


def test_calls_under_way_count_with_their_estimates(conn: Connection) -> None:
    first = tried(BASE + 10, input_estimate=30, output_estimate=400)
    again = Intent(**{name: getattr(first, name) for name in Intent.__struct_fields__})
    again.attempt, again.sent_at, again.input_estimate = 2, BASE + 90, 20
    free = tried(BASE + 10, method="models.list")
    ledger.open_tries(conn, [first, again, tried(BASE - 5), tried(BASE + 10, key=0), free])
    assert uses.of_keys(conn, BASE) == [(1, BASE + 10, 1, 430)]


def test_calls_of_one_moment_stand_together_at_the_last_ones_time(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE + place * uses.FINE // 4) for place in range(6)])
    assert sorted(uses.of_keys(conn, BASE)) == [
        (1, BASE + 3 * uses.FINE // 4, 4, 44),
        (1, BASE + 5 * uses.FINE // 4, 2, 22),
    ]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5 * HOUR)), max_size=20),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=4),
    st.integers(0, 5),
)
def test_hours_are_exact_wherever_the_sums_stand(
    conn: Connection, made: list[tuple[int, int]], steps: list[tuple[int, int]], hours: int
) -> None:
    """``steps``: after so many calls the sums move on by so many."""
    conn.execute("SAVEPOINT example")
    calls = [call(BASE + at + 1_000_000, key=key) for key, at in made]
    after = dict(steps)
    for place, one in enumerate(calls):
        ledger.settle(conn, [one])
        if place in after:
            uses.advance_keys(conn, BASE + 5 * HOUR, after[place])
    expected: Counter[tuple[int, int]] = Counter()
    for (number, at), one in zip(made, calls, strict=True):
        if number and at // HOUR >= hours:
            cost = one.attempts[0].cost
            assert cost is not None
            assert cost.billed
            expected[number, BASE + at // HOUR * HOUR] += cost.billed
    since = BASE + hours * HOUR + 7
    assert uses.rates(conn, since) == [(*place, nano) for place, nano in sorted(expected.items())]
    while uses.advance_keys(conn, BASE + 5 * HOUR, 3):
        pass
    assert uses.rates(conn, since) == [(*place, nano) for place, nano in sorted(expected.items())]
    conn.execute("ROLLBACK TO example")
    conn.names.forget()


def test_the_state_that_is_kept_moves_the_sums_on_and_old_hours_go(conn: Connection) -> None:
    ledger.settle(conn, [call(BASE - 41 * DAY), call(BASE), call(BASE + HOUR, key=2)])
    quotas.keep(conn, [], [], b"{}", identity(), BASE + HOUR)
    assert conn.execute("SELECT key_id, hour, calls FROM key_hours").fetchall() == [
        (1, BASE - HOUR, 1),
        (2, BASE, 1),
    ]
    assert conn.execute("SELECT seq FROM marks WHERE name = 'key_hours'").fetchone() == (3,)


def test_the_answers_come_from_the_times_index(conn: Connection) -> None:
    sql = uses._OF_KEYS.format(methods="1")
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}", {"early": 1, "since": 2})]
    assert any("SEARCH c USING INDEX ix_calls_received_at" in step for step in steps), steps
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {uses._HOURLY}", {"low": 1, "high": 2})]
    assert "SEARCH calls USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in steps[0], steps
