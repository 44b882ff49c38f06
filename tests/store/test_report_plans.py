"""No statement of the reports and rollups walks a whole table of the record: each has a key or an index behind it."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import reported
from reported import DAY, END

from gemgate.insight.cubes import DIMENSIONS, SETS
from gemgate.insight.facts import FACTS
from gemgate.insight.plan import TooMuch
from gemgate.store import connection, rollups
from gemgate.store.database import FILE
from gemgate.store.reports import calls, costs, errors, facts, failed, fallbacks, performance, usage
from gemgate.store.reports.asked import Ask
from gemgate.store.reports.facts import Query

LARGE = {
    *("calls", "attempts", "charges", "details", "call_tags", "prefixes"),
    *("rollups", "sketches", "rollup_charges", "failures", "busy_minutes"),
}
COUNT = 60
NAMED = re.compile(r"\b(?:FROM|JOIN|,)\s+(\w+)\s+AS\s+(\w+)", re.IGNORECASE)
SCANNED = re.compile(r"\bSCAN (?:TABLE )?(\w+)")


@pytest.fixture(scope="module")
def path(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record whose sums are a few calls behind."""
    path = tmp_path_factory.mktemp("plans") / FILE
    path.write_bytes(blank.read_bytes())
    with contextlib.closing(connection.writer(path)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        numbers = reported.keys(conn)
        made = reported.records(random.Random(3), COUNT, numbers)
        reported.fill(conn, made[:-5])
        conn.keep()
        with contextlib.closing(connection.visitor(path)) as visitor:
            folder = rollups.Folder(visitor, rest=lambda _: None, quick=True)
            while folder.round(tuple(SETS), END):
                pass
        conn.execute("BEGIN IMMEDIATE")
        reported.fill(conn, made[-5:])
        conn.keep()
    return path


def walked(conn: sqlite3.Connection, statement: str) -> set[str]:
    """The large tables that a statement walks whole. One that stops after so many rows in order does not."""
    if not re.match(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b", statement, re.IGNORECASE):
        return set()
    steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}")]
    if re.search(r"\bLIMIT\b", statement) and not any("FOR ORDER BY" in step for step in steps):
        return set()
    tables = {alias: table for table, alias in NAMED.findall(statement)}
    found = {tables.get(name, name) for step in steps for name in SCANNED.findall(step)}
    return found & LARGE


@contextlib.contextmanager
def overheard(conn: sqlite3.Connection) -> Iterator[list[str]]:
    """Every statement that the connection runs, with its values."""
    heard: list[str] = []
    conn.set_trace_callback(heard.append)
    try:
        yield heard
    finally:
        conn.set_trace_callback(None)


def judged(path: Path, statements: list[str]) -> set[str]:
    """Fail for a statement that walks; returns the large tables that the statements speak of."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        for statement in dict.fromkeys(statements):
            assert not walked(conn, statement), statement
    return {table for table in LARGE if any(re.search(rf"\b{table}\b", one) for one in statements)}


def test_the_judge_finds_a_walk(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn:
        assert walked(conn, "SELECT count(*) FROM calls AS c WHERE c.duration > 5") == {"calls"}
        assert walked(conn, "SELECT sum(received_at) FROM calls") == {"calls"}
        assert walked(conn, "SELECT 1 FROM rollups AS r WHERE r.a = 4 ORDER BY calls LIMIT 4") == {"rollups"}
        assert walked(conn, "SELECT count(*) FROM calls WHERE seq > 5") == set()


def test_numbers_of_any_shape(path: Path) -> None:
    filters = {"model": ("gemini-sample",), "key": ("alpha",), "tag": ("red",), "reason": ("", "overloaded")}
    with contextlib.closing(sqlite3.connect(path)) as conn, overheard(conn) as heard:
        for group in itertools.chain(
            [()], itertools.combinations(DIMENSIONS, 1), itertools.combinations(DIMENSIONS, 2)
        ):
            for some in ({}, {"route": ("cheap",)}, filters):
                query = Query(
                    start=END - 9 * DAY + 77,
                    until=END,
                    now=END,
                    bounds=(END - 9 * DAY + 77, END - 3 * DAY, END),
                    dimensions=group,
                    filters=some,
                    facts=FACTS,
                    sketches=True,
                    charges=True,
                )
                facts.collect(conn, query)
    spoken = judged(path, heard)
    assert spoken >= {"calls", "attempts", "charges", "call_tags", "rollups", "sketches", "rollup_charges"}


@pytest.mark.parametrize(
    "report", [usage.report, performance.report, costs.report, errors.report, fallbacks.report]
)
def test_whole_reports(path: Path, report: Callable[[sqlite3.Connection, Ask], object]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn, overheard(conn) as heard:
        for group, some, step in itertools.product(
            ((), ("model",), ("key", "tag")),
            ({}, {"project": ("one",)}),
            ("none", "day"),
        ):
            ask = Ask(
                start=END - 9 * DAY,
                until=END,
                now=END,
                zone="Asia/Kathmandu",
                step=step,
                group=group,
                filters=some,
                compare=True,
            )
            report(conn, ask)
    assert "rollups" in judged(path, heard)


@pytest.mark.parametrize("report", [errors.report, fallbacks.report])
def test_failed_tries_above_the_mark_are_found_by_seq(
    path: Path, report: Callable[[sqlite3.Connection, Ask], object]
) -> None:
    """By time, an empty tail would cost a look at every call of the span."""
    with contextlib.closing(sqlite3.connect(path)) as conn, overheard(conn) as heard:
        for start in (END - 9 * DAY + 7, END - DAY // 24 * 9 // 4, END - 77):
            report(conn, Ask(start=start, until=END, now=END))
    assert "failures" in judged(path, heard)
    tails = [one for one in heard if re.search(r"\bc\.seq > \d+ AND \+c", one)]
    assert tails
    with contextlib.closing(sqlite3.connect(path)) as conn:
        for tail in tails:
            steps = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {tail}")]
            assert "SEARCH c USING INTEGER PRIMARY KEY (rowid>?)" in steps


def test_cut_hours_of_too_many_calls_are_refused(path: Path) -> None:
    hour = DAY // 24
    with contextlib.closing(sqlite3.connect(path)) as conn:
        with connection.reading(conn), pytest.raises(TooMuch, match="whole hours"):
            list(failed.failures(conn, Ask(start=END - 9 * DAY, until=END - hour // 2, now=END), 0))
        until = END // hour * hour
        with connection.reading(conn):
            assert failed.failures(conn, Ask(start=until - 8 * DAY, until=until, now=END), 0)


def test_the_only_try_of_a_good_call_is_not_looked_for(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn, overheard(conn) as heard:
        errors.report(conn, Ask(start=END - DAY + 7, until=END - 77, now=END))
    looked = [one for one in heard if "verdict_id <>" in one]
    assert looked
    assert all("c.attempts > 1" in one for one in looked)


def test_groups_that_are_wanted_are_looked_up_once(path: Path) -> None:
    """Asked for twice, SQLite looks for each of them as often as there are any."""
    query = Query(
        start=END - 9 * DAY,
        until=END,
        now=END,
        dimensions=("key",),
        facts=FACTS,
        only=(("alpha",), ("beta",)),
    )
    with contextlib.closing(sqlite3.connect(path)) as conn, overheard(conn) as heard:
        facts.collect(conn, query)
    looked = [one for one in heard if "k(a) AS" in one]
    assert looked
    with contextlib.closing(sqlite3.connect(path)) as conn:
        for one in looked:
            assert not any("LIST SUBQUERY" in row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {one}"))


def test_single_calls(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn, overheard(conn) as heard:
        for which in (
            calls.Filter(),
            calls.Filter(key="alpha"),
            calls.Filter(tag="red"),
            calls.Filter(status=429),
        ):
            for row in calls.newest(conn, which, limit=5):
                calls.attempts(conn, row.seq)
            calls.after(conn, which, 0)
        calls.find(conn, "01")
        calls.latest(conn)
    assert "calls" in judged(path, heard)


def test_folding(path: Path, tmp_path: Path) -> None:
    some = ("thin", "cells", "pairs.0")
    copy = tmp_path / FILE
    copy.write_bytes(path.read_bytes())
    with contextlib.closing(connection.visitor(copy)) as conn, overheard(conn) as heard:
        folder = rollups.Folder(conn, rest=lambda _: None)
        while folder.round(some, END):
            pass
        rollups.reset(conn, ("thin",))
        while folder.round(some, END):
            pass
    assert "rollups" in judged(copy, heard)
