"""Sums hold each call once: whatever the batches, their order, deaths between them, and corrections of money."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sampled import START, attempt, identity, intent, priced, record
from summed import BASE, DAY, calls, check, correcting, table

from gemgate.core.usage import Usage
from gemgate.insight.cubes import MINUTES_KEPT, SETS
from gemgate.store import connection, folding, ledger, rollups
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.rollups import EMPTYING, Folder

# An example is a record made of a seed: there is nothing in it to shrink.
HOW: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],
}
NOW = BASE + 3 * DAY
MINUTES = NOW - MINUTES_KEPT


def settle(conn: Connection, records: list[Any]) -> None:
    """Write rows as the gateway does."""
    conn.execute("BEGIN IMMEDIATE")
    ledger.settle(conn, records)
    conn.keep()


def to_the_end(conn: Connection, now: int = NOW, folder: Folder | None = None) -> None:
    """Fold all there is into all sets."""
    folder = folder or Folder(conn, quick=True)
    while folder.round(tuple(SETS), now):
        pass


@contextlib.contextmanager
def fresh(blank: Path, folder: Path) -> Iterator[Connection]:
    """A file of its own for each example."""
    path = Path(tempfile.mkdtemp(dir=folder)) / FILE
    shutil.copy(blank, path)
    with contextlib.closing(connection.visitor(path)) as conn:
        yield conn


@pytest.fixture
def opened(data: Path) -> Iterator[Callable[[], Connection]]:
    """Makes connections to the folder's file."""
    made: list[Connection] = []

    def open_() -> Connection:
        made.append(connection.visitor(data / FILE))
        return made[-1]

    yield open_
    for conn in made:
        conn.close()


@pytest.fixture
def file(opened: Callable[[], Connection]) -> Connection:
    """One of them, outside of any transaction."""
    return opened()


@settings(**HOW, max_examples=8)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_any_batches_in_any_order_make_the_same_sums(
    blank: Path, tmp_path: Path, seed: int, data: st.DataObject
) -> None:
    with fresh(blank, tmp_path) as conn:
        chance = random.Random(seed)
        boot = identity()
        for _ in range(data.draw(st.integers(1, 3))):
            settle(conn, calls(chance, data.draw(st.integers(0, 25)), boot))
            # A new folder each time: what one remembers must not matter.
            folder = Folder(conn, quick=True)
            for name in data.draw(st.lists(st.sampled_from(sorted(SETS)), max_size=6)):
                folder._size[name] = data.draw(st.integers(1, 9))
                folder.advance(name, NOW, data.draw(st.none() | st.integers(0, 60)))
        check(conn, rollups.marks(conn), MINUTES)
        to_the_end(conn)
        assert set(rollups.marks(conn).values()) == {folding_top(conn)}
        check(conn, rollups.marks(conn), MINUTES)


def folding_top(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0])


def test_a_newborn_store_has_nothing_to_fold(file: Connection) -> None:
    assert rollups.marks(file) == dict.fromkeys(SETS, 0)
    assert not any(rollups.advance(file, name, NOW) for name in SETS)
    check(file, rollups.marks(file))


def test_what_comes_late_goes_into_its_old_slot(file: Connection) -> None:
    early, late = calls(random.Random(1), 20, identity()), calls(random.Random(2), 20, identity())
    settle(file, early)
    to_the_end(file)
    settle(file, late)
    to_the_end(file)
    check(file, rollups.marks(file), MINUTES)


def test_two_that_fold_one_file_count_each_call_once(opened: Callable[[], Connection]) -> None:
    one, other = opened(), opened()
    settle(one, calls(random.Random(3), 60, identity()))
    slow = Folder(one, quick=True)
    # What the slow one worked out is void when it comes to write: the other was quicker.
    slow._fetch(0, 60)
    folded = slow._read.batch(0, 60).fold("thin", 0)
    to_the_end(other)
    slow._write("thin", 0, 60, folded)
    to_the_end(one, folder=slow)
    check(one, rollups.marks(one), MINUTES)


def test_the_mark_is_looked_at_again_inside_the_transaction(opened: Callable[[], Connection]) -> None:
    one, other = opened(), opened()
    settle(one, calls(random.Random(4), 30, identity()))

    said: list[str] = []

    def overtake(sql: str) -> None:
        """The other folds all between this one's last look and its transaction."""
        said.append(sql)
        if said.count("BEGIN IMMEDIATE") == 1 and sql == "BEGIN IMMEDIATE":
            to_the_end(other)

    folder = Folder(one, quick=True)
    folder._trimmed = NOW  # so that its first transaction is the batch's
    one.set_trace_callback(overtake)
    folder.advance("thin", NOW)
    one.set_trace_callback(None)
    assert rollups.mark(one, "thin") == 30
    check(one, rollups.marks(one), MINUTES)


