"""Long work that somebody asked for: exports, re-pricings. One row each, from the asking to its end.

States: ``queued``, ``running``, then one of ``done``, ``failed``, ``cancelled``; ``expired`` is a done one whose
result was taken away. An end is final: nothing but ``expired`` follows it.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from gemgate.store.connection import Connection

LIVE: Final = ("queued", "running")

_FIELDS: Final = (
    *("id", "kind", "state", "actor", "body", "done", "total", "result", "message"),
    *("created_at", "started_at", "ended_at", "expires_at"),
)
_SELECT: Final = f"SELECT {', '.join(_FIELDS)} FROM jobs"  # noqa: S608 - our own names


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job. ``body`` is what was asked, ``result`` what came of it; ``done`` of ``total`` is in the units of its
    kind (0: not known). Times in UTC µs, 0 for not yet or never."""

    id: int
    kind: str
    state: str
    actor: str
    body: dict[str, Any]
    done: int
    total: int
    result: dict[str, Any]
    message: str
    created_at: int
    started_at: int
    ended_at: int
    expires_at: int


def create(conn: Connection, kind: str, actor: str, body: dict[str, Any], now: int) -> int:
    """Queue a job; returns its id. Needs the caller's transaction."""
    row = conn.execute(
        "INSERT INTO jobs(kind, state, actor, body, done, total, result, message, created_at, started_at,"
        " ended_at, expires_at) VALUES(?, 'queued', ?, ?, 0, 0, '{}', '', ?, 0, 0, 0) RETURNING id",
        (kind, actor, msgspec.json.encode(body).decode(), now),
    ).fetchone()
    return int(row[0])


def find(conn: sqlite3.Connection, kind: str, number: int) -> Job | None:
    """The job of that kind and id."""
    row = conn.execute(f"{_SELECT} WHERE id = ? AND kind = ?", (number, kind)).fetchone()
    return None if row is None else _job(row)


def newest(conn: sqlite3.Connection, kind: str, limit: int, before: int = 0) -> list[Job]:
    """The newest jobs of a kind first; the next page is ``before`` the last one's id."""
    rows = conn.execute(
        f"{_SELECT} WHERE kind = ? AND (? = 0 OR id < ?) ORDER BY id DESC LIMIT ?",
        (kind, before, before, limit),
    )
    return [_job(row) for row in rows]


def in_state(conn: sqlite3.Connection, kind: str, *states: str) -> list[Job]:
    """All jobs of a kind that are in one of these states, the oldest first."""
    marks = ", ".join("?" * len(states))
    rows = conn.execute(f"{_SELECT} WHERE kind = ? AND state IN ({marks}) ORDER BY id", (kind, *states))
    return [_job(row) for row in rows]


def start(conn: Connection, number: int, now: int) -> bool:
    """A queued job begins to run; False when it is not queued any more. Needs the caller's transaction."""
    done = conn.execute(
        "UPDATE jobs SET state = 'running', started_at = ? WHERE id = ? AND state = 'queued'", (now, number)
    )
    return done.rowcount > 0


def progress(conn: Connection, number: int, done: int, total: int) -> bool:
    """How far it is; False when it does not run any more, so somebody cancelled it. Needs the transaction."""
    row = conn.execute(
        "UPDATE jobs SET done = ?, total = ? WHERE id = ? AND state = 'running'", (done, total, number)
    )
    return row.rowcount > 0


def end(
    conn: Connection,
    number: int,
    state: str,
    now: int,
    message: str = "",
    result: dict[str, Any] | None = None,
) -> bool:
    """A job ends as ``done``, ``failed`` or ``cancelled``; False when it had ended. Needs the transaction."""
    row = conn.execute(
        "UPDATE jobs SET state = ?, ended_at = ?, message = ?, result = ?"
        " WHERE id = ? AND state IN ('queued', 'running')",
        (state, now, message, msgspec.json.encode(result or {}).decode(), number),
    )
    return row.rowcount > 0


def keep_until(conn: Connection, number: int, until: int) -> None:
    """What a done job made is there until then. Needs the caller's transaction."""
    conn.execute("UPDATE jobs SET expires_at = ? WHERE id = ?", (until, number))


def due(conn: sqlite3.Connection, kind: str, now: int) -> list[Job]:
    """Done jobs of a kind whose result is to be taken away."""
    return [job for job in in_state(conn, kind, "done") if job.expires_at and job.expires_at <= now]


def expire(conn: Connection, number: int, message: str) -> None:
    """The result of a done job was taken away. Needs the caller's transaction."""
    conn.execute(
        "UPDATE jobs SET state = 'expired', message = ? WHERE id = ? AND state = 'done'", (message, number)
    )


def _job(row: tuple[Any, ...]) -> Job:
    raw = dict(zip(_FIELDS, row, strict=True))
    for name in ("body", "result"):
        raw[name] = msgspec.json.decode(raw[name])
    return Job(**raw)
