"""One child process: a new interpreter that runs a module, stops when our end of its stdin closes, and says
on its stdout, in one JSON line, that it is ready and at which port.

It has a session of its own: a Ctrl-C at the terminal reaches the supervisor alone, which then stops its
children in order. The kernel closes the pipe however the supervisor dies, so no child outlives it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

_LISTENING = re.compile(r"listening on https?://[^\s:/]+:(\d+)")


def ready_port(line: str) -> int | None:
    """The port in a child's ready line (ours in JSON, the simulator's in words), None for any other line."""
    words = _LISTENING.search(line)
    if words:
        return int(words[1])
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("ready") is not True:
        return None
    port = found.get("port")
    return port if isinstance(port, int) else None


class Child:
    """A running child. ``read`` never blocks; ``fileno`` is what a selector watches."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        # -P keeps the working directory off the module path: a folder there must not shadow a package.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._rest = b""
        self.port: int | None = None

    @property
    def pid(self) -> int:
        """The operating system's id of it."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs; negative for a signal."""
        return self._process.poll()

    def fileno(self) -> int:
        """Its stdout."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def read(self) -> tuple[list[str], bool]:
        """The whole lines that came but the ready line (it sets ``port``), and whether more may come."""
        try:
            chunk = os.read(self.fileno(), 65536)
        except BlockingIOError:
            return [], True
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        lines = []
        for raw in whole:
            line = raw.decode("utf-8", "replace").rstrip("\r")
            port = ready_port(line) if self.port is None else None
            if port is None:
                lines.append(line)
            else:
                self.port = port
        return lines, bool(chunk)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a child that is gone already is left in peace."""
        if self.code is None:
            self._process.send_signal(number)

    def close(self) -> None:
        """Let go of the pipes of a child that has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
