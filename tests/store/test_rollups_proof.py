"""``verify`` is silent about true sums, wherever they stand, and finds each change in any of their tables."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sampled import identity
from summed import BASE, DAY, calls, correcting

from gemgate.insight.cubes import MINUTES_KEPT, SETS
from gemgate.insight.sketch import Sketches
from gemgate.store import connection, ledger, rollup_proof, rollups
from gemgate.store.connection import Connection
from gemgate.store.database import FILE

NOW = BASE + 2 * DAY


@pytest.fixture(scope="module")
def summed(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with calls of some hours, and a few of two days, summed."""
    path = tmp_path_factory.mktemp("summed") / FILE
    path.write_bytes(blank.read_bytes())
    conn = connection.visitor(path)
    conn.execute("BEGIN IMMEDIATE")
    chance, boot = random.Random(11), identity()
    ledger.settle(conn, calls(chance, 50, boot, DAY // 8) + calls(chance, 3, boot, 2 * DAY))
    conn.keep()
    fill(conn)
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    conn.close()
    return path


def fill(conn: Connection) -> None:
    """Fold all there is."""
    folder = rollups.Folder(conn, quick=True)
    while folder.round(tuple(SETS), NOW):
        pass


@pytest.fixture
def file(summed: Path, tmp_path: Path) -> Iterator[Connection]:
    """A copy to change."""
    (tmp_path / FILE).write_bytes(summed.read_bytes())
    conn = connection.visitor(tmp_path / FILE)
    yield conn
    conn.close()


def found(conn: Connection, now: int = NOW) -> list[tuple[str, str]]:
    """What is told."""
    return [one[:2] for one in rollup_proof.prove(conn, now)]


def test_true_sums_hold_wherever_each_set_stands(file: Connection) -> None:
    assert found(file) == []
    assert found(file, NOW + DAY) == []  # minutes are no longer kept then
    rollups.reset(file)
    assert found(file) == []
    folder = rollups.Folder(file, quick=True)
    for place, name in enumerate(SETS):
        folder.advance(name, NOW)
        for _ in range(place % 3):
            folder.advance(name, NOW, 20 * place)
    assert found(file) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE rollups SET calls = calls + 1 WHERE cube = 0 AND grain = 86400", "total day"),
        ("UPDATE rollups SET billed_nano = billed_nano + 1 WHERE cube = 10", "cell hour"),
        ("UPDATE rollups SET waited = 1 WHERE cube = 112", "model by route day"),
        ("UPDATE rollups SET tries = tries + 1 WHERE cube = 3 AND grain = 60", "key minute"),
        ("UPDATE rollups SET tries = tries + 1 WHERE cube = 9 AND grain = 900", "tag quarter"),
        ("DELETE FROM rollups WHERE cube = 1 AND grain = 3600", "model hour"),
        ("DELETE FROM sketches WHERE cube = 6 AND grain = 86400", "status day"),
        ("UPDATE sketches SET body = x'07' WHERE cube = 10", "cell hour"),
        ("UPDATE rollup_charges SET quantity = quantity + 1 WHERE cube = 145", "project by method day"),
        ("UPDATE rollup_charges SET unpriced = unpriced + 1 WHERE cube = 10", "cell hour"),
        ("UPDATE failures SET tries = tries + 1 WHERE grain = 3600", "failures hour"),
        ("DELETE FROM failures WHERE grain = 86400", "failures day"),
        ("UPDATE busy_minutes SET busy = busy + 1", "busy minute"),
        ("DELETE FROM busy_minutes", "busy minute"),
        ("UPDATE rollups SET slot = slot + 864000000000 WHERE cube = 2 AND grain = 86400", "route day"),
        ("UPDATE marks SET seq = seq - 1 WHERE name = 'rollup.pairs.3'", "day"),
    ],
)
def test_each_change_is_found(file: Connection, change: str, says: str) -> None:
    assert file.execute(change).rowcount
    told = found(file)
    assert told
    assert all(says in where for where, _ in told), told[:3]


def test_a_day_of_many_groups_is_read_piece_by_piece(file: Connection) -> None:
    said: list[str] = []
    file.set_trace_callback(said.append)
    assert list(rollup_proof.prove(file, NOW, 7)) == []
    file.set_trace_callback(None)
    for sql in {one for one in said if " > (" in one}:
        (step,) = (step[3] for step in file.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert step.startswith("SEARCH"), sql
        assert "slot" in step, sql
        assert len(file.execute(sql).fetchall()) <= 7 * 6, sql
    assert file.execute(
        "UPDATE rollups SET waited = -1 WHERE cube = 10 AND slot = (SELECT max(slot) FROM rollups WHERE cube = 10)"
    ).rowcount
    assert file.execute("UPDATE rollups SET a = a + 1000 WHERE cube = 1 AND grain = 900 AND a = 1").rowcount
    told = [one[:2] for one in rollup_proof.prove(file, NOW, 7)]
    assert {where.rpartition(" ")[0].rsplit(" ", 2)[0] for where, _ in told} == {"cell hour", "model quarter"}
    assert {"it is a sum of no calls", "there is no sum of calls that are there"} < {what for _, what in told}


def test_a_sketch_of_other_numbers_is_found(file: Connection) -> None:
    key, body = file.execute(
        "SELECT id, body FROM sketches WHERE cube = 0 AND grain = 86400 ORDER BY slot LIMIT 1"
    ).fetchone()
    lanes = Sketches.decode(body)
    lanes.lanes[0] <<= 32
    file.execute("UPDATE sketches SET body = ? WHERE id = ?", (lanes.encode(), key))
    ((where, what),) = found(file)
    assert where.startswith("total day")
    assert "duration" in what


def test_what_is_folded_meanwhile_is_no_fault(file: Connection, tmp_path: Path) -> None:
    other = connection.visitor(tmp_path / FILE)
    chance, boot = random.Random(12), identity()
    looks = 0

    def record(sql: str) -> None:
        """Every few looks somebody records calls, sums them and corrects money."""
        nonlocal looks
        looks += sql == "BEGIN"
        if sql == "BEGIN" and looks % 40 == 1 and looks < 400:
            other.execute("BEGIN IMMEDIATE")
            ledger.settle(other, calls(chance, 2, boot, 2 * DAY))
            with correcting(other, [1, 2, 3]):
                other.execute("UPDATE attempts SET billed_nano = billed_nano + 1 WHERE call_seq IN (1, 2, 3)")
            other.keep()
            fill(other)

    file.set_trace_callback(record)
    assert found(file) == []
    file.set_trace_callback(None)
    assert looks > 100
    assert MINUTES_KEPT == 2 * DAY
    other.close()
