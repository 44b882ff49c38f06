"""Seeded records: true, marked, and gone without trace when they are removed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from sampled import START, ask, attempt, identity, intent, record

from gemgate.config.book import load_book
from gemgate.core.access import Keys
from gemgate.dialects.gemini.methods import GENERATING
from gemgate.insight import seeding
from gemgate.insight.cubes import CELLS, TOTAL, Grain
from gemgate.insight.seeding import Plan
from gemgate.store import connection, keys, prices, rollups, seeds, uses
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.ledger import settle
from gemgate.store.verify import verify

DAY = 86_400_000_000
NOW = START + 30 * DAY
BOOK = load_book()
TABLES = (
    *("calls", "attempts", "charges", "details", "prefixes", "call_tags", "seeds", "boots", "virtual_keys"),
    *("use_slots", "key_hours"),
)


def sow(conn: Connection, calls: int, seed: int = 1) -> None:
    """Seed so many calls into the days before NOW."""
    plan = Plan(calls, NOW - 20 * DAY, NOW, seed)
    pool = seeding.pool(plan, None, BOOK, plan.since)
    sower = seeds.begin(conn, plan, BOOK, seeding.keys(pool), NOW)
    sower.learn(conn, pool)
    arrivals = seeding.arrivals(plan, None, pool)
    while batch := list(itertools.islice(arrivals, 333)):
        sower.write(conn, batch)


def counts(conn: Connection) -> dict[str, int]:
    return {table: conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


def ours(conn: Connection, at: int) -> None:
    """A call of the gateway's."""
    one = intent(b"g" * 16, received_at=at, sent_at=at + 5)
    settle(conn, [record(one)])


def test_a_seeded_record_is_true(data: Path, conn: Connection) -> None:
    in_force = prices.at(conn, NOW)
    ours(conn, START)
    sow(conn, 1_500)
    ours(conn, NOW)
    conn.keep()
    reader = connection.reader(data / FILE)
    assert verify(reader, data, NOW) == []
    assert prices.at(reader, NOW) == in_force
    reader.close()
    ((calls, low, high, boot),) = ask(data, "SELECT calls, low, high, boot_id FROM seeds")
    assert (calls, low, high) == (1_500, 2, 1_501)
    assert ask(data, "SELECT count(*), min(seq), max(seq) FROM calls WHERE boot_id = ?", boot) == [
        (1_500, 2, 1_501)
    ]
    ((node, ended),) = ask(data, "SELECT node, ended FROM boots WHERE id = ?", boot)
    assert (node, ended) == ("seed", NOW)
    assert ask(data, "SELECT count(DISTINCT call_id), min(received_at) >= ? FROM calls", START) == [
        (1_502, 1)
    ]


def test_nobody_can_hold_a_seeded_key(conn: Connection) -> None:
    sow(conn, 50)
    made, tokens = keys.every(conn)
    assert made
    assert all(one.name.startswith("seed-") and one.disabled_at for one in made)
    assert not Keys(made, tokens).any


@pytest.mark.parametrize("most", [1_000_000, 77])
def test_what_is_removed_is_gone_and_nothing_else(conn: Connection, data: Path, most: int) -> None:
    ours(conn, START)
    before = counts(conn)
    sow(conn, 400)
    ours(conn, NOW - DAY)
    sow(conn, 300, seed=2)
    ours(conn, NOW)
    while uses.advance(conn, NOW) or uses.advance_keys(conn, NOW):
        pass
    first, second = seeds.every(conn)
    assert (first.calls, second.calls) == (400, 300)
    while seeds.remove(conn, first, most):
        pass
    assert [one.boot for one in seeds.every(conn)] == [second.boot]
    assert counts(conn)["virtual_keys"] > 0
    while seeds.remove(conn, second, most):
        pass
    # Nothing is left but the gateway's three calls, and the sums of their tries.
    after = counts(conn)
    assert after == before | {
        "calls": 3,
        "attempts": 3,
        "prefixes": 3 * before["prefixes"],
        "use_slots": after["use_slots"],
    }
    assert conn.execute("SELECT ifnull(sum(requests), 0) FROM use_slots").fetchone()[0] <= 3
    conn.keep()
    reader = connection.reader(data / FILE)
    assert verify(reader, data, NOW) == []
    reader.close()


