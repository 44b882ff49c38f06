"""The proofs of a run see what is missing from the record: rows, keys, tags, and charges of budgets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from legs import Field
from proof import at_the_door, recorded, under_the_key
from report import failed
from rounds import Bench, Extent
from servers import BUDGETS, BenchError, Cores, Server

COST = 1_500


def folder(path: Path, *, calls: int, at_door: int = 0, keyed: int = 0, charged: int = 0) -> Path:
    """A data folder whose record holds so many calls, each of the same cost, tagged where it has a key."""
    path.mkdir()
    with closing(sqlite3.connect(path / "gemgate.db")) as conn, conn:
        conn.execute("CREATE TABLE calls (seq, door_id, key_id, billed_nano, estimated_billed_nano)")
        conn.execute("CREATE TABLE call_tags (call_seq, tag_id)")
        conn.execute("CREATE TABLE budget_spends (budget_id, slot, spent)")
        rows = [(at, 1 if at < at_door else None, 1 if at < keyed else None, COST, 0) for at in range(calls)]
        conn.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", rows)
        conn.executemany("INSERT INTO call_tags VALUES (?, 1)", [(at,) for at in range(keyed)])
        spends = [(at, 0, charged * COST) for at in range(len(BUDGETS))]
        conn.executemany("INSERT INTO budget_spends VALUES (?, ?, ?)", spends)
    return path


def bench(tmp_path: Path, first: Server, second: Server, answered: tuple[int, int]) -> Bench:
    ground = Field(tmp_path, Cores())
    for side, count in zip((first, second), answered, strict=True):
        ground.count(side, count)
    return Bench(ground, first, second, Extent())


@pytest.mark.parametrize(("rows", "missed"), [(12, 0), (11, 1)])
def test_two_doors_of_one_gateway_share_a_record(tmp_path: Path, rows: int, missed: int) -> None:
    one = Server("OpenAI's door", 1, (), folder(tmp_path / "data", calls=rows))
    run = bench(tmp_path, one, replace(one, name="Google's door"), (7, 5))
    recorded(run)
    assert len(run.figures) == 1
    assert len(failed(run.figures)) == missed


def test_each_of_two_gateways_has_a_record_of_its_own(tmp_path: Path) -> None:
    one = Server("gateway", 1, (), folder(tmp_path / "one", calls=20))
    other = Server("keyless", 2, (), folder(tmp_path / "other", calls=4))
    run = bench(tmp_path, one, other, (7, 5))
    recorded(run)
    assert failed(run.figures) == ["calls on record by keyless, of those answered"]


def test_nginx_needs_no_record(tmp_path: Path) -> None:
    run = bench(tmp_path, Server("gateway", 1, ()), Server("nginx", 2, ()), (7, 5))
    recorded(run)
    assert run.figures == []


@pytest.mark.parametrize(("rows", "missed"), [(7, 0), (6, 1)])
def test_rows_of_the_door_are_counted_apart(tmp_path: Path, rows: int, missed: int) -> None:
    one = Server("OpenAI's door", 1, (), folder(tmp_path / "data", calls=12, at_door=rows))
    run = bench(tmp_path, one, replace(one, name="Google's door"), (7, 5))
    at_the_door(run)
    assert len(failed(run.figures)) == missed


@pytest.mark.parametrize(
    ("keyed", "charged", "missed"),
    [
        (7, 7, []),
        (6, 7, ["of them under the key", "of them with its tag"]),
        (7, 6, ["charged to the budgets, beside what it should be"]),
        (7, 8, ["charged to the budgets, beside what it should be"]),
    ],
    ids=["all", "calls without the key", "too little", "too much"],
)
def test_brakes_that_were_off_are_seen(tmp_path: Path, keyed: int, charged: int, missed: list[str]) -> None:
    one = Server("gateway", 1, (), folder(tmp_path / "one", calls=7, keyed=keyed, charged=charged))
    run = bench(tmp_path, one, Server("keyless", 2, ()), (7, 5))
    under_the_key(run)
    assert failed(run.figures) == missed


def test_a_record_that_is_not_there_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one = Server("gateway", 1, (), tmp_path / "empty")
    with pytest.raises(BenchError, match="one database"):
        recorded(bench(tmp_path, one, Server("nginx", 2, ()), (7, 5)))