def test_a_death_inside_a_write_leaves_the_sums_as_they_were(file: Connection) -> None:
    settle(file, calls(random.Random(5), 40, identity()))
    folder = Folder(file, quick=True)
    file.execute(
        "CREATE TRIGGER killed BEFORE INSERT ON busy_minutes BEGIN SELECT raise(ABORT, 'killed'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="killed"):
        folder.advance("thin", NOW)
    file.execute(
        "CREATE TRIGGER killed_too BEFORE UPDATE OF seq ON marks BEGIN SELECT raise(ABORT, 'killed'); END"
    )
    assert rollups.mark(file, "thin") == 0
    assert table(file, "rollups", 0) == {}
    file.execute("DROP TRIGGER killed")
    file.execute("DROP TRIGGER killed_too")
    to_the_end(file, folder=folder)
    check(file, rollups.marks(file), MINUTES)


def test_minutes_go_after_two_days_and_nothing_else(file: Connection) -> None:
    settle(file, calls(random.Random(6), 80, identity()))
    to_the_end(file)
    settle(file, calls(random.Random(7), 20, identity()))
    later = NOW + DAY + 12 * 3_600_000_000
    to_the_end(file, later)
    check(file, rollups.marks(file), later - MINUTES_KEPT)
    left = "SELECT count(*) FROM {} WHERE grain = 60 AND slot < ?"
    for name in ("rollups", "sketches", "rollup_charges"):
        assert file.execute(left.format(name), (later - MINUTES_KEPT,)).fetchone() == (0,)


def test_anew_comes_out_as_before_and_a_death_in_the_middle_is_made_good(file: Connection) -> None:
    settle(file, calls(random.Random(8), 70, identity()))
    to_the_end(file)
    file.execute("UPDATE rollups SET calls = calls + 5")
    file.execute("DELETE FROM failures")
    rollups.reset(file)
    assert set(rollups.marks(file).values()) == {EMPTYING}
    file.execute("DELETE FROM sketches WHERE cube % 2 = 0")  # as far as somebody came who then died
    to_the_end(file)
    check(file, rollups.marks(file), MINUTES)


def test_whoever_still_empties_takes_nothing_of_what_is_filled_again(
    opened: Callable[[], Connection],
) -> None:
    one, other = opened(), opened()
    settle(one, calls(random.Random(9), 30, identity()))
    to_the_end(one)
    rollups.reset(one, ["thin"])
    folder = Folder(one, quick=True)
    to_the_end(other)
    folder._empty("thin")
    check(one, rollups.marks(one), MINUTES)


@settings(**HOW, max_examples=6)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_corrected_money_is_corrected_in_the_sums(
    blank: Path, tmp_path: Path, seed: int, data: st.DataObject
) -> None:
    with fresh(blank, tmp_path) as conn:
        settle(conn, calls(random.Random(seed), 30, identity()))
        folder = Folder(conn, quick=True)
        for name in SETS:
            folder._size[name] = data.draw(st.integers(1, 40))
            folder.advance(name, NOW)
        seqs = data.draw(st.lists(st.integers(1, 30), unique=True, max_size=12))
        conn.execute("BEGIN IMMEDIATE")
        with correcting(conn, seqs):
            marks_ = ",".join(map(str, seqs)) or "0"
            which = f"call_seq IN ({marks_})"
            conn.execute(
                f"UPDATE attempts SET list_nano = 77, billed_nano = 70, input_nano = 77 WHERE {which}"
            )
            conn.execute(
                f"UPDATE attempts SET billed_nano = NULL, list_nano = NULL WHERE {which} AND seq % 3 = 0"
            )
            of = f"attempt_seq IN (SELECT seq FROM attempts WHERE {which})"
            conn.execute(f"DELETE FROM charges WHERE {of} AND attempt_seq % 2 = 0")
            conn.execute(f"UPDATE charges SET nano = ifnull(nano, 4) + 1, quantity = quantity + 2 WHERE {of}")
            conn.execute(
                "INSERT OR IGNORE INTO charges(attempt_seq, position, kind_id, quantity, nano)"
                f" SELECT seq, 9, (SELECT min(id) FROM charge_kinds), 3, NULL FROM attempts WHERE {which}"
                " AND (SELECT count(*) FROM charge_kinds) > 0"
            )
            # What the cached tokens saved follows from the price row, so those keep their money.
            conn.execute(f"UPDATE attempts SET price_id = NULL WHERE {which}")
        conn.keep()
        check(conn, rollups.marks(conn), MINUTES)
        to_the_end(conn)
        check(conn, rollups.marks(conn), MINUTES)


def test_numbers_beyond_all_sense_do_not_stop_the_folding(file: Connection) -> None:
    huge = intent(identity(), received_at=START)
    usage = Usage(input=2**63 - 1, output=2**62)
    settle(file, [record(huge, attempt(huge, usage=usage, cost=priced(usage)), duration=2**62)])
    to_the_end(file, START)
    (total,) = (row for key, row in table(file, "rollups", 0).items() if key[:2] == (0, 86_400))
    assert (total["calls"], total["input"], total["busy"]) == (1, 2**46, 2**46)
    assert file.execute("SELECT count(*) FROM busy_minutes").fetchone()[0] == 31 * 1_440 + 1


def test_rows_are_read_by_their_indexes(file: Connection) -> None:
    settle(file, calls(random.Random(10), 30, identity()))
    said: list[str] = []
    file.set_trace_callback(said.append)
    to_the_end(file)
    file.execute("BEGIN IMMEDIATE")
    with correcting(file, [1, 2, 3]):
        file.execute("UPDATE attempts SET list_nano = 5 WHERE call_seq < 4")
    file.keep()
    folding.by_time(file, BASE, BASE + DAY, "c.key_id IS NULL")
    rollups.reset(file)
    to_the_end(file)
    file.set_trace_callback(None)
    walked = set()
    for sql in {one for one in said if one.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))}:
        for step in file.execute(f"EXPLAIN QUERY PLAN {sql}"):
            if "SCAN" in step[3]:
                walked.add(step[3])
    # Dimensions of a handful of names, and the next hundred rows of a table that is being emptied.
    assert walked <= {
        "SCAN outcomes",
        "SCAN streamings",
        "SCAN verdicts",
        "SCAN failures",
        "SCAN busy_minutes",
    }


