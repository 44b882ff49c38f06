"""The commands that read the record: calls, call and verify, as a user runs them on a real file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sampled import BOOK, MODEL, RICH, START, attempt, identity, intent, record
from served import environment

from gemgate.cli.screen import Column, fitting
from gemgate.core.call import Outcome, Record, spell
from gemgate.core.verdict import Kind
from gemgate.store import connection, ledger, migrate, prices
from gemgate.store.connection import reader
from gemgate.store.verify import STEPS
from gemgate.store.verify import verify as prove

COMMAND = (sys.executable, "-m", "gemgate.cli.main")


def keep(data: Path, records: Sequence[Record]) -> None:
    """Record these calls as the gateway does, one commit each."""
    conn = connection.writer(data / "gemgate.db")
    for one in records:
        conn.execute("BEGIN IMMEDIATE")
        ledger.settle(conn, [one])
        conn.keep()
    conn.close()


def calls() -> list[Record]:
    """Twelve that went well, then one of each trouble."""
    boot = identity()
    found = [record(intent(boot, received_at=START + at * 1_000_000)) for at in range(12)]
    hostile = intent(boot, model="evil\x1b[31m[bold]", received_at=START + 20_000_000)
    found.append(
        record(
            hostile,
            attempt(
                hostile, verdict=Kind.BUSY, status=503, reason="overloaded", message="busy\x1b[0m", usage=None
            ),
            outcome=Outcome.FAILED,
            status=503,
            reason="overloaded",
            finish="",
        )
    )
    rich = intent(boot, received_at=START + 21_000_000)
    cut = attempt(rich, usage=RICH, estimated=True, verdict=Kind.CUT, reason="stall")
    found.append(record(rich, cut, outcome=Outcome.CUT, reason="stall", finish=""))
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """A data folder with those calls, only read by tests."""
    data = tmp_path_factory.mktemp("record") / "data"
    migrate.upgrade(data / "gemgate.db")
    conn = connection.writer(data / "gemgate.db")
    conn.execute("BEGIN IMMEDIATE")
    prices.sync(conn, BOOK.in_force(START), "the tests' book", START)
    conn.keep()
    conn.close()
    found = calls()
    keep(data, found)
    return data, found


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gemgate` on that folder."""
    return subprocess.run(
        [*COMMAND, arguments[0], "--data", str(data), *arguments[1:]],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_calls_are_listed_newest_first_up_to_the_limit(kept: tuple[Path, list[Record]]) -> None:
    data, records = kept
    done = run(data, "calls", "--json", "--limit", "5")
    assert done.returncode == 0
    assert [one["call_id"] for one in objects(done.stdout)] == [spell(one.call_id) for one in records[:-6:-1]]
    everything = objects(run(data, "calls", "--json", "--limit", "1000").stdout)
    assert len(everything) == len(records)
    assert everything[-1]["time"] == "2026-11-18T11:06:40.000000Z"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--model", MODEL], 13),
        (["--model", "no-such"], 0),
        (["--outcome", "cut"], 1),
        (["--outcome", "ok"], 12),
        (["--status", "503"], 1),
        (["--status", "200"], 13),
        (["--since", "2026-11-18T11:06:50+00:00"], 4),
        (["--since", "2026-11-18T11:06:50+00:00", "--outcome", "ok"], 2),
    ],
)
def test_filters_choose(kept: tuple[Path, list[Record]], options: list[str], count: int) -> None:
    assert len(objects(run(kept[0], "calls", "--json", *options).stdout)) == count


def test_the_table_shows_money_and_reasons_and_no_escapes(kept: tuple[Path, list[Record]]) -> None:
    done = run(kept[0], "calls")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["time", "call", "outcome", "status"]
    assert len(lines) == 15
    assert "stall" in lines[1]
    assert "~$" in lines[1]
    assert "overloaded" in lines[2]
    assert "[bold]" in lines[2]
    assert "$0.0013485" in lines[3]
    assert "\x1b" not in done.stdout
    assert run(kept[0], "calls", "--model", "none").stdout == "No calls match.\n"


