"""The commands that need no record: help, init, prices, and how errors are said."""

from __future__ import annotations

import importlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from served import environment

from gemgate.cli.main import COMMANDS, group
from gemgate.cli.shown import Since, dollars, plain, size, span
from gemgate.config import Settings, load

NOW = 1_795_440_000_000_000


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gemgate` as a user runs it."""
    command = [sys.executable, "-m", "gemgate.cli.main", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command_and_loads_none() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from gemgate.cli.main import group;"
        "r = CliRunner().invoke(group, ['--help']); assert r.exit_code == 0; print(r.output);"
        "print([m for m in sys.modules if m in ('rich', 'flask', 'aiohttp', 'sqlalchemy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for name, sentence in COMMANDS.items():
        assert name in done.stdout
        assert sentence in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_takes_data_and_config_and_says_what_it_is_for(name: str) -> None:
    command = importlib.import_module(f"gemgate.cli.{name.replace('-', '_')}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    parts = command.commands if isinstance(command, click.Group) else {"": command}
    for part, leaf in parts.items():
        assert leaf.help
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert {"--data", "--config"} <= options, part
        for parameter in leaf.params:
            assert not isinstance(parameter, click.Option) or parameter.help
        assert CliRunner().invoke(group, [*filter(None, [name, part]), "--help"]).exit_code == 0


@pytest.mark.parametrize("name", ["keys", "budgets"])
def test_every_part_of_keys_and_budgets_has_json(name: str) -> None:
    command = importlib.import_module(f"gemgate.cli.{name.replace('-', '_')}").command
    assert isinstance(command, click.Group)
    for part, leaf in command.commands.items():
        assert "--json" in {option for parameter in leaf.params for option in parameter.opts}, part


def test_serve_loads_neither_tables_nor_servers() -> None:
    script = "import sys, gemgate.cli.main, gemgate.cli.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"rich", "flask", "aiohttp", "sqlalchemy", "alembic", "asyncio", "uvicorn"}


@pytest.mark.parametrize(
    "arguments", [["servr"], ["serve", "--gateway-port", "x"], ["prices", "--at", "soon"]]
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_is_exit_code_1_and_a_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "prices", "--config", "absent.toml")
    assert done.returncode == 1
    assert done.stderr.startswith("gemgate: 1 fault in the configuration")
    assert "gemgate init" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_writes_a_private_file_that_holds_and_never_overwrites(tmp_path: Path) -> None:
    done = run(tmp_path, "init", "--data", "d")
    path = tmp_path / "d" / "gemgate.toml"
    assert (done.returncode, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    assert load(path, {}, {"data": tmp_path}) == Settings(data=tmp_path, source=path)
    path.write_text("# mine\n", "utf-8")
    again = run(tmp_path, "init", "--data", "d")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert path.read_text("utf-8") == "# mine\n"
    assert run(tmp_path, "init").returncode == 0
    assert (tmp_path / "gemgate.toml").exists()
    assert run(tmp_path, "init", "--config", "no/such/folder.toml").returncode == 1


def test_prices_change_at_the_day_that_the_book_names(tmp_path: Path) -> None:
    rows = {}
    for day in ("2026-11-30", "2026-12-01"):
        done = run(
            tmp_path, "prices", "--model", "gemini-4-argon", "--tier", "standard", "--json", "--at", day
        )
        (rows[day],) = (json.loads(line) for line in done.stdout.splitlines())
    assert rows["2026-11-30"]["until"] == rows["2026-12-01"]["from"] == "2026-12-01"
    assert rows["2026-12-01"]["rates"]["input"] == 2 * rows["2026-11-30"]["rates"]["input"] == 4 * 10**9


def test_the_table_of_prices_is_whole_in_a_pipe_and_in_dollars(tmp_path: Path) -> None:
    done = run(tmp_path, "prices", "--at", "2026-11-30", "--model", "gemini-2.5-pro")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("gemini-2.5-pro "))
    assert line.split()[1:6] == ["standard", "$1.25", "$0.125", "$10.00", "$2.50"]
    assert "…" not in done.stdout
    nothing = run(tmp_path, "prices", "--model", "no-such-model")
    assert nothing.returncode == 1
    assert "No price matches" in nothing.stderr


def test_rows_of_ones_own_are_in_front_and_bad_ones_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "gemgate.toml").write_text('[prices]\nfile = "own.json"\n', "utf-8")
    (tmp_path / "own.json").write_text("{", "utf-8")
    done = run(tmp_path, "prices")
    assert done.returncode == 1
    assert "own.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    script = f"{sys.executable} -m gemgate.cli.main prices --json | head -1"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1h", NOW - 3_600_000_000),
        ("30 m", NOW - 1_800_000_000),
        ("1.5d", NOW - 129_600_000_000),
        ("2026-11-23T14:00:00+00:00", 1_795_442_400_000_000),
        ("2026-11-23T14:00:00Z", 1_795_442_400_000_000),
    ],
)
def test_a_moment_is_read(text: str, at: int) -> None:
    assert Since(NOW).convert(text, None, None) == at


@pytest.mark.parametrize("text", ["", "yesterday", "1y", "-1h", "2026-13-01"])
def test_what_is_no_moment_says_how_to_write_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 30m"):
        Since(NOW).convert(text, None, None)


@given(st.integers(-(10**18), 10**18))
def test_money_is_shown_to_the_last_digit(nano: int) -> None:
    text = dollars(nano).replace("$", "").replace(",", "")
    whole, _, part = text.lstrip("-").partition(".")
    assert int(whole) * 10**9 + int(part.ljust(9, "0")) == abs(nano)
    assert len(part) >= 2
    assert text.startswith("-") is (nano < 0)


def test_values_are_shown_in_fitting_units() -> None:
    assert dollars(None) == "unpriced"
    assert [span(micros) for micros in (None, 5, 1500, 25_000, 2_500_000, 90_000_000)] == [
        "–",
        "5 µs",
        "1.5 ms",
        "25 ms",
        "2.50 s",
        "1.5 min",
    ]
    assert [size(count) for count in (5, 1500, 2_500_000, 3_000_000_000)] == [
        "5 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
    ]
    assert plain("a\x1b[31mb\n") == "a�[31mb�"
