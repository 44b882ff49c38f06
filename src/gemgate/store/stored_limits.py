"""Limits of a project's models that administrators stored, beside those that gemgate.toml names.

Laws:

- a project and a model have one row at most; ``*`` stands for every model without limits of its own;
- a damaged row is known by its project and model alone: it stops no other, and can be written anew or taken away;
- every write counts the revision ``routing`` up in its transaction, so that gateways notice.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

import msgspec

from gemgate.core.quota import Limits
from gemgate.core.windows import WINDOWS
from gemgate.store import revisions
from gemgate.store.connection import Connection
from gemgate.store.named import Missing

__all__ = ["Missing", "StoredLimits", "every", "find", "put", "remove"]

_PUT: Final = """
INSERT INTO stored_limits(project, model, body, changed_at) VALUES(?, ?, ?, ?)
ON CONFLICT(project, model) DO UPDATE SET body = excluded.body, changed_at = excluded.changed_at
"""
_SELECT: Final = "SELECT project, model, CAST(body AS BLOB) FROM stored_limits"  # SQLite's text may be none
_decoder: Final = msgspec.json.Decoder(Limits)


class StoredLimits(NamedTuple):
    """One row. ``limits`` is None where what is stored of them cannot be read."""

    project: str
    model: str
    limits: Limits | None


def every(conn: sqlite3.Connection) -> list[StoredLimits]:
    """All stored limits, by name."""
    return [_row(*row) for row in conn.execute(f"{_SELECT} ORDER BY project, model")]


def find(conn: sqlite3.Connection, project: str, model: str) -> StoredLimits | None:
    """The stored limits of a project's model."""
    row = conn.execute(f"{_SELECT} WHERE project = ? AND model = ?", (project, model)).fetchone()
    return None if row is None else _row(*row)


def put(conn: Connection, place: tuple[str, str], limits: Limits, now: int) -> None:
    """Store the limits of (project, model) in place of those it had. ``now`` is UTC µs.

    What is None is not stored: the tier's number, or what refusals teach, counts there. Needs the caller's
    transaction.
    """
    named = {window: limits.of(window) for window in WINDOWS if limits.of(window) is not None}
    conn.execute(_PUT, (*place, msgspec.json.encode(named).decode(), now))
    revisions.bump(conn, revisions.ROUTING)


def remove(conn: Connection, place: tuple[str, str]) -> None:
    """Take the limits of (project, model) away. Needs the caller's transaction. Raises Missing."""
    gone = conn.execute("DELETE FROM stored_limits WHERE project = ? AND model = ?", place).rowcount
    if not gone:
        raise Missing("/".join(place))
    revisions.bump(conn, revisions.ROUTING)


def _row(project: str, model: str, body: bytes | None) -> StoredLimits:
    try:
        return StoredLimits(project, model, _decoder.decode(body or b""))
    except (ValueError, RecursionError):
        return StoredLimits(project, model, None)
