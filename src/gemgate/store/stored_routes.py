"""Routes that were made through the API, and projects that were paused there.

Laws:

- a route stands here in the words of ``[[route]]`` in gemgate.toml, as JSON without its name; whoever writes one has
  held it against ``config.routes`` first, and whoever reads one holds it against it again: the file may have changed;
- every write counts the revision ``routing`` up in its transaction.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

import msgspec

from gemgate.store import revisions
from gemgate.store.connection import Connection
from gemgate.store.named import Exists, Missing

__all__ = [
    "Exists",
    "Missing",
    "StoredRoute",
    "create",
    "every",
    "find",
    "pause",
    "paused",
    "remove",
    "replace",
    "resume",
]

# Whatever stands in a row, it can be read: SQLite's text may be none, and its numbers words.
_SELECT: Final = (
    "SELECT name, CAST(body AS BLOB), CAST(created_at AS INTEGER), CAST(changed_at AS INTEGER)"
    " FROM stored_routes"
)
_PAUSED: Final = "SELECT project, max(1, CAST(paused_at AS INTEGER)) FROM paused_projects ORDER BY project"


class StoredRoute(NamedTuple):
    """One route. ``body`` is what its table in the file would hold, None if it is unreadable; times are UTC µs."""

    name: str
    body: dict[str, Any] | None
    created_at: int
    changed_at: int


def every(conn: sqlite3.Connection) -> list[StoredRoute]:
    """All routes, in the order in which they were made."""
    return [_route(row) for row in conn.execute(f"{_SELECT} ORDER BY created_at, name")]


def find(conn: sqlite3.Connection, name: str) -> StoredRoute | None:
    """The route of that name."""
    row = conn.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    return None if row is None else _route(row)


def create(conn: Connection, name: str, body: dict[str, Any], now: int) -> StoredRoute:
    """Write a new route; ``now`` is UTC µs. Needs the caller's transaction. Raises Exists."""
    row = conn.execute(
        "INSERT INTO stored_routes(name, body, created_at, changed_at) VALUES(?, ?, ?, ?)"
        " ON CONFLICT(name) DO NOTHING RETURNING name",
        (name, _text(body), now, now),
    ).fetchone()
    if row is None:
        raise Exists(name)
    revisions.bump(conn, revisions.ROUTING)
    return StoredRoute(name, body, now, now)


def replace(conn: Connection, name: str, body: dict[str, Any], now: int) -> StoredRoute:
    """Write a route anew; ``now`` is UTC µs. Needs the caller's transaction. Raises Missing."""
    row = conn.execute(
        "UPDATE stored_routes SET body = ?, changed_at = ? WHERE name = ? RETURNING created_at",
        (_text(body), now, name),
    ).fetchone()
    if row is None:
        raise Missing(name)
    revisions.bump(conn, revisions.ROUTING)
    return StoredRoute(name, body, int(row[0]), now)


def remove(conn: Connection, name: str) -> None:
    """Delete a route. Calls that went through it keep its name. Needs the caller's transaction. Raises Missing."""
    if not conn.execute("DELETE FROM stored_routes WHERE name = ?", (name,)).rowcount:
        raise Missing(name)
    revisions.bump(conn, revisions.ROUTING)


def paused(conn: sqlite3.Connection) -> dict[str, int]:
    """The paused projects, each with the time (UTC µs) since when it is."""
    return {str(project): int(at) for project, at in conn.execute(_PAUSED)}


def pause(conn: Connection, project: str, now: int) -> bool:
    """Pause a project from ``now`` (UTC µs) on; False where it was already. Needs the caller's transaction."""
    done = conn.execute(
        "INSERT INTO paused_projects(project, paused_at) VALUES(?, ?) ON CONFLICT(project) DO NOTHING",
        (project, now),
    ).rowcount
    if done:
        revisions.bump(conn, revisions.ROUTING)
    return bool(done)


def resume(conn: Connection, project: str) -> bool:
    """Let a project be used again; False where it was not paused. Needs the caller's transaction."""
    done = conn.execute("DELETE FROM paused_projects WHERE project = ?", (project,)).rowcount
    if done:
        revisions.bump(conn, revisions.ROUTING)
    return bool(done)


def _text(body: dict[str, Any]) -> str:
    return msgspec.json.encode(body).decode()


def _route(row: tuple[Any, ...]) -> StoredRoute:
    name, text, created, changed = row
    try:
        body = msgspec.json.decode(text or b"")
    except (ValueError, RecursionError):
        body = None
    return StoredRoute(str(name), body if isinstance(body, dict) else None, int(created), int(changed))
