"""`gemgate serve` as a user runs it: a process of its own, watched through its output and the kernel."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PATIENCE = 90.0  # seconds until a test that waits for what never comes is ended
_OURS = ("GEMGATE_", "GEMINI_", "GOOGLE_")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without anything that gemgate reads, plus ``more``."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | dict(
        more or {}
    )


def ended(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([handle], [], [], _PATIENCE)
    finally:
        os.close(handle)
    assert ready, f"process {pid} still runs"


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of a GET."""
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE)
    with contextlib.closing(link):
        link.request("GET", parts.path or "/", headers=dict(headers or {}))
        answer = link.getresponse()
        return answer.status, answer.read()


class Served:
    """A running `gemgate serve`."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.data = folder / "data"
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gemgate.cli.main", "serve", "--data", str(self.data), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(env),
            cwd=folder,
        )
        self._guard = threading.Timer(_PATIENCE, self._process.kill)
        self._guard.start()

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self._process.pid

    def until(self, words: str) -> str:
        """Read its output up to the line that has these words."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if words in line:
                return self.lines[-1]
        raise AssertionError(f"it ended without saying {words!r}; it said: {self.lines}")

    def running(self) -> dict[str, Any]:
        """What run.json says."""
        found = json.loads((self.data / "run.json").read_text("utf-8"))
        assert isinstance(found, dict)
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process.stdout is not None
        self.lines += [line.rstrip("\n") for line in self._process.stdout]
        return self._process.wait()

    def close(self) -> None:
        """End it, whatever state it is in."""
        self._guard.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def served(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """A `gemgate serve` for the length of a block."""
    one = Served(folder, *options, env=env)
    try:
        yield one
    finally:
        one.close()
