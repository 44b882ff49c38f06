"""The gateway's state on record: as it was given, row by row, with when; changes of breakers in order."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampled import START, identity, intent, record

from gemgate.core.call import Made
from gemgate.core.health import Change, State
from gemgate.core.quota import NEVER, Window
from gemgate.store import affinity, ledger, quotas, reports
from gemgate.store.connection import Connection

DAY = 86_400_000_000
MINUTE = Window("one", "gemini-3.1-pro", "rpm", 10, "tier", 4)
EMPTIED = Window("one", "gemini-3.1-pro", "rpd", 0, "learned", 7, NEVER, "quota_zero", NEVER, START)
MONEY = Window("", "account", "spend", 10_000_000_000, "config", 3, 0, "", 0, 0)
OPEN = State(START, "model", "gemini-3.1-pro", "open", "overloaded", "High demand.", START + 5, 2)
numbers = st.integers(0, 2**62)
words = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=30)


def keep(conn: Connection, *windows: Window, now: int = START, boot: bytes = b"\x07" * 16) -> None:
    """A snapshot of these windows and nothing else."""
    quotas.keep(conn, windows, [], b"{}", boot, now)


def test_nothing_was_ever_kept(conn: Connection) -> None:
    assert quotas.windows(conn) == ([], 0)
    assert quotas.breakers(conn) == ([], 0)
    assert quotas.changes(conn) == []
    assert quotas.state(conn) is None


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.builds(Window, words, words, st.sampled_from(["rpm", "spend"]), st.none() | numbers, words)),
    st.lists(
        st.builds(State, numbers, words, words, st.just("open"), words, words, numbers, st.integers(0, 9))
    ),
)
def test_what_is_kept_is_what_is_read(conn: Connection, windows: list[Window], states: list[State]) -> None:
    for table in ("quota_windows", "breakers"):
        conn.execute(f"DELETE FROM {table}")
    quotas.keep(conn, windows, states, b"{}", b"\x07" * 16, START)
    by_name = {(one.project, one.family, one.window): one for one in windows}
    assert {(one.project, one.family, one.window): one for one in quotas.windows(conn)[0]} == by_name
    assert {(one.scope, one.name): one for one in quotas.breakers(conn)[0]} == {
        (one.scope, one.name): one for one in states
    }


def test_every_field_of_a_window_is_kept(conn: Connection) -> None:
    keep(conn, MINUTE, EMPTIED, MONEY)
    assert quotas.windows(conn) == ([MONEY, EMPTIED, MINUTE], START)
    fuller = msgspec.structs.replace(MINUTE, used=5, room_at=START + 9)
    keep(conn, fuller, now=START + 1)
    assert quotas.windows(conn) == ([MONEY, EMPTIED, fuller], START + 1)


def test_a_snapshot_without_changes_says_that_all_is_as_it_was(conn: Connection) -> None:
    keep(conn, MINUTE)
    keep(conn, now=START + 7)
    assert quotas.windows(conn) == ([MINUTE], START + 7)


def test_the_newest_gateway_speaks_and_old_ones_are_let_go(conn: Connection) -> None:
    first, second = identity(), identity()
    quotas.keep(conn, [], [], b'{"waiting":1}', first, START)
    quotas.keep(conn, [], [], b'{"waiting":2}', second, START + 1)
    assert quotas.state(conn) == quotas.Told(second, START + 1, b'{"waiting":2}')
    quotas.keep(conn, [], [], b'{"waiting":3}', first, START + 2)
    assert quotas.state(conn) == quotas.Told(first, START + 2, b'{"waiting":3}')
    keep(conn, now=START + 2 * DAY)
    assert conn.execute("SELECT count(*) FROM gateway_states").fetchone() == (1,)


def test_windows_that_say_nothing_new_are_let_go_after_a_day(conn: Connection) -> None:
    closed = msgspec.structs.replace(MINUTE, family="other", closed_until=START + 3 * DAY)
    keep(conn, MINUTE, EMPTIED, MONEY, closed)
    keep(conn, now=START + DAY)
    assert len(quotas.windows(conn)[0]) == 4
    keep(conn, now=START + DAY + 1)
    assert quotas.windows(conn)[0] == [EMPTIED, closed]


def test_breakers_open_and_close_as_changes_tell(conn: Connection) -> None:
    opened = Change(START, "target", "m@one", "open", "empty_answer", "Nothing.", START + 500_000, 1)
    again = msgspec.structs.replace(opened, at=START + 2, until=START + 900_000, failures=2)
    closed = Change(START + 3, "target", "m@one", "closed")
    quotas.changed(conn, [opened])
    assert quotas.breakers(conn)[0] == [
        State(START, "target", "m@one", "open", "empty_answer", "Nothing.", START + 500_000, 1)
    ]
    quotas.changed(conn, [again, closed])
    assert quotas.breakers(conn)[0] == []
    quotas.changed(conn, [opened])
    quotas.keep(conn, [], [OPEN], b"{}", b"\x07" * 16, START + 4)
    assert [one.name for one in quotas.breakers(conn)[0]] == ["gemini-3.1-pro", "m@one"]
    assert quotas.changes(conn) == [closed, again, opened, opened]
    assert quotas.changes(conn, since=START + 2, limit=1) == [closed]
    assert quotas.changes(conn, since=START + 2) == [closed, again]


def test_texts_from_outside_fit(conn: Connection) -> None:
    wild = State(START, "target", "x" * 900, "open", "r" * 900, "m\x1b" * 900, START, 1)
    quotas.keep(
        conn, [msgspec.structs.replace(MINUTE, family="\ud800" * 900)], [wild], b"\xff{}", b"\x07" * 16, START
    )
    (kept,) = quotas.breakers(conn)[0]
    assert (len(kept.name), len(kept.reason), len(kept.message)) == (401, 200, 1_000)
    assert kept.message.isprintable()
    assert quotas.windows(conn)[0][0].family.isprintable()


def test_a_snapshot_sums_use_and_sweeps_what_expired(conn: Connection) -> None:
    one = intent(identity(), method="models.generateContent")
    ledger.settle(conn, [record(one, made=(Made("files/a", "one", expires_at=START + 5),))])
    keep(conn, now=START + 4)
    assert conn.execute("SELECT requests FROM use_slots").fetchall() == [(1,)]
    assert affinity.find(conn, ["files/a"])
    keep(conn, now=START + 5)
    assert affinity.find(conn, ["files/a"]) == {}
    assert [row.requests for row in quotas.used(conn, START)] == [1]
    assert [row.requests for row in quotas.days(conn, START - DAY, START + DAY)] == [1]


def test_a_snapshot_is_rolled_back_in_whole(conn: Connection) -> None:
    conn.keep()
    conn.execute("BEGIN IMMEDIATE")
    quotas.changed(conn, [Change(START, "model", "m", "open")])
    keep(conn, MINUTE)
    conn.forget()
    assert (quotas.windows(conn), quotas.breakers(conn)[0], quotas.changes(conn)) == (([], 0), [], [])
    conn.execute("BEGIN IMMEDIATE")
    keep(conn, MINUTE)  # the boot's integer was forgotten with the rest
    assert quotas.state(conn) is not None
    assert reports.latest(conn) == 0


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            "SELECT * FROM breaker_changes WHERE at >= 5 ORDER BY at DESC, seq DESC LIMIT 9",
            "ix_breaker_changes_at",
        ),
        (
            "SELECT * FROM breaker_changes WHERE scope = 'model' AND name = 'm' ORDER BY seq DESC LIMIT 9",
            "ix_breaker_changes_scope_name_seq",
        ),
    ],
)
def test_each_question_has_its_index(conn: Connection, sql: str, index: str) -> None:
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert index in steps[0], steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
