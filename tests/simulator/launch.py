"""The simulator as a child process, for every test that needs an upstream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

START_SECONDS = 20.0


class Simulator:
    """A running simulator: ``with Simulator("--instant") as upstream: … upstream.url``.

    Extra arguments go to the command line; ``script`` is written to a file in ``folder`` first.
    """

    def __init__(
        self, *arguments: str, script: dict[str, Any] | None = None, folder: Path | None = None
    ) -> None:
        self.arguments = list(arguments)
        if script is not None:
            if folder is None:
                raise ValueError("a script needs a folder to be written to")
            file = folder / "script.json"
            file.write_text(json.dumps(script), encoding="utf-8")
            self.arguments += ["--script", str(file)]
        self.url = ""

    def __enter__(self) -> Simulator:
        """Start the process and wait for its address. Raises RuntimeError when it does not come up."""
        command = [
            sys.executable,
            "-m",
            "gemini_simulator.main",
            "--port",
            "0",
            "--stop-with-parent",
            *self.arguments,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the simulator did not start: {line!r}")
        self.url = line.split()[-1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self.process.terminate()
        self.process.wait(START_SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def ask(self, verb: str, path: str, value: Any = None) -> Any:
        """One request to the simulator's own door."""
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self.url + path, data=data, method=verb)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def log(self) -> list[dict[str, Any]]:
        """What the simulator was asked so far, oldest first."""
        lines: list[dict[str, Any]] = self.ask("GET", "/simulator/log")["requests"]
        return lines

    def clear(self) -> None:
        """Empty the log."""
        self.ask("DELETE", "/simulator/log")

    def state(self) -> dict[str, Any]:
        """Projects, quota use, clock."""
        found: dict[str, Any] = self.ask("GET", "/simulator/state")
        return found

    def counts(self) -> dict[str, Any]:
        """Answers by project, model and status, and what each model used: cheap, whatever the log holds."""
        found: dict[str, Any] = self.ask("GET", "/simulator/counts")
        return found

    def clock(self) -> dict[str, float]:
        """What the simulator's clock shows, and its speed."""
        found: dict[str, float] = self.ask("GET", "/simulator/clock")
        return found

    def set_clock(
        self, now: float | str | None = None, speed: float | None = None, at: float | None = None
    ) -> None:
        """Move the simulator's clock (unix seconds or ISO 8601), or let it run faster; ``at`` is the real unix time
        at which it shows ``now``."""
        self.ask("PUT", "/simulator/clock", {"now": now, "speed": speed, "at": at})

    def set_faults(self, *rules: dict[str, Any]) -> None:
        """Replace the fault rules: ``{"simulate": "overloaded", "model": …, "nth": 2}``."""
        self.ask("PUT", "/simulator/faults", list(rules))

    def add_faults(self, *rules: dict[str, Any]) -> None:
        """Add fault rules, whose ``from`` and ``until`` count from now."""
        self.ask("POST", "/simulator/faults", list(rules))

    def outage(self, seconds: float, how: str = "refuse") -> None:
        """Break every connection, and for so many simulated seconds ``refuse`` or ``reset`` new ones."""
        self.ask("PUT", "/simulator/outage", {"seconds": seconds, "how": how})

    def wait_for(self, number: int, seconds: float = 10.0) -> list[dict[str, Any]]:
        """The log once it has ``number`` finished lines. Raises TimeoutError when they do not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.log()
            if len(lines) >= number and all(line["finished"] for line in lines[:number]):
                return lines
        raise TimeoutError(f"the simulator's log has no {number} finished lines: {self.log()}")
