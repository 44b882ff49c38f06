"""The console as a process, started as the supervisor starts it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OURS = ("GEMGATE_", "GEMINI_", "GOOGLE_")


@contextlib.contextmanager
def console(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The process, with a pipe on its stdin as the supervisor holds one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gemgate.api.process", "--data", str(data), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith(OURS)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def port_of(process: subprocess.Popen[str]) -> int:
    """The port in its first line."""
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert said["ready"] is True
    return int(said["port"])
