"""The job that brings the sums forward, and `gemgate rollup` on the file that it works on."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sampled import ask, change, identity
from summed import calls

from gemgate.app.folder import taken
from gemgate.app.plan import GATEWAY
from gemgate.cli import rollup
from gemgate.cli.main import group
from gemgate.config import load
from gemgate.insight.cubes import SETS
from gemgate.insight.plan import MOST_FOLDED
from gemgate.jobs.context import Context
from gemgate.jobs.rollup import Beside, Died, Rollup
from gemgate.store import connection, ledger, migrate, rollup_proof
from gemgate.store.database import FILE


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with calls that nobody has summed."""
    path = tmp_path_factory.mktemp("recorded") / FILE
    migrate.upgrade(path)
    settle(path, 30)
    conn = connection.visitor(path)
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    conn.close()
    return path


@pytest.fixture
def data(recorded: Path, tmp_path: Path) -> Path:
    """A folder with that file."""
    shutil.copy(recorded, tmp_path / FILE)
    return tmp_path


def settle(path: Path, count: int) -> None:
    """Record calls of today's last hours."""
    conn = connection.writer(path)
    conn.execute("BEGIN IMMEDIATE")
    ledger.settle(conn, calls(random.Random(count), count, identity(), 3_600_000_000))
    conn.keep()
    conn.close()


def marks(data: Path) -> dict[str, int]:
    """How far the sets are."""
    return dict(ask(data, "SELECT substr(name, 8), seq FROM marks WHERE name LIKE 'rollup.%'"))


def wrong(data: Path) -> list[rollup_proof.Difference]:
    """What the proof says of the sums now."""
    with contextlib.closing(connection.reader(data / FILE)) as conn:
        return list(rollup_proof.prove(conn, time.time_ns() // 1000))


def run(data: Path, *arguments: str) -> Any:
    """What a command says."""
    return CliRunner().invoke(group, ["rollup", *arguments, "--data", str(data)], catch_exceptions=False)


def test_the_job_sums_what_is_there_and_then_what_comes(data: Path) -> None:
    job, context = Rollup(), Context(load(None, {}, {"data": data}))
    assert job.run(context) == "Summed 30 calls."
    assert marks(data) == dict.fromkeys(SETS, 30)
    assert job.run(context) == ""
    settle(data / FILE, 5)
    assert job.run(context) == "Summed 5 calls."
    # Cells and pairs are due every half minute; reports read what they lack call by call.
    assert marks(data) == {**dict.fromkeys(SETS, 30), "thin": 35}
    assert not wrong(data)
    context.stopping.set()
    assert job.run(context) == ""


def test_the_job_makes_good_what_somebody_began_to_make_anew(data: Path) -> None:
    job, context = Rollup(), Context(load(None, {}, {"data": data}))
    job.run(context)
    change(data, "UPDATE marks SET seq = -1 WHERE name IN ('rollup.thin', 'rollup.cells', 'rollup.pairs.2')")
    other = Rollup()
    other.run(context)
    assert marks(data) == dict.fromkeys(SETS, 30)
    assert not wrong(data)
    context.stopping.set()
    for one in (job, other):
        one.run(context)


@pytest.mark.parametrize("living", [False, True])
def test_rebuild_repairs_the_sums_beside_a_gateway_and_without_one(data: Path, living: bool) -> None:
    Rollup().run(Context(load(None, {}, {"data": data})))
    change(data, "UPDATE rollups SET tries = tries + 1")
    assert wrong(data)
    if living:
        with taken(data, [GATEWAY]):
            told = run(data, "rebuild", "--yes")
    else:
        told = run(data, "rebuild", "--yes")
    assert told.exit_code == 0
    assert "The sums of 30 calls are made anew" in told.output
    assert not wrong(data)


def test_rebuild_says_how_many_calls_there_are_and_not_their_highest_number(data: Path) -> None:
    for table, column in (("attempts", "call_seq"), ("calls", "seq")):
        change(data, f"DELETE FROM {table} WHERE {column} = 1")
    assert "The sums of 29 calls are made anew" in run(data, "rebuild", "--yes").output


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.0 s"),
        (119_900_000, "119.9 s"),
        (3_600_000_000, "60 min"),
        (90_000_000_000, "25 h"),
        (5_142_180_900_000, "59 d"),
    ],
)
def test_a_lag_is_told_in_a_unit_that_people_read(micros: int, text: str) -> None:
    assert rollup._spoken(micros) == text


def test_rebuild_asks_first(data: Path) -> None:
    told = run(data, "rebuild")
    assert told.exit_code == 1
    assert f"more than {MOST_FOLDED:,} calls" in told.output
    assert marks(data) == {}


def test_status_says_how_far_each_set_is(data: Path) -> None:
    change(data, "INSERT INTO marks(name, seq) VALUES('rollup.thin', 20), ('rollup.cells', -1)")
    told = run(data, "status", "--json")
    found = {one["set"]: one for one in map(json.loads, told.output.splitlines())}
    assert list(found) == list(SETS)
    assert (found["thin"]["mark"], found["thin"]["behind"]) == (20, 10)
    assert found["thin"]["lag"] >= 0
    assert (found["cells"]["mark"], found["cells"]["behind"]) == (-1, 30)
    shown = run(data, "status").output
    assert "being emptied" in shown
    assert "CALLS BEHIND" in shown


def test_the_console_has_it_done_by_a_process_that_ends_with_it(data: Path) -> None:
    context, job = Context(load(None, {}, {"data": data})), Beside()
    said = job.run(context)
    assert said.startswith("Summed ")
    assert job.run(context) == ""  # nothing came meanwhile
    (child,) = job._children.values()
    child.kill()
    child.wait()
    assert job.run(context) == ""  # by another one
    (second,) = job._children.values()
    assert second.pid != child.pid
    context.stopping.set()
    while context.at_end:
        context.at_end.pop()()
    assert second.poll() == 0


def test_a_record_that_cannot_be_folded_is_a_fault_of_the_run(data: Path) -> None:
    context, job = Context(load(None, {}, {"data": data})), Beside()
    (data / "gemgate.db").write_bytes(b"no database" * 400)
    with pytest.raises(Died, match="DatabaseError at gemgate"):
        job.run(context)
    while context.at_end:
        context.at_end.pop()()
