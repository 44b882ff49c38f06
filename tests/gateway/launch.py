"""A real gateway as a child process, in front of a real simulator or any other upstream."""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from gemgate.store import version

DEMO_KEY = "AIzaTestKeyOfTheGatewayItself0000000000"
SECONDS = 20.0


class Gateway:
    """A running gateway: ``with Gateway(folder, upstream.url) as gateway: … gateway.url``.

    ``toml`` is appended to a configuration that names the upstream and one project, ``default``. ``clock`` is
    (speed, real epoch, start), both times in unix seconds: the gateway's clock then runs that much faster.
    """

    def __init__(
        self,
        folder: Path,
        upstream: str,
        toml: str = "",
        *,
        projects: str | None = None,
        clock: tuple[float, float, float] | None = None,
    ) -> None:
        self.clock = [] if clock is None else ["--clock", ":".join(repr(part) for part in clock)]
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.config = folder / "gemgate.toml"
        if projects is None:
            projects = f'[[project]]\nname = "default"\ntier = "tier1"\nkeys = ["{DEMO_KEY}"]\n'
        if "[upstream]" not in toml:
            toml = f'[upstream]\nbase_url = "{upstream}"\n' + toml
        self.config.write_text(toml.replace("UPSTREAM", upstream) + "\n" + projects, encoding="utf-8")
        self.config.chmod(0o600)
        self.url = ""
        self.log_file = folder / "gateway.log"

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def start(self) -> None:
        """Start the process and wait until it listens. Raises RuntimeError when it does not."""
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GEMGATE_", "GEMINI_", "GOOGLE_"))
        }
        file = self.data / "gemgate.db"
        if file.exists():
            migrate(file)
        else:
            file.write_bytes(empty())
            file.chmod(0o600)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gemgate.gateway.process"),
                    *("--config", str(self.config), "--data", str(self.data), "--port", "0"),
                    *self.clock,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=env,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._buried()
            raise RuntimeError(f"the gateway did not start: {self.log_file.read_text()}")
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"

    def stop(self) -> int:
        """SIGTERM, and wait for the end. The exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._buried()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self._buried()

    def _buried(self) -> int:
        code = self.process.wait(SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        else:
            self._buried()
        if kind is None:
            self.proven()

    @property
    def log(self) -> str:
        """What the process said on stderr."""
        return self.log_file.read_text(encoding="utf-8")

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Rows of the record, read as any program would."""
        conn = sqlite3.connect(f"file:{self.data / 'gemgate.db'}?mode=ro", uri=True)
        conn.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in conn.execute(sql, values)]
        finally:
            conn.close()

    def calls(self) -> list[dict[str, Any]]:
        """All calls with names, newest last."""
        return self.rows("SELECT * FROM call_log ORDER BY seq")

    def proven(self) -> None:
        """Assert that the record proves itself (``gemgate verify``) once nothing is under way."""
        command = [sys.executable, "-m", "gemgate.cli.main", "verify", "--data", str(self.data)]
        done = subprocess.run([*command, "--config", str(self.config)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def call(self, answer: httpx.Response) -> dict[str, Any]:
        """The row of the call that this answer belongs to."""
        (row,) = self.rows("SELECT * FROM call_log WHERE call_id = ?", answer.headers["x-gemgate-call"])
        return row


def migrate(file: Path) -> None:
    """Bring a database to this gemgate's schema; the work is an interpreter's own, as where gemgate serves."""
    if version.needs(file):
        subprocess.run([sys.executable, "-m", "gemgate.store.migrate", str(file)], check=True)


@functools.cache
def empty() -> bytes:
    """A database without rows, as migrating makes it: made once for all gateways of a test process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gemgate.db"
        migrate(file)
        return file.read_bytes()


def until(done: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Look until something is so. Raises AssertionError when it never is."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)
