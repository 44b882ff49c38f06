"""The supervisor's laws, on the smallest thing it runs: the console alone."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from served import ended, environment, get, served

from gemgate.app.serve import last_words

ALONE = ("--only", "console", "--console-port", "0")


def test_it_says_where_things_are_in_five_lines(tmp_path: Path) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        url = one.running()["console"]["url"]
        assert len(one.lines) == 5
        assert url in one.lines[1]
        assert str(one.data) in one.lines[3]
        assert get(url + "/healthz") == (200, b"ok\n")


def test_the_data_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        assert stat.S_IMODE(one.data.stat().st_mode) == 0o700
        for path in one.data.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_child_that_is_killed_runs_again_at_its_port(tmp_path: Path) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        before = one.running()["console"]
        os.kill(before["pid"], signal.SIGKILL)
        one.until("console died (SIGKILL)")
        one.until("runs again")
        after = one.running()["console"]
        assert after["pid"] != before["pid"]
        assert get(after["url"] + "/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        child = one.running()["console"]["pid"]
        one.signal(number)
        assert one.wait() == 0
        ended(child)
        assert not (one.data / "run.json").exists()


def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        child = one.running()["console"]["pid"]
        one.signal(signal.SIGKILL)
        ended(child)


def test_a_second_supervisor_on_one_folder_is_refused_by_name(tmp_path: Path) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        with served(tmp_path, *ALONE) as other:
            assert other.wait() == 1
            assert f"process {one.pid}" in other.lines[-1]
            assert len(other.lines) == 1
        assert get(one.running()["console"]["url"] + "/healthz")[0] == 200


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with served(tmp_path / "a", *ALONE) as one:
        one.until("use it")
        port = str(one.running()["console"]["port"])
        with served(tmp_path, "--only", "console", "--console-port", port) as other:
            assert other.wait() == 1
            assert "--console-port" in other.lines[-1]


def test_a_configuration_with_faults_starts_nothing_and_lists_them_all(tmp_path: Path) -> None:
    (tmp_path / "gemgate.toml").write_text("[gateway]\nport = 'x'\nprot = 1\n", "utf-8")
    with served(tmp_path) as one:
        assert one.wait() == 1
        text = "\n".join(one.lines)
        assert "2 faults" in text
        assert "Traceback" not in text
        assert not one.data.exists()


def test_a_changed_file_is_checked_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "gemgate.toml"
    path.write_text("[gateway]\nport = 1\n", "utf-8")
    with served(tmp_path, *ALONE, "--config", str(path)) as one:
        one.until("use it")
        path.write_text("[gateway]\nprot = 1\n", "utf-8")
        one.until("is not used")
        assert "gateway.prot" in one.until("gateway.prot")
        assert get(one.running()["console"]["url"] + "/healthz")[0] == 200


def test_the_console_goes_by_a_changed_file_at_its_address(tmp_path: Path) -> None:
    path = tmp_path / "gemgate.toml"
    project = '[[project]]\nname = "a"\nkey = "AIzaPlantedForTheReloadTest000000000000"\n'
    path.write_text(project, "utf-8")
    path.chmod(0o600)
    with served(tmp_path, *ALONE, "--config", str(path)) as one:
        one.until("use it")
        before = one.running()["console"]
        routes = before["url"] + "/api/v1/routes"
        assert json.loads(get(routes)[1])["items"] == []
        route = '[[route]]\nname = "rr"\ntargets = ["gemini-3.8-flash@a"]\n'
        path.write_text(f'{project}{route}[console]\nhost = "127.0.0.2"\n', "utf-8")
        one.until("is reloaded")
        one.until("console runs again")
        after = one.running()["console"]
        assert (after["url"], after["pid"] != before["pid"]) == (before["url"], True)
        (shown,) = json.loads(get(routes)[1])["items"]
        assert (shown["name"], shown["source"]) == ("rr", "file")
        os.kill(after["pid"], signal.SIGHUP)  # one that is sent to it alone does not leave it dead
        one.until("console died (SIGHUP)")
        one.until("runs again")
        one.signal(signal.SIGHUP)  # nothing has changed: it stays
        one.until("is reloaded")
        assert get(one.running()["console"]["url"] + "/healthz")[0] == 200
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        assert len([line for line in one.lines if "runs again" in line]) == 2


def test_a_database_of_a_later_gemgate_is_left_alone(tmp_path: Path) -> None:
    with served(tmp_path, *ALONE) as one:
        one.until("use it")
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        later = one.data / "gemgate.db"
    with sqlite3.connect(later) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.close()
    before = later.read_bytes()
    with served(tmp_path, *ALONE) as one:
        assert one.wait() == 1
        assert "9999" in one.lines[-1]
    assert later.read_bytes() == before


def test_a_database_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    # The kernel lets this process and its children write no more than 16 KiB into a file, as a full disk would.
    serve = [sys.executable, "-m", "gemgate.cli.main", "serve", "--data", str(tmp_path / "data"), *ALONE]
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 16; exec "$@"', "limited", *serve],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert "could not be made or brought up to date" in done.stderr
    assert "room" in done.stderr
    assert "sqlalche" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_last_words_are_the_faults_own() -> None:
    assert last_words("Traceback:\n  File x\nOSError: [Errno 28] No space left on device\n") == (
        "[Errno 28] No space left on device"
    )
    full = "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database or disk is full\n"
    assert last_words(
        f"{full}[SQL: CREATE TABLE x]\n(Background on this error at: https://x.example/)\n"
    ) == ("database or disk is full")
    assert last_words("") == ""
