"""The gateway that is killed, and what it leaves behind: its data folder is the same for all its lives."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gemgate.core.budget import Budget
from gemgate.store import budgets
from gemgate.store.verify import verify
from tests.gateway.launch import DEMO_KEY, until

SECONDS = 30.0
# A gateway whose modules are loaded and which has done nothing yet: it starts when a line comes in.
WAITING = (
    "import sys; from gemgate.gateway.process import main; sys.stdin.buffer.readline(); sys.exit(main())"
)
CONFIG = """
[upstream]
base_url = "{upstream}"
[gateway]
drain = 1.0
[routing]
enabled = {routed}
patience = 0.5
[record]
durability = "{durability}"
[[project]]
name = "default"
tier = "tier1"
keys = ["{key}"]
spend = 1000000
limits = {{"*" = {{rpm = 1000000, tpm = 1000000000, rpd = 100000000}}}}
"""
ROWS = """
SELECT c.seq, lower(hex(c.call_id)), lower(hex(boots.boot)), clients.name, outcomes.name, c.status, c.attempts,
       (SELECT count(*) FROM attempts AS a WHERE a.call_seq = c.seq),
       c.input, c.cached, c.output, c.thoughts, c.tool, c.estimated
FROM calls AS c
JOIN boots ON boots.id = c.boot_id
JOIN outcomes ON outcomes.id = c.outcome_id
LEFT JOIN clients ON clients.id = c.client_id
WHERE c.seq > ? ORDER BY c.seq
"""


class Victim:
    """One gateway after another on one data folder, each a process of its own."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        self.database = self.data / "gemgate.db"
        self.log_file = folder / "gateway.log"
        self.port = 0
        self.boot = ""
        self._locker: sqlite3.Connection | None = None
        self._waiting: tuple[tuple[str, bool], subprocess.Popen[bytes]] | None = None
        self._env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GEMGATE_", "GEMINI_", "GOOGLE_"))
        }
        self._configs: dict[tuple[str, bool], Path] = {}
        for durability, routed in itertools.product(("process", "power"), (True, False)):
            path = folder / f"{durability}-{'routed' if routed else 'straight'}.toml"
            on = str(routed).lower()
            text = CONFIG.format(upstream=upstream, durability=durability, routed=on, key=DEMO_KEY)
            path.write_text(text, "utf-8")
            path.chmod(0o600)
            self._configs[durability, routed] = path
        subprocess.run(
            [sys.executable, "-m", "gemgate.store.migrate", str(self.database)], check=True, env=self._env
        )
        self._boots = self.boots()

    def prepare(self, durability: str, routed: bool) -> None:
        """Have the next process load its modules meanwhile: half of a gateway's start is that."""
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", WAITING),
                    *(
                        "--config",
                        str(self._configs[durability, routed]),
                        "--data",
                        str(self.data),
                        "--port",
                        "0",
                    ),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
            )
        self._waiting = (durability, routed), process

    def dismiss(self) -> None:
        """Let go of a prepared process that is not needed."""
        if self._waiting is not None:
            self.process = self._waiting[1]
            self._waiting = None
            self.kill()
            self.buried()

    def spawn(self, durability: str, routed: bool) -> None:
        """Start a gateway without waiting for it."""
        if self._waiting is None or self._waiting[0] != (durability, routed):
            self.dismiss()
            self.prepare(durability, routed)
        assert self._waiting is not None
        self._boots = self.boots()
        self.process = self._waiting[1]
        self._waiting = None
        assert self.process.stdin is not None
        self.process.stdin.write(b"start\n")
        self.process.stdin.flush()

    def ready(self) -> None:
        """Wait until it listens. Raises RuntimeError when it does not come up."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the gateway did not start: {self.log[-4000:]}")
        self.port = json.loads(line)["port"]
        (self.boot,) = self.boots() - self._boots

    def boots(self) -> set[str]:
        """The boots whose lock files are there."""
        return {path.stem for path in (self.data / "boots").glob("*.lock")} - {"migrate"}

    def born(self) -> None:
        """Wait until the process just spawned has taken its boot's lock: it turns to the record now."""
        until(
            lambda: bool(self.boots() - self._boots) or self.process.poll() is not None, "a new boot", SECONDS
        )

    def kill(self) -> None:
        """SIGKILL, at once."""
        self.process.kill()

    def terminate(self) -> None:
        """SIGTERM: drain and end."""
        self.process.send_signal(signal.SIGTERM)

    def buried(self) -> int:
        """Wait for the end of the process. Its exit code."""
        code = self.process.wait(SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def lock(self) -> None:
        """Be the other program that keeps the file to itself."""
        self._locker = sqlite3.connect(self.database, timeout=SECONDS, isolation_level=None)
        self._locker.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        """Let go of the file again."""
        if self._locker is not None:
            self._locker.close()
            self._locker = None

    def health(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", "/healthz")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found

    def settled(self) -> bool:
        """Whether nothing waits any more: no spilled value, no open call."""
        health = self.health()
        return bool(health["store"]["up"]) and not health["store"]["spilled"] and not self.open_calls()

    def open_calls(self) -> int:
        """How many tries stand open."""
        (count,) = self.rows("SELECT count(*) FROM open_calls")[0]
        return int(count)

    def budgets(self) -> list[Budget]:
        """The budgets in force."""
        with self._reader() as conn:
            return budgets.every(conn)

    def spill_bytes(self) -> int:
        """How much waits in spill files."""
        return sum(path.stat().st_size for path in (self.data / "spill").glob("*.spill"))

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the record, read as any program would."""
        with self._reader() as conn:
            return conn.execute(sql, values).fetchall()

    def verified(self) -> dict[str, list[str]]:
        """What the record's own proof finds wrong, by kind."""
        found: dict[str, list[str]] = {}
        with self._reader() as conn:
            for finding in verify(conn, self.data):
                found.setdefault(finding.kind, []).append(f"{finding.where} {finding.what}")
        return found

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        conn = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=SECONDS)
        try:
            yield conn
        finally:
            conn.close()

    @property
    def log(self) -> str:
        """What all lives said on stderr."""
        return self.log_file.read_text("utf-8") if self.log_file.exists() else ""