def test_marks_go_back_with_the_last_calls(conn: Connection) -> None:
    ours(conn, START)
    sow(conn, 100)
    for name in ("use_slots", "key_hours"):
        conn.execute("INSERT OR REPLACE INTO marks(name, seq) VALUES(?, 101)", (name,))
    (one,) = seeds.every(conn)
    assert seeds.remove(conn, one, 50) == 50
    assert seeds.remove(conn, one, 50) == 0
    marks = dict(conn.execute("SELECT name, seq FROM marks"))
    assert [marks[name] for name in ("use_slots", "key_hours")] == [1, 1]


def test_sums_are_void_from_the_first_slice_on_and_true_again_at_the_end(
    conn: Connection, data: Path
) -> None:
    ours(conn, START)
    sow(conn, 60)
    (one,) = seeds.every(conn)
    conn.keep()
    folder, some = rollups.Folder(conn, lambda _: None, quick=True), ("thin", "cells")
    while folder.round(some, NOW):
        pass
    assert [rollups.mark(conn, name) for name in some] == [61, 61]
    for left in (30, 0):
        connection.sliced(conn, lambda inside, left=left: seeds.remove(inside, one, 30) != left)
        assert set(rollups.marks(conn).values()) == {rollups.EMPTYING}
        # What folds between two slices is void again.
        folder.round(some, NOW)
    while folder.round(some, NOW):
        pass
    assert [rollups.mark(conn, name) for name in some] == [1, 1]
    calls = "SELECT sum(calls) FROM rollups WHERE cube = ? AND grain = ?"
    assert conn.execute(calls, (TOTAL, Grain.DAY)).fetchone() == (1,)
    assert conn.execute(calls, (CELLS, Grain.HOUR)).fetchone() == (1,)


def test_a_key_that_somebody_was_given_stays(conn: Connection) -> None:
    sow(conn, 50)
    number = conn.execute("SELECT id FROM virtual_keys WHERE name = 'seed-atlas'").fetchone()[0]
    conn.execute("INSERT INTO key_tokens VALUES(?, ?, 1, 0, 'x')", (identity() * 2, number))
    seeds.remove(conn, seeds.every(conn)[0], 1_000)
    assert conn.execute("SELECT name FROM virtual_keys").fetchall() == [("seed-atlas",)]


def test_removing_twice_does_nothing(conn: Connection) -> None:
    sow(conn, 20)
    (one,) = seeds.every(conn)
    assert seeds.remove(conn, one, 1_000) == 0
    assert seeds.remove(conn, one, 1_000) == 0


def answered(conn: Connection, at: int) -> None:
    """A call of the gateway's, with its try."""
    one = intent(b"g" * 16, received_at=at, sent_at=at + 5, method=sorted(GENERATING)[0])
    settle(conn, [record(one, attempt(one))])


def test_a_gateway_that_starts_reads_no_seeded_call(conn: Connection) -> None:
    sow(conn, 700)
    tops = {
        "key_hours": conn.execute("SELECT max(seq) FROM calls").fetchone()[0],
        "use_slots": conn.execute("SELECT max(seq) FROM attempts").fetchone()[0],
    }
    assert {name: uses._mark(conn, name) for name in tops} == tops
    assert uses.rates(conn, NOW - 20 * DAY) == []
    answered(conn, NOW)
    assert [(one.sent_at, one.requests) for one in uses.used(conn, NOW)] == [(NOW + 5, 1)]


def test_calls_that_were_not_summed_before_a_seeding_still_are(conn: Connection) -> None:
    answered(conn, NOW - 3_600_000_000)
    sow(conn, 300)
    assert uses._mark(conn, "use_slots") == 0
    while uses.advance(conn, NOW):
        pass
    slot = (NOW - 3_600_000_000) // uses.SLOT * uses.SLOT
    assert any(row[0] == slot for row in conn.execute("SELECT slot FROM use_slots"))
