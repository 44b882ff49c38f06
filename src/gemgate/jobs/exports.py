"""Looks after exports: starts those that wait, ends those whose process is gone, takes old files away.

Laws:

- at most ``MOST`` are made at once, each in a process that ends with this one;
- an export whose process died, with the console or by itself, has failed: it is not begun anew, since nobody can tell
  whether it would go the same way. Those that wait go on waiting, also over a restart;
- a file is there as long as its job is ``done``.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from gemgate.config import Settings
from gemgate.jobs.context import Context
from gemgate.jobs.exporting import FOLDER, KIND, path_of
from gemgate.store import jobs
from gemgate.store.connection import Connection, reader, slice_, visitor

MOST: Final = 2
"""Exports that are made at once."""
PERIOD: Final = 2.0
"""Seconds between two looks."""
_DIED: Final = (
    "The process that made the export has ended before it was done, with the console or by itself. Ask again."
)
_PATIENCE: Final = 2.0  # seconds that the processes have to end by themselves
_OLD: Final = "The file was taken away because its time was over. Ask for the export again."

# The processes of this console by database and job. One lock for all that looks after them.
_children: Final[dict[tuple[Path, int], subprocess.Popen[bytes]]] = {}
_lock: Final = threading.Lock()


def run(context: Context) -> str:
    """One look."""
    if leave not in context.at_end:
        context.at_end.append(leave)
    started, ended, expired = tend(context.settings)
    said = [
        f"{number} {word}"
        for number, word in ((started, "started"), (ended, "ended"), (expired, "expired"))
        if number
    ]
    return f"Exports: {', '.join(said)}." if said else ""


def tend(settings: Settings) -> tuple[int, int, int]:
    """One look: how many were started, were found dead, and have expired. Raises sqlite3.Error, OSError."""
    now = time.time_ns() // 1000
    with _lock, contextlib.closing(reader(settings.database)) as conn:
        _reap()
        live = jobs.in_state(conn, KIND, *jobs.LIVE)
        due = jobs.due(conn, KIND, now)
        dead = [
            job for job in live if job.state == "running" and (settings.database, job.id) not in _children
        ]
        for job in dead:
            _written(settings, partial(jobs.end, number=job.id, state="failed", now=now, message=_DIED))
        for job in due:
            with contextlib.suppress(OSError):  # a file that cannot be deleted must not stop the others
                path_of(settings.data, job.id, job.body.get("format", "")).unlink(missing_ok=True)
            _written(settings, partial(jobs.expire, number=job.id, message=_OLD))
        waiting = [job for job in live if job.state == "queued"]
        room = max(0, MOST - len(_children))
        fresh = [job for job in waiting if (settings.database, job.id) not in _children][:room]
        for job in fresh:
            _children[settings.database, job.id] = _child(settings, job.id)
        _sweep(settings, conn)
    return len(fresh), len(dead), len(due)


def _child(settings: Settings, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [
            *(sys.executable, "-m", "gemgate.jobs.exporting", "--data", str(settings.data)),
            *("--job", str(number), "--keep", str(settings.exports.keep)),
        ],
        stdin=subprocess.PIPE,
    )


def _reap() -> None:
    """Forget the processes that have ended."""
    for key, child in list(_children.items()):
        if child.poll() is not None:
            if child.stdin is not None:
                child.stdin.close()
            del _children[key]


def _sweep(settings: Settings, conn: Connection) -> None:
    """Take away what a dead process left half done."""
    folder = settings.data / FOLDER
    if not folder.is_dir():
        return
    for part in folder.glob("*.part"):
        number = part.name.partition(".")[0]
        if number.isdigit() and (settings.database, int(number)) not in _children:
            job = jobs.find(conn, KIND, int(number))
            if job is None or job.state not in jobs.LIVE:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)


def _written(settings: Settings, work: Callable[[Connection], object]) -> None:
    """Do it in a short transaction."""
    with contextlib.closing(visitor(settings.database)) as conn, slice_(conn):
        work(conn)


def leave() -> None:
    """End the processes of this console, and wait a while for them: each takes away what it began."""
    with _lock:
        for child in _children.values():
            if child.stdin is not None:
                child.stdin.close()
        end = time.monotonic() + _PATIENCE
        for child in _children.values():
            try:
                child.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        _children.clear()
