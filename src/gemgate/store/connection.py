"""Connections to the SQLite file, each with the manners of its use.

- ``writer``: the ledger's. No waiting in SQLite (the caller has its own deadline), no automatic checkpoints.
- ``visitor``: writes from outside the gateway, in slices of at most 20 ms, each followed by a pause as long.
- ``reader``: reads only; ``reading`` ends a read transaction that lasts over 2 s, since it would hold the
  write-ahead log open.

Nothing in a process that has the file open through SQLite may open it in another way: closing that second handle
would drop the process's locks on the file (POSIX has it so), and another program could remove the log under us.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from gemgate.store.names import Names

Durability = Literal["process", "power"]
SLICE: Final = 0.020
READ: Final = 2.0
WAL_KEPT: Final = 16 * 1024 * 1024
_STEPS: Final = 2_000  # virtual machine steps between looks at the clock, about 50 µs


class Connection(sqlite3.Connection):
    """A SQLite connection that knows the integers of names. ``names`` is read at first use."""

    _names: Names | None = None
    ends: float = math.inf
    """When the read transaction under way has lasted long enough, by ``time.monotonic``."""

    @property
    def names(self) -> Names:
        """The dimensions as this connection knows them."""
        if self._names is None:
            self._names = Names(self)
        return self._names

    def keep(self) -> None:
        """Commit, and keep what was learnt of names."""
        self.execute("COMMIT")
        if self._names is not None:
            self._names.keep()

    def forget(self) -> None:
        """Roll back, and forget names that were made on the way."""
        if self.in_transaction:
            self.execute("ROLLBACK")
        if self._names is not None:
            self._names.forget()


def _open(path: Path, mode: str, wait: float) -> Connection:
    """Open without creating: a missing file is a fault here, ``store.migrate`` makes new ones."""
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=wait,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Connection,
    )


def writer(path: Path, durability: Durability = "process") -> Connection:
    """The ledger's connection. Raises sqlite3.Error when the file is missing, locked or no database."""
    conn = _open(path, "rw", 0.0)
    try:
        conn.execute("PRAGMA busy_timeout = 0")
        if conn.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            conn.execute("PRAGMA journal_mode = WAL")
        conn.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        # A log that once grew (a long reader) gives its room back when it begins anew.
        conn.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
        conn.execute("PRAGMA cache_size = -8192")
        conn.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        conn.close()
        raise
    return conn


def visitor(path: Path) -> Connection:
    """A connection for writes from outside the gateway; see ``sliced``."""
    conn = _open(path, "rw", 2.0)
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute("PRAGMA synchronous = NORMAL")
    return conn


def reader(path: Path) -> Connection:
    """A connection that cannot write."""
    # A read-only open needs the log's index to be there already; whoever may make it, does.
    conn = _open(path, "rw" if os.access(path, os.W_OK) else "ro", 2.0)
    conn.execute("PRAGMA query_only = ON")
    return conn


@contextlib.contextmanager
def reading(conn: sqlite3.Connection, limit: float = READ) -> Iterator[sqlite3.Connection]:
    """One consistent view of the file for ``limit`` seconds; then statements, and ``in_time``, raise
    OperationalError."""
    end = time.monotonic() + limit
    if isinstance(conn, Connection):
        conn.ends = end
    conn.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
    conn.execute("BEGIN")
    try:
        yield conn
    finally:
        conn.set_progress_handler(None, 0)
        if isinstance(conn, Connection):
            conn.ends = math.inf
        if conn.in_transaction:
            conn.execute("ROLLBACK")


def in_time(conn: sqlite3.Connection) -> None:
    """Raise what a statement raises when the time of ``reading`` is over.

    Work on rows that were read looks here often: SQLite interrupts its own work alone.
    """
    if isinstance(conn, Connection) and time.monotonic() > conn.ends:
        over = sqlite3.OperationalError("interrupted")
        over.sqlite_errorcode = sqlite3.SQLITE_INTERRUPT
        over.sqlite_errorname = "SQLITE_INTERRUPT"
        raise over


@contextlib.contextmanager
def slice_(conn: Connection, rest: Callable[[float], None] = time.sleep) -> Iterator[Connection]:
    """One write transaction with a pause as long after it, undone when the block raises.

    What is done in the block must be far shorter than a slice.
    """
    conn.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    try:
        yield conn
        conn.keep()
    except BaseException:
        conn.forget()
        raise
    finally:
        rest(time.monotonic() - begun)


def sliced(
    conn: Connection, step: Callable[[Connection], bool], rest: Callable[[float], None] = time.sleep
) -> int:
    """Call ``step`` until it says False, in write transactions of at most 20 ms with pauses as long.

    A step must be far shorter than a slice and leave a consistent state. Returns the number of slices.
    """
    slices = 0
    more = True
    while more:
        start = time.monotonic()
        conn.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        try:
            while more and time.monotonic() - begun < SLICE / 2:
                more = step(conn)
            conn.keep()
        except BaseException:
            conn.forget()
            raise
        slices += 1
        if more:
            rest(max(SLICE, time.monotonic() - start))
    return slices
