"""Limits of a project's models that administrators stored, beside those that gemgate.toml names.

Laws:

- a project and a model have one row at most; ``*`` stands for every model without limits of its own;
- every write counts the revision ``routing`` up in its transaction, so that gateways notice.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.core.quota import Limits
from gemgate.core.windows import WINDOWS
from gemgate.store import revisions
from gemgate.store.connection import Connection
from gemgate.store.named import Missing

__all__ = ["Missing", "every", "find", "put", "remove"]

_PUT: Final = """
INSERT INTO stored_limits(project, model, body, changed_at) VALUES(?, ?, ?, ?)
ON CONFLICT(project, model) DO UPDATE SET body = excluded.body, changed_at = excluded.changed_at
"""
_decoder: Final = msgspec.json.Decoder(Limits)


def every(conn: sqlite3.Connection) -> list[tuple[str, str, Limits]]:
    """All stored limits as (project, model, limits), by name. Raises msgspec.DecodeError for a damaged row."""
    rows = conn.execute("SELECT project, model, body FROM stored_limits ORDER BY project, model")
    return [(project, model, _decoder.decode(body)) for project, model, body in rows]


def find(conn: sqlite3.Connection, project: str, model: str) -> Limits | None:
    """The stored limits of a project's model."""
    row = conn.execute(
        "SELECT body FROM stored_limits WHERE project = ? AND model = ?", (project, model)
    ).fetchone()
    return None if row is None else _decoder.decode(row[0])


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
