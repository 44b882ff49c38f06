"""What answers have shown that a plain client drops and a later call must carry again.

The one piece of an answer that is stored unasked: under a keyed hash, for a limited time, its body opaque here.
Written by ``ledger.settle``, in the transaction of the call that showed it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from gemgate.core.call import Kept

_KEEP: Final = """
INSERT INTO signatures(name, body, expires_at) VALUES(?, ?, ?)
ON CONFLICT(name) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at
"""
_MOST: Final = 500  # names in one statement


def keep(conn: sqlite3.Connection, kept: Sequence[Kept]) -> None:
    """Write what is to be kept; of one name the last one. Needs the caller's transaction."""
    if kept:
        conn.executemany(_KEEP, [(one.name, one.body, one.expires_at) for one in kept])


def find(conn: sqlite3.Connection, names: Iterable[str], now: int = 0) -> dict[str, Kept]:
    """What is kept under those of the names that are known and have not expired at ``now`` (UTC µs)."""
    found: dict[str, Kept] = {}
    asked = list(dict.fromkeys(names))
    for place in range(0, len(asked), _MOST):
        some = asked[place : place + _MOST]
        marks = ",".join("?" * len(some))
        rows = conn.execute(
            f"SELECT name, body, expires_at FROM signatures WHERE name IN ({marks}) AND expires_at > ?",  # noqa: S608
            (*some, now),
        )
        found.update((name, Kept(name, body, expires_at)) for name, body, expires_at in rows)
    return found


def sweep(conn: sqlite3.Connection, now: int, limit: int = 200) -> int:
    """Delete up to ``limit`` that expired before ``now`` (UTC µs), oldest first; returns how many.

    Needs the caller's transaction.
    """
    return conn.execute(
        "DELETE FROM signatures WHERE rowid IN"
        " (SELECT rowid FROM signatures WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        (now, limit),
    ).rowcount
