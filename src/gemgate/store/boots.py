"""Lives of gateway processes: whose open calls are dead.

A process that writes the ledger takes a boot id and holds a lock on ``<data>/boots/<hex>.lock`` as long as it
lives; the kernel lets go of it even after ``kill -9``. Whoever can take that lock knows that the boot is dead.
The file's time of change is the boot's last sign of life (``Boot.beat``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PATIENCE: Final = 60.0


class Boot:
    """This process's life. Lives until ``release`` or the end of the process."""

    def __init__(self, data: Path, boot: bytes, lock: int) -> None:
        self.data = data
        self.id = boot
        self._lock = lock

    @property
    def started(self) -> int:
        """When it began, in UTC µs (to the millisecond): the id's own time."""
        return int.from_bytes(self.id[:6], "big") * 1000

    def beat(self) -> None:
        """Leave a sign of life."""
        os.utime(self._lock)

    def release(self) -> None:
        """Let go of the lock: from now on the boot counts as dead."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def begin(data: Path, boot: bytes) -> Boot:
    """Take a new boot's lock. ``boot`` is 16 bytes, sortable by time (``core.call.mint``). Raises OSError."""
    folder = data / "boots"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / f"{boot.hex()}.lock", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    # Waits at most for somebody's glance in `alive`.
    fcntl.flock(lock, fcntl.LOCK_EX)
    return Boot(data, boot, lock)


def register(conn: sqlite3.Connection, boot: bytes, node: str, version: str, started: int) -> None:
    """Put the boot on record (idempotent). ``started`` is UTC µs. Needs the caller's transaction."""
    conn.execute(
        """
        INSERT INTO boots(boot, node, pid, version, started) VALUES(?, ?, ?, ?, ?)
        ON CONFLICT(boot) DO UPDATE SET
            node = excluded.node, pid = excluded.pid, version = excluded.version, started = excluded.started
        """,
        (boot, node[:200], os.getpid(), version[:40], started),
    )


def end(conn: sqlite3.Connection, boot: bytes, now: int) -> None:
    """Put on record that the boot ended in order. Needs the caller's transaction."""
    conn.execute("UPDATE boots SET ended = ? WHERE boot = ?", (now, boot))


def alive(data: Path, boot: bytes) -> bool:
    """Whether the process of this boot still lives."""
    try:
        lock = os.open(data / "boots" / f"{boot.hex()}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def last_seen(data: Path, boot: bytes) -> int:
    """The boot's last sign of life in UTC µs, 0 when its file is gone."""
    try:
        return (data / "boots" / f"{boot.hex()}.lock").stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0


def find_dead(conn: sqlite3.Connection, data: Path) -> dict[bytes, int]:
    """Boots that did not end in order, or left calls open, and live no more, with their last sign of life."""
    boots = conn.execute(
        "SELECT boot FROM boots WHERE ended IS NULL OR id IN (SELECT boot_id FROM open_calls) ORDER BY id"
    ).fetchall()
    return {boot: last_seen(data, boot) for (boot,) in boots if not alive(data, boot)}


def find_ended(conn: sqlite3.Connection, data: Path) -> set[bytes]:
    """Boots that ended in order, left nothing open, and whose lock file is still there."""
    found = set()
    for file in (data / "boots").glob("*.lock"):
        with contextlib.suppress(ValueError):  # a name that is no boot's is not ours to remove
            boot = bytes.fromhex(file.stem)
            row = conn.execute(
                "SELECT 1 FROM boots WHERE boot = ? AND ended IS NOT NULL"
                " AND id NOT IN (SELECT boot_id FROM open_calls)",
                (boot,),
            ).fetchone()
            if row is not None:
                found.add(boot)
    return found


def sweep(data: Path, settled: set[bytes]) -> None:
    """Remove the lock files of dead boots whose calls are closed."""
    for boot in settled:
        if not alive(data, boot):
            with contextlib.suppress(FileNotFoundError):
                (data / "boots" / f"{boot.hex()}.lock").unlink()


@contextlib.contextmanager
def alone(data: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold the data folder's migration lock. Raises TimeoutError when another process keeps it."""
    folder = data / "boots"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "migrate.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait(lock, time.monotonic() + patience, data)
        yield
    finally:
        os.close(lock)


def _wait(lock: int, end_at: float, data: Path) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end_at:
                raise TimeoutError(
                    f"another process has been migrating {data} for {_PATIENCE:.0f} s"
                ) from None
            time.sleep(0.02)
        else:
            return