def test_money_that_changes_after_it_was_read_is_read_again(opened: Callable[[], Connection]) -> None:
    conn, other = opened(), opened()
    settle(conn, calls(random.Random(3), 40, identity()))
    folder = Folder(conn, quick=True)
    folder.advance("thin", NOW, 40)  # it has read them all, for the sets that follow
    other.execute("BEGIN IMMEDIATE")
    with correcting(other, range(1, 41)):
        other.execute("UPDATE attempts SET list_nano = 77, billed_nano = 70, price_id = NULL")
    other.keep()
    to_the_end(conn, folder=folder)
    check(conn, rollups.marks(conn), MINUTES)


def test_money_that_changes_while_a_batch_is_worked_out_is_not_written_as_it_was(
    opened: Callable[[], Connection],
) -> None:
    conn, other = opened(), opened()
    settle(conn, calls(random.Random(4), 20, identity()))
    folder = Folder(conn, quick=True)
    plain = folder._write

    def late(name: str, low: int, high: int, folded: Any) -> None:
        """Another process prices anew between the reading and the writing."""
        folder._write = plain  # type: ignore[method-assign]
        other.execute("BEGIN IMMEDIATE")
        with correcting(other, range(1, 21)):
            other.execute("UPDATE attempts SET list_nano = 5, billed_nano = 5, price_id = NULL")
        other.keep()
        plain(name, low, high, folded)

    folder._write = late  # type: ignore[method-assign]
    to_the_end(conn, folder=folder)
    check(conn, rollups.marks(conn), MINUTES)


def test_calls_that_are_taken_away_are_not_summed_under_their_numbers(
    opened: Callable[[], Connection],
) -> None:
    conn, other = opened(), opened()
    settle(conn, calls(random.Random(5), 30, identity()))
    folder = Folder(conn, quick=True)
    to_the_end(conn, folder=folder)
    other.execute("BEGIN IMMEDIATE")
    rollups.void(other)
    for table_, column in (
        ("charges", "attempt_seq"),
        ("details", "attempt_seq"),
        ("prefixes", "call_seq"),
        ("call_tags", "call_seq"),
        ("attempts", "seq"),
        ("calls", "seq"),
    ):
        other.execute(f"DELETE FROM {table_} WHERE {column} > 0")
    other.keep()
    settle(other, calls(random.Random(6), 10, identity()))
    to_the_end(conn, folder=folder)
    check(conn, rollups.marks(conn), MINUTES)
    assert table(conn, "rollups", 0)[(0, 86_400, BASE, 0, 0)]["calls"] <= 10


def test_a_round_holds_no_more_calls_than_it_takes_in_at_once(opened: Callable[[], Connection]) -> None:
    conn, other = opened(), opened()
    settle(conn, calls(random.Random(7), 60, identity()))
    folder = Folder(conn, quick=True)
    folder._round = 20
    folder.round(("thin", "cells"), NOW)
    rollups.reset(other)
    folder.round(("thin", "cells"), NOW)
    assert len(folder._read.calls) <= 20
