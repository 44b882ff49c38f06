"""What people ask of the record, answered from indexes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from keyed import key
from sampled import MODEL, START, attempt, identity, intent, record

from gemgate.core.call import Outcome, Record, spell
from gemgate.store import connection, ledger, reports
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.reports import Filter


@pytest.fixture
def told(conn: Connection) -> list[Record]:
    """Thirty calls: every third of another model and project, every fourth of a key, every fifth failed."""
    key(conn)
    records = []
    for place in range(30):
        one = intent(identity(), received_at=START + place * 1_000_000)
        if place % 3 == 0:
            one = msgspec.structs.replace(one, model="gemini-other", project="second")
        made = record(one, attempt(one))
        if place % 4 == 0:
            made = msgspec.structs.replace(made, key=1, user="ann", tags=("team:b", "x")[: 1 + place % 8])
        if place % 5 == 0:
            made = msgspec.structs.replace(made, outcome=Outcome.FAILED, status=503)
        records.append(made)
    ledger.settle(conn, records)
    return records


def ids(rows: list[reports.CallRow]) -> list[str]:
    return [row.call_id for row in rows]


def test_newest_first_in_pages(conn: Connection, told: list[Record]) -> None:
    wanted = [spell(one.call_id) for one in reversed(told)]
    first = reports.newest(conn, Filter(), limit=12)
    second = reports.newest(conn, Filter(), limit=12, before=first[-1].seq)
    assert ids(first + second) == wanted[:24]


def test_filters_hold_each_and_together(conn: Connection, told: list[Record]) -> None:
    def wanted(keep: list[Record]) -> list[str]:
        return [spell(one.call_id) for one in reversed(keep)]

    assert ids(reports.newest(conn, Filter(model="gemini-other"))) == wanted(told[::3])
    assert ids(reports.newest(conn, Filter(project="second"))) == wanted(told[::3])
    assert ids(reports.newest(conn, Filter(outcome="failed"))) == wanted(told[::5])
    assert ids(reports.newest(conn, Filter(key="alpha"))) == wanted(told[::4])
    assert ids(reports.newest(conn, Filter(user="ann"))) == wanted(told[::4])
    assert ids(reports.newest(conn, Filter(tag="team:b"))) == wanted(told[::4])
    assert ids(reports.newest(conn, Filter(tag="x"))) == wanted(told[4::8])
    assert ids(reports.newest(conn, Filter(tag="x", key="alpha", project="second"))) == wanted(told[12::24])
    assert ids(reports.newest(conn, Filter(tag="nobody's"))) == []
    assert ids(reports.newest(conn, Filter(key="nobody"))) == []
    assert ids(reports.newest(conn, Filter(status=503))) == wanted(told[::5])
    assert ids(reports.newest(conn, Filter(status=200))) == wanted([one for one in told if one.status == 200])
    assert ids(reports.newest(conn, Filter(since=START + 27_000_000))) == wanted(told[27:])
    assert ids(reports.newest(conn, Filter(model=MODEL, status=503))) == wanted(
        [one for place, one in enumerate(told) if place % 3 and place % 5 == 0]
    )
    assert reports.newest(conn, Filter(model="never seen")) == []


def test_following_sees_each_call_once(conn: Connection, told: list[Record]) -> None:
    seen: list[str] = []
    seq = 0
    while rows := reports.after(conn, Filter(), seq, limit=7):
        seen += ids(rows)
        seq = rows[-1].seq
    assert seen == [spell(one.call_id) for one in told]
    assert reports.latest(conn) == seq


def test_a_tags_calls_come_in_pages_and_can_be_followed(conn: Connection, told: list[Record]) -> None:
    which = Filter(tag="team:b")
    wanted = [spell(one.call_id) for one in told[::4]]
    first = reports.newest(conn, which, limit=3)
    assert ids(first + reports.newest(conn, which, before=first[-1].seq)) == wanted[::-1]
    start = reports.after(conn, which, 0, limit=3)
    assert ids(start + reports.after(conn, which, start[-1].seq)) == wanted
    assert [row.tags for row in start] == [("team:b",), ("team:b", "x"), ("team:b",)]
    assert {(row.key, row.user) for row in start} == {("alpha", "ann")}


def test_a_call_is_found_by_its_id_or_the_beginning(conn: Connection, told: list[Record]) -> None:
    text = spell(told[4].call_id)
    assert ids(reports.find(conn, text)) == [text]
    assert ids(reports.find(conn, text.upper())) == [text]
    assert text in ids(reports.find(conn, text[:9], limit=100))
    assert reports.find(conn, "00000000") == []
    for wrong in ("", "xyz", "0" * 33):
        with pytest.raises(ValueError, match="hexadecimal"):
            reports.find(conn, wrong)


@pytest.mark.parametrize(
    ("which", "index"),
    [
        (Filter(), "SCAN t"),
        (Filter(model=MODEL), "ix_calls_model_id_seq"),
        (Filter(project="default"), "ix_calls_project_id_seq"),
        (Filter(outcome="failed"), "ix_calls_outcome_id_seq"),
        (Filter(status=503), "ix_calls_status_seq"),
        (Filter(key="alpha"), "ix_calls_key_id_seq"),
        (Filter(user="ann"), "ix_calls_user_id_seq"),
        (Filter(tag="x", since=5), "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"),
    ],
)
def test_the_plan_uses_an_index_and_sorts_nothing(
    conn: Connection, told: list[Record], which: Filter, index: str
) -> None:
    plans: list[str] = []
    conn.set_trace_callback(plans.append)
    reports.newest(conn, which, limit=5)
    conn.set_trace_callback(None)
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {plans[0]}")]
    outer = next(step for step in steps if " t" in step)
    assert index in outer, steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_lookups_by_id_and_time_use_their_index(conn: Connection) -> None:
    for condition, index in (
        ("call_id BETWEEN x'00' AND x'01'", "sqlite_autoindex_calls_1"),
        ("received_at >= 5", "ix_calls_received_at"),
    ):
        steps = conn.execute(f"EXPLAIN QUERY PLAN SELECT * FROM calls WHERE {condition}").fetchall()
        assert index in steps[0][3]
    steps = conn.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM attempts WHERE call_seq = 1 ORDER BY number"
    ).fetchall()
    assert "sqlite_autoindex_attempts_1" in steps[0][3]


def test_a_reader_cannot_write(data: Path) -> None:
    conn = connection.reader(data / FILE)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("DELETE FROM calls")
    conn.close()


def test_a_read_that_lasts_too_long_is_ended(data: Path) -> None:
    conn = connection.reader(data / FILE)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with connection.reading(conn, limit=0.05), pytest.raises(sqlite3.OperationalError, match="interrupted"):
        conn.execute(endless).fetchone()
    assert not conn.in_transaction
    assert conn.execute("SELECT count(*) FROM calls").fetchone() == (0,)
    conn.close()


def test_visitors_write_in_slices_and_rest_between(data: Path) -> None:
    conn = connection.visitor(data / FILE)
    left = list(range(40_000))
    rests: list[float] = []

    def step(conn: Connection) -> bool:
        for _ in range(10):
            conn.execute("INSERT INTO methods(name) VALUES(?)", (f"m{left.pop()}",))
        return bool(left)

    slices = connection.sliced(conn, step, rests.append)
    assert slices > 1
    assert len(rests) == slices - 1
    assert min(rests) >= connection.SLICE
    assert conn.execute("SELECT count(*) FROM methods").fetchone() == (40_000,)
    conn.close()
