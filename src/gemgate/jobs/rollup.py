"""Keeps the sums of calls up to date: the thin ones every second, cells and pairs every half minute.

A report reads what is not yet summed call by call, so it is right at any time; this keeps it quick. The first start
after an upgrade, or after `gemgate rollup rebuild`, finds millions of calls: they are taken in round by round, with
the pauses that other processes' writes owe the gateway.

It is done by a process of its own (``python -m gemgate.jobs.rollup --data DIR``): questions to the console hold
Python's lock for as long as they are worked out, and the further the sums are behind, the longer that takes.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

from gemgate.insight.cubes import SETS
from gemgate.insight.sets import THIN_SET
from gemgate.jobs.context import Context
from gemgate.jobs.summing import serve
from gemgate.store import rollups
from gemgate.store.connection import Connection, visitor

PERIOD: Final = 1.0
"""Seconds between two runs."""
_WIDE: Final = tuple(name for name in SETS if name != THIN_SET)
_WIDE_EVERY: Final = 30_000_000
_LOOK: Final = 0.2  # seconds between looks whether the console is to end
_PATIENCE: Final = 2.0


class _File:
    """One file's connection, and how far its wide sums are due."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        # Each remembers the calls it read last; they stand at different calls.
        self.thin = rollups.Folder(conn)
        self.wide = rollups.Folder(conn)
        self.looked = 0
        self.due = 0


class Rollup:
    """The job, with what it keeps from run to run."""

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}

    def run(self, context: Context) -> str:
        """Take in what was recorded since the last run. Raises sqlite3.Error, and begins anew the next time."""
        path = context.database
        file = self._files.pop(path, None)
        if file is None:
            file = _File(visitor(path))
            context.at_end.append(file.conn.close)
        try:
            said = self._fold(file, context)
        except BaseException:
            file.conn.close()
            raise
        if context.stopping.is_set():
            file.conn.close()
        else:
            self._files[path] = file
        return said

    def _fold(self, file: _File, context: Context) -> str:
        stopping = context.stopping.is_set
        before = rollups.mark(file.conn, THIN_SET)

        def thin() -> bool:
            """Bring the thin sums to the newest call; False when the process is to end."""
            file.looked = _now()
            while not stopping() and file.thin.advance(THIN_SET, _now()):
                pass
            return not stopping()

        def between() -> bool:
            """While the wide ones are at work, the thin ones stay a second behind."""
            return thin() if _now() - file.looked >= PERIOD * 1_000_000 else not stopping()

        going = thin()
        if going and _now() >= file.due:
            while going and file.wide.round(_WIDE, _now(), between):
                going = not stopping()
            file.due = _now() + _WIDE_EVERY
        more = rollups.mark(file.conn, THIN_SET) - before
        return f"Summed {more:,} calls." if more > 0 else ""


class Died(OSError):
    """The process that sums has ended, or said something that cannot be understood."""


class Beside:
    """The job as the console runs it: each run is asked of a process that stays."""

    def __init__(self) -> None:
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def run(self, context: Context) -> str:
        """Have what was recorded taken in. Raises Died, and begins anew the next time."""
        child = self._children.get(context.database)
        if child is None or child.poll() is not None:
            command = [sys.executable, "-m", "gemgate.jobs.rollup", "--data", str(context.data)]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
            self._children[context.database] = child
            context.at_end.append(partial(_ended, child))
        assert child.stdin is not None
        try:
            os.write(child.stdin.fileno(), b"\n")
            answer = _answer(child, context.stopping)
        except OSError as error:
            _ended(child)
            raise Died("the process that sums has ended") from error
        if "fault" in answer:
            raise Died(str(answer["fault"]))
        return str(answer.get("said", ""))


def _answer(child: subprocess.Popen[bytes], stopping: threading.Event) -> dict[str, object]:
    """What it says, nothing once the console is to end. Raises OSError when it ended."""
    assert child.stdout is not None
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while not heard.endswith(b"\n"):
            if stopping.is_set():
                return {}
            if selector.select(_LOOK):
                more = os.read(child.stdout.fileno(), 65_536)
                if not more:
                    raise Died("it ended")
                heard += more
    found: dict[str, object] = json.loads(heard.splitlines()[-1])
    return found


def _ended(child: subprocess.Popen[bytes]) -> None:
    """Let it end: it is told by its closed stdin."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _now() -> int:
    return time.time_ns() // 1000


run: Final = Beside().run

if __name__ == "__main__":
    sys.exit(serve(Rollup().run, sys.argv[1:]))
