"""`gemgate events` on a real file."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from served import environment

from gemgate.cli.main import group
from gemgate.core.call import Event
from gemgate.store import connection, events, migrate

DATA = Path("gemgate-data")
TOLD = (
    Event(1_000_000, "budget_soft", "team", "80% of $50.00 this month is spent."),
    Event(2_000_000, "budget_spent", "team", "The budget 'team' is spent."),
    Event(3_000_000, "runaway_repeat", "ci", "It sent one request\x1b[2J 101 times in 60 s."),
)


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty record but for these events."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    migrate.upgrade(DATA / "gemgate.db")
    with contextlib.closing(connection.visitor(DATA / "gemgate.db")) as conn:
        connection.sliced(conn, lambda conn: bool(events.add(conn, TOLD)))


def said(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(group, ["events", *arguments])
    assert (done.exception, done.exit_code) == (None, 0), done.output
    return done.stdout


def test_events_are_shown_the_newest_first_and_cannot_play_with_the_screen() -> None:
    lines = said().splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["s.", "spent.", "spent."]
    assert "runaway_repeat" in lines[1]
    assert "\x1b" not in said()


def test_they_are_found_by_kind_subject_and_time() -> None:
    found = [json.loads(line) for line in said("--json").splitlines()]
    assert [row["kind"] for row in found] == ["runaway_repeat", "budget_spent", "budget_soft"]
    assert found[1] == {
        "at": "1970-01-01T00:00:02.000000Z",
        "kind": "budget_spent",
        "subject": "team",
        "sentence": "The budget 'team' is spent.",
    }
    assert len(said("--json", "--kind", "budget_soft").splitlines()) == 1
    assert len(said("--json", "--of", "team").splitlines()) == 2
    assert len(said("--json", "-n", "1").splitlines()) == 1
    assert len(said("--json", "--since", "1970-01-01T00:00:02+00:00").splitlines()) == 2
    assert said("--of", "nobody") == "Nothing of this happened.\n"
