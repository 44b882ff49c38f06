"""`gemgate doctor`, against a real upstream on loopback and real faults in the folder."""

from __future__ import annotations

import email.utils
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from served import environment

from gemgate.cli.checks import Level, disk_finding, needed
from gemgate.cli.database import access
from gemgate.cli.reach import Answer, clock_finding, key_finding, reason_in
from gemgate.config import load
from gemgate.core.access import Key, Token
from gemgate.store import keys
from gemgate.store.connection import visitor
from gemgate.store.migrate import upgrade

GOOD, BAD, BUSY = "AIzaGoodKeyOfTheDoctor", "AIzaBadKeyOfTheDoctor", "AQ.BusyKeyOfTheDoctor"


class Upstream(BaseHTTPRequestHandler):
    """Answers GET models by key, and remembers what it was asked."""

    asked: list[tuple[str, str]]
    behind = 0.0

    def do_GET(self) -> None:
        key = self.headers.get("x-goog-api-key", "")
        self.asked.append((self.path, key))
        status, reason = {GOOD: (200, ""), BUSY: (429, ""), BAD: (400, "API_KEY_INVALID")}.get(key, (403, ""))
        error = {"code": status, "status": "X", "message": f"key {key}", "details": [{"reason": reason}]}
        body = json.dumps({"error": error} if status != 200 else {"models": []}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        at = email.utils.localtime().timestamp() - self.behind
        return email.utils.formatdate(at, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[tuple[str, type[Upstream]]]:
    handler = type("Fresh", (Upstream,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def doctor(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    """Exit code and output; nothing may be on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "gemgate.cli.main", "doctor", *arguments],
        cwd=folder,
        env=environment({"GEMGATE_GATEWAY_PORT": "0", "GEMGATE_CONSOLE_PORT": "0", **env}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_all_is_well_in_an_empty_folder_but_for_the_missing_key(tmp_path: Path) -> None:
    code, text = doctor(tmp_path)
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()].count("warn") == 1
    assert "the simulator answers" in text


def test_each_key_is_tried_in_a_header_and_named_never_shown(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    url, handler = upstream
    (tmp_path / "gemgate.toml").write_text(
        f'[upstream]\nbase_url = "{url}"\n[[project]]\nname = "a"\nkeys = ["{GOOD}", "{BAD}"]\n'
        f'[[project]]\nname = "b"\nkeys = ["{BUSY}"]\n',
        "utf-8",
    )
    code, text = doctor(tmp_path)
    lines = {line for line in text.splitlines() if " keys " in line}
    assert code == 1
    assert "ok    keys      project a, key 1 works" in lines
    assert any(
        line.startswith("fail  keys      project a, key 2 is refused: 400 API_KEY_INVALID") for line in lines
    )
    assert any(line.startswith("warn  keys      project b, key 1 was answered 429") for line in lines)
    assert "ok    clock" in text
    assert [key for _, key in handler.asked] == [GOOD, BAD, BUSY]
    for key in (GOOD, BAD, BUSY):
        assert key not in text
        assert key not in "".join(path for path, _ in handler.asked)
    assert "can be read by other users" in text


def test_a_wrong_clock_is_noticed(tmp_path: Path, upstream: tuple[str, type[Upstream]]) -> None:
    url, handler = upstream
    handler.behind = 600.0
    code, text = doctor(tmp_path, GEMINI_API_KEY=GOOD, GEMGATE_UPSTREAM_BASE_URL=url)
    assert code == 1
    assert "fail  clock" in text
    assert "ahead of the upstream's clock" in text


def test_an_upstream_that_is_not_there_fails_each_key(tmp_path: Path) -> None:
    code, text = doctor(tmp_path, GEMINI_API_KEY=GOOD, GEMGATE_UPSTREAM_BASE_URL="http://127.0.0.1:1")
    assert code == 1
    assert "project default, key 1: upstream not reached" in text


def test_clients_keys_are_not_asked_for(tmp_path: Path, upstream: tuple[str, type[Upstream]]) -> None:
    url, handler = upstream
    code, text = doctor(tmp_path, GEMGATE_UPSTREAM_CREDENTIALS="client", GEMGATE_UPSTREAM_BASE_URL=url)
    assert code == 0
    assert "clients bring their own keys" in text
    assert [key for _, key in handler.asked] == [""]


def test_faults_of_the_configuration_are_lines_too(tmp_path: Path) -> None:
    code, text = doctor(tmp_path, GEMGATE_GATEWAY_PROT="1", GEMINI_API_KEY="")
    assert code == 1
    assert sum(line.startswith("fail  config") for line in text.splitlines()) == 2


def test_the_database_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "gemgate-data" / "gemgate.db"
    upgrade(path)
    path.parent.chmod(0o700)
    code, text = doctor(tmp_path)
    assert code == 0
    assert "it can be written" in text
    assert "it can be read; no calls yet" in text
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    code, text = doctor(tmp_path)
    assert code == 1
    assert "it cannot be written" in text
    holder.execute("UPDATE alembic_version SET version_num = '9999'")
    holder.execute("COMMIT")
    holder.close()
    code, text = doctor(tmp_path)
    assert code == 1
    assert "of a later gemgate" in text
    path.write_bytes(b"not a database " * 1000)
    code, text = doctor(tmp_path)
    assert code == 1
    assert "cannot be read" in text


def test_who_may_call_is_said(tmp_path: Path) -> None:
    path = tmp_path / "gemgate-data" / "gemgate.db"

    def said(**settings: str) -> str:
        config = load(
            None, {f"GEMGATE_{name}": value for name, value in settings.items()}, {"data": path.parent}
        )
        (found,) = access(config)
        return f"{found.level} {found.text} {found.remedy}"

    for _ in range(2):
        assert said().startswith("ok there is no virtual key: whoever reaches 127.0.0.1")
        assert said(GATEWAY_HOST="0.0.0.0").startswith("fail gateway.host")
        assert "gemgate keys create NAME --data" in said(GATEWAY_HOST="0.0.0.0")
        assert "Google keys of their own" in said(GATEWAY_HOST="0.0.0.0", UPSTREAM_CREDENTIALS="client")
        upgrade(path)
    conn = visitor(path)
    conn.execute("BEGIN IMMEDIATE")
    keys.create(conn, Key(id=0, name="ci", created_at=1), Token(digest=b"x" * 32, key=0))
    conn.execute("COMMIT")
    assert said(GATEWAY_HOST="0.0.0.0").startswith("ok every client needs a virtual key: 1 made, 1 in force")
    conn.execute("BEGIN IMMEDIATE")
    keys.change(conn, "ci", disabled_at=1)
    conn.execute("COMMIT")
    conn.close()
    assert said().startswith("warn every client needs a virtual key: 1 made, 0 in force Nobody can call")


def test_a_taken_port_is_a_line_with_the_remedy(tmp_path: Path, upstream: tuple[str, type[Upstream]]) -> None:
    port = upstream[0].rpartition(":")[2]
    code, text = doctor(tmp_path, GEMGATE_GATEWAY_PORT=port)
    assert code == 1
    assert "--gateway-port" in text


@pytest.mark.parametrize(("free", "level"), [(10**8, Level.FAIL), (10**9, Level.WARN), (10**10, Level.OK)])
def test_disk_room_is_judged(free: int, level: Level) -> None:
    assert disk_finding(free, "").level is level


@pytest.mark.parametrize(
    ("ahead", "level"), [(0, Level.OK), (-4, Level.OK), (20, Level.WARN), (-300, Level.FAIL)]
)
def test_clocks_are_judged(ahead: float, level: Level) -> None:
    assert clock_finding(ahead).level is level


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_key_fails(status: int) -> None:
    assert key_finding("x", Answer(status, "WHY")).level is Level.FAIL


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"error": 1}', b'{"error": {"details": [1]}}', b"\xff"]
)
def test_a_strange_error_body_has_no_reason(body: bytes) -> None:
    assert reason_in(body) == ""


def test_googles_message_tells_what_a_status_does_not_but_never_the_key() -> None:
    key = "AIza" + "Sy" + "x" * 33
    said = f"Permission denied: Consumer 'api_key:{key}' has been suspended."
    reason = reason_in(json.dumps({"error": {"status": "PERMISSION_DENIED", "message": said}}).encode())
    assert reason.startswith("PERMISSION_DENIED (Permission denied: Consumer")
    assert "suspended" in reason
    assert key not in reason


def test_the_libraries_are_those_that_gemgate_asks_for() -> None:
    asked = ["msgspec>=0.19", "uvloop>=0.21; sys_platform != 'win32'", "ruff>=0.9; extra == 'dev'", "a-b.c"]
    assert needed(asked) == ["msgspec", "uvloop", "a-b.c"]
