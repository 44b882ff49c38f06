"""`gemgate export`: to a file and to a pipe, with nothing on the way that is not the export."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gemgate.cli.export import command
from gemgate.store import migrate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    migrate.upgrade(tmp_path / "gemgate.db")
    return tmp_path


def test_a_pipe_gets_the_rows_alone_and_a_file_its_name_at_the_end(data: Path) -> None:
    line = [sys.executable, "-m", "gemgate.cli.main", "export", "calls", "--data", str(data)]
    done = subprocess.run([*line, "--columns", "seq,model"], capture_output=True, text=False)
    assert (done.returncode, done.stdout) == (0, b"seq,model\r\n")
    out = data / "calls.csv"
    made = CliRunner().invoke(command, ["attempts", "--data", str(data), "-o", str(out)])
    assert made.exit_code == 0, made.output
    assert next(csv.reader(io.StringIO(out.read_text())))[:3] == ["time", "call_id", "number"]
    assert [path.name for path in data.glob("*.part")] == []


@pytest.mark.parametrize(
    "words",
    [
        ["calls", "--columns", "nope"],
        ["calls", "--group", "model"],
        ["calls", "--filter", "colour=red"],
        ["usage", "--zone", "Nowhere"],
        ["costs", "--from", "whenever"],
        ["usage", "--filter", "model"],
    ],
)
def test_wrong_usage_is_said(data: Path, words: list[str]) -> None:
    out = data / "x.csv"
    made = CliRunner().invoke(command, [*words, "--data", str(data), "-o", str(out)])
    assert made.exit_code == 2, made.output
    assert not out.exists()
