"""`gemgate admin-token`, and what the audit says of changes on the command line."""

from __future__ import annotations

import contextlib
import getpass
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gemgate.app.serve import closed
from gemgate.cli.checks import Level
from gemgate.cli.database import console
from gemgate.cli.faults import CommandFault
from gemgate.cli.main import group
from gemgate.config import ConfigError, Settings
from gemgate.config.settings import Console
from gemgate.store import audit, tokens
from gemgate.store.connection import reader
from gemgate.store.migrate import upgrade


@pytest.fixture(autouse=True)
def record(tmp_path: Path) -> Path:
    path = tmp_path / "gemgate.db"
    upgrade(path)
    return path


def run(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(group, [*words, "--data", str(tmp_path)], catch_exceptions=True)


def trail(record: Path) -> list[audit.Entry]:
    with contextlib.closing(reader(record)) as conn:
        return audit.listing(conn)[::-1]


def test_a_token_is_printed_once_and_kept_as_a_hash(tmp_path: Path, record: Path) -> None:
    made = run(
        tmp_path, "admin-token", "create", "ann", "--role", "operator", "--payloads", "--expires", "30d"
    )
    assert made.exit_code == 0, made.output
    assert "It is the first token" in made.output
    (secret,) = [line.strip() for line in made.output.splitlines() if line.strip().startswith("gg-admin-")]
    assert len(secret) == len(tokens.PREFIX) + 43
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert secret.encode() not in kept
    with contextlib.closing(reader(record)) as conn:
        found = tokens.find(conn, secret)
        assert found is not None
        assert (found.name, found.role, found.payloads) == ("ann", "operator", True)
        assert found.expires_at - found.created_at > 29 * 86_400_000_000
        assert tokens.find(conn, secret[:-1]) is None
    second = run(tmp_path, "admin-token", "create", "bob", "--role", "viewer", "--quiet")
    assert second.output.startswith("gg-admin-")
    assert len(second.output.split()) == 1
    listed = run(tmp_path, "admin-token", "list")
    assert "ann" in listed.output
    assert "may read" in listed.output
    assert secret not in listed.output
    shown = [json.loads(line) for line in run(tmp_path, "admin-token", "list", "--json").output.splitlines()]
    assert [one["name"] for one in shown] == ["ann", "bob"]
    assert "digest" not in shown[0]


def test_a_token_is_switched_off_and_on_and_named_once(tmp_path: Path, record: Path) -> None:
    assert "open on this machine" in run(tmp_path, "admin-token", "list").output
    run(tmp_path, "admin-token", "create", "ann", "--role", "admin")
    again = run(tmp_path, "admin-token", "create", "ann", "--role", "admin")
    assert isinstance(again.exception, CommandFault)
    assert "named ann already" in str(again.exception)
    assert run(tmp_path, "admin-token", "disable", "ann").exit_code == 0
    assert "disabled" in run(tmp_path, "admin-token", "list").output
    assert run(tmp_path, "admin-token", "enable", "ann").exit_code == 0
    assert "in force" in run(tmp_path, "admin-token", "list").output
    near = run(tmp_path, "admin-token", "disable", "anne")
    assert "Did you mean ann?" in str(near.exception)
    told = [(one.action, one.kind, one.subject, one.actor) for one in trail(record)]
    actor = f"cli:{getpass.getuser()}"
    assert told == [(action, "admin_token", "ann", actor) for action in ("create", "disable", "enable")]


def test_changes_on_the_command_line_are_audited_before_and_after(tmp_path: Path, record: Path) -> None:
    made = run(tmp_path, "keys", "create", "shop", "--rpm", "60", "--quiet")
    assert made.exit_code == 0, made.output
    run(tmp_path, "keys", "change", "shop", "--rpm", "30")
    run(tmp_path, "keys", "rotate", "shop")
    run(tmp_path, "keys", "disable", "shop")
    run(tmp_path, "keys", "enable", "shop")
    run(tmp_path, "budgets", "create", "all", "--money", "5", "--per", "day", "--all")
    run(tmp_path, "budgets", "change", "all", "--money", "6")
    run(tmp_path, "budgets", "remove", "all")
    found = trail(record)
    assert [(one.kind, one.action) for one in found] == [
        *(("key", action) for action in ("create", "change", "rotate", "disable", "enable")),
        *(("budget", action) for action in ("create", "change", "delete")),
    ]
    created, changed = found[0], found[1]
    assert created.before is None
    assert created.after["rpm"] == 60
    assert (changed.before["rpm"], changed.after["rpm"]) == (60, 30)
    assert found[5].before is None
    assert (found[6].before["amount"], found[6].after["amount"]) == (5_000_000_000, 6_000_000_000)
    assert made.output.strip() not in repr(found)


def test_a_change_that_fails_leaves_no_trail(tmp_path: Path, record: Path) -> None:
    run(tmp_path, "keys", "create", "shop")
    run(tmp_path, "keys", "create", "shop")
    assert len(trail(record)) == 1


def test_a_console_that_others_reach_does_not_start_without_a_token(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, console=Console(host="0.0.0.0"))
    with pytest.raises(ConfigError, match="gemgate admin-token create"):
        closed(settings)
    run(tmp_path, "admin-token", "create", "ann", "--role", "admin")
    closed(settings)
    closed(Settings(data=tmp_path))


def test_the_doctor_says_who_may_use_the_console(tmp_path: Path) -> None:
    near, far = Settings(data=tmp_path), Settings(data=tmp_path, console=Console(host="::"))
    assert [one.level for one in console(near)] == [Level.OK]
    (found,) = console(far)
    assert found.level is Level.FAIL
    assert "gemgate admin-token create" in found.remedy
    run(tmp_path, "admin-token", "create", "ann", "--role", "admin")
    (found,) = console(far)
    assert (found.level, found.text.endswith("1 made, 1 in force")) == (Level.OK, True)
    run(tmp_path, "admin-token", "disable", "ann")
    (found,) = console(far)
    assert (found.level, found.text.endswith("1 made, 0 in force")) == (Level.WARN, True)
