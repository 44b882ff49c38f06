"""`gemgate seed` and `gemgate advice`, from an empty folder to a record with advice on it, and back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gemgate.app.folder import taken
from gemgate.app.serve import keyed
from gemgate.cli.main import group
from gemgate.config import Settings

TRACE = "offset_s,input_tokens,output_tokens,client\n" + "\n".join(
    f"{place * 40},{200 + place % 700},{place % 90},c{place % 3}" for place in range(2_000)
)


def run(*words: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(group, words, catch_exceptions=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was seeded once without a gateway, and once as beside one."""
    folder = tmp_path_factory.mktemp("seeded")
    trace = folder / "trace.csv"
    trace.write_text(TRACE)
    found = run("seed", "--data", str(folder), "--calls", "3000", "--days", "3", "--trace", str(trace))
    assert found.exit_code == 0, found.output
    assert "3,000 calls over 3 days are seeded." in found.output
    with taken(folder, ["gateway"]):
        found = run("seed", "--data", str(folder), "--calls", "100", "--days", "0.5", "--seed", "7")
    assert found.exit_code == 0, found.output
    return folder


def ask(data: Path, sql: str) -> list[Any]:
    conn = sqlite3.connect(data / "gemgate.db")
    try:
        return conn.execute(sql).fetchall()
    finally:
        conn.close()


def test_what_is_seeded_is_true_and_marked(data: Path) -> None:
    assert run("verify", "--data", str(data)).exit_code == 0
    assert ask(data, "SELECT calls FROM seeds ORDER BY boot_id") == [(3_000,), (100,)]
    assert ask(data, "SELECT count(*), count(DISTINCT call_id), count(DISTINCT seq) FROM calls") == [
        (3_100,) * 3
    ]
    names = {name for (name,) in ask(data, "SELECT name FROM virtual_keys")}
    assert {"seed-c0", "seed-c1", "seed-c2", "seed-atlas"} <= names
    assert all(name.startswith("seed-") for name in names)
    projects = {name for (name,) in ask(data, "SELECT name FROM projects")}
    assert {"seed-main", "seed-free"} <= projects
    assert all(name.startswith("seed-") for name in projects)


def test_seeded_keys_close_no_door(data: Path) -> None:
    assert not keyed(Settings(data=data))
    assert "there is no virtual key" in run("doctor", "--data", str(data)).output


def test_advice_on_it_is_given_in_words_and_as_json(data: Path) -> None:
    found = run("advice", "--data", str(data), "--refresh", "--json")
    assert found.exit_code == 0, found.output
    advice = json.loads(found.stdout)
    assert advice["calls"] == 3_100
    kinds = {one["kind"] for one in advice["findings"]}
    assert "ending_model" in kinds
    told = run("advice", "--data", str(data), "--kind", "ending_model")
    assert "gemini-2.5-flash ends on 2026-12-01" in told.output or "gemini-2.5-flash ended" in told.output
    assert "Evidence: " in told.output
    assert "in 3,100 calls" in told.output
    # What was kept is what is shown until the next run.
    again = json.loads(run("advice", "--data", str(data), "--json").stdout)
    assert again == advice
    assert (
        json.loads(run("advice", "--data", str(data), "--key", "nobody", "--json").stdout)["findings"] == []
    )


def test_a_file_that_is_no_trace_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    found = CliRunner().invoke(group, ("seed", "--data", str(data), "--trace", str(tmp_path / "bad.csv")))
    assert found.exit_code == 1
    assert "bad.csv is no trace: the first line names neither" in str(found.exception)
    assert ask(data, "SELECT count(*) FROM seeds") == [(2,)]


def test_all_of_it_can_be_taken_out(data: Path) -> None:
    found = run("seed", "--data", str(data), "--remove")
    assert "3,100 seeded calls are removed." in found.output
    for table in (
        "calls",
        "attempts",
        "charges",
        "details",
        "prefixes",
        "call_tags",
        "virtual_keys",
        "seeds",
        "boots",
    ):
        assert ask(data, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert run("verify", "--data", str(data)).exit_code == 0
    assert "Nothing is seeded here." in run("seed", "--data", str(data), "--remove").output