def test_following_misses_no_call_and_repeats_none(kept: tuple[Path, list[Record]], tmp_path: Path) -> None:
    data = tmp_path / "data"
    migrate.upgrade(data / "gemgate.db")
    boot = identity()
    records = [record(intent(boot)) for _ in range(8)]
    keep(data, records[:3])
    follower = subprocess.Popen(
        [*COMMAND, "calls", "--data", str(data), "--follow", "--json", "--limit", "2"],
        env=environment({"PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    seen = [json.loads(follower.stdout.readline())["call_id"] for _ in range(2)]
    for at in range(3, 8):
        keep(data, [records[at]])
        seen.append(json.loads(follower.stdout.readline())["call_id"])
    follower.send_signal(signal.SIGINT)
    rest, errors = follower.communicate(timeout=60)
    assert seen == [spell(one.call_id) for one in records[1:]]
    assert (rest, follower.returncode) == ("", 130)
    assert "Traceback" not in errors


def test_one_call_is_told_with_its_attempts(kept: tuple[Path, list[Record]]) -> None:
    data, records = kept
    call_id = spell(records[-1].call_id)
    done = run(data, "call", call_id)
    assert done.returncode == 0
    for words in (
        call_id,
        "Attempt 1",
        "project default",
        "credential key-1",
        "stall",
        "search × 2",
        "estimated",
    ):
        assert words in done.stdout
    (whole,) = objects(run(data, "call", call_id, "--json").stdout)
    assert whole["tries"][0]["price"] == "gemini-sample@standard"
    assert whole["list_nano"] == sum(one["list_nano"] for one in whole["tries"])
    troubled = run(data, "call", spell(records[-2].call_id)).stdout
    assert "failed with status 503, reason overloaded" in troubled
    assert "\x1b" not in troubled


def test_the_beginning_of_an_id_will_do_while_it_is_unique(kept: tuple[Path, list[Record]]) -> None:
    data, records = kept
    call_id = spell(records[0].call_id)
    others = [spell(one.call_id) for one in records[1:]]
    length = next(size for size in range(1, 37) if not any(one.startswith(call_id[:size]) for one in others))
    assert run(data, "call", call_id[:length]).stdout == run(data, "call", call_id).stdout
    several = run(data, "call", call_id[:2])
    assert several.returncode == 1
    assert "begins several calls" in several.stderr
    assert run(data, "call", "f" * 32).returncode == 1
    assert run(data, "call", "no-id").returncode == 2
    assert run(data, "call", "").returncode == 2


def test_verify_tells_of_sums_and_of_each_step(kept: tuple[Path, list[Record]]) -> None:
    assert "`gemgate rollup`" in run(kept[0], "verify", "--help").stdout
    steps: list[int] = []
    with contextlib.closing(reader(kept[0] / "gemgate.db")) as conn:
        assert prove(conn, told=steps.append) == []
    assert steps == list(range(len(STEPS)))


def test_a_true_record_is_proven_and_a_changed_one_is_not(
    kept: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    done = run(kept[0], "verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert "holds" in done.stdout
    assert "call number 14" in done.stdout
    path = tmp_path / "gemgate.db"
    source, copy = sqlite3.connect(kept[0] / "gemgate.db"), sqlite3.connect(path)
    source.backup(copy)
    source.close()
    copy.execute("UPDATE calls SET billed_nano = billed_nano + 1 WHERE seq = 3")
    copy.commit()
    copy.close()
    done = run(tmp_path, "verify")
    assert done.returncode == 1
    assert "does not hold: 1 fault." in done.stderr
    (finding,) = objects(run(tmp_path, "verify", "--json").stdout)
    assert finding["where"] == spell(kept[1][2].call_id)


@pytest.mark.parametrize("arguments", [["calls"], ["call", "ab"], ["verify"]])
def test_a_record_that_cannot_be_read_is_a_sentence(tmp_path: Path, arguments: list[str]) -> None:
    nothing = run(tmp_path, *arguments)
    assert nothing.returncode == 1
    assert "There is no record" in nothing.stderr
    assert not (tmp_path / "gemgate.db").exists()
    (tmp_path / "gemgate.db").write_bytes(b"not a database " * 1000)
    broken = run(tmp_path, *arguments)
    assert broken.returncode == 1
    assert "cannot be read" in broken.stderr
    assert "Traceback" not in nothing.stderr + broken.stderr


@pytest.mark.parametrize("width", [80, 110])
def test_a_narrow_terminal_leaves_columns_out_and_cuts_no_value(
    kept: tuple[Path, list[Record]], width: int
) -> None:
    # rich takes these two for a terminal of that width.
    terminal = {
        **environment(),
        "TTY_COMPATIBLE": "1",
        "COLUMNS": str(width),
        "NO_COLOR": "1",
        "TERM": "linux",
    }
    done = subprocess.run(
        [*COMMAND, "calls", "--data", str(kept[0]), "--outcome", "ok"],
        env=terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = re.sub(r"\x1b\[\d*m", "", done.stdout).splitlines()
    assert len(lines) == 13
    assert all(len(line) <= width for line in lines)
    assert "…" not in done.stdout
    assert "\x1b" in done.stdout, "this was not taken for a terminal"
    assert {"time", "call", "outcome", "model", "billed"} <= set(lines[0].split())
    assert ("cached" in lines[0]) is (width > 110)
    assert all(MODEL in line for line in lines[1:])


def test_the_column_that_matters_least_leaves_first() -> None:
    columns = [Column("keep"), Column("less", leaves=1), Column("least", leaves=2), Column("empty", leaves=3)]
    rows = [["aaaa", "bbbbbb", "cccccc", ""]]
    assert fitting(columns, rows, 20) == [0, 1, 2]
    assert fitting(columns, rows, 19) == [0, 1]
    assert fitting(columns, rows, 11) == [0]
    assert fitting(columns, rows, 2) == [0]


@pytest.mark.parametrize("arguments", [["calls"], ["calls", "--json"], ["verify"]])
def test_a_reader_that_leaves_is_no_fault_of_the_record(
    kept: tuple[Path, list[Record]], arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, *arguments, "--data", str(kept[0])],
            env=environment(),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_output_that_cannot_be_written_is_a_sentence(kept: tuple[Path, list[Record]]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "calls", "--json", "--data", str(kept[0])],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "gemgate: No space left on device.\n")


def test_a_record_without_calls_says_so(tmp_path: Path) -> None:
    migrate.upgrade(tmp_path / "gemgate.db")
    assert run(tmp_path, "calls").stdout == "No calls are recorded yet.\n"
    assert run(tmp_path, "calls", "--since", "1h").stdout == "No calls match.\n"
