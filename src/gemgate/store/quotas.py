"""The gateway's state as readers see it and as its next start finds it: windows, breakers, queue.

Laws:

- the state is the gateway's own; here it stands as it was at ``as_of``, and no decision is taken on it but by a
  gateway that starts;
- ``keep`` is one short transaction of rows that changed; it also moves the sums of use on (``store.uses``);
- ``breaker_changes`` is append-only; ``breakers`` holds those that are not closed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from gemgate.core.health import Change, State
from gemgate.core.quota import Window
from gemgate.store import affinity, budgets, signatures
from gemgate.store.columns import NAME_LENGTH
from gemgate.store.connection import Connection
from gemgate.store.names import clean
from gemgate.store.uses import Spent, advance, advance_keys, days, used

__all__ = [
    "Refusal",
    "Spent",
    "Told",
    "breakers",
    "changed",
    "changes",
    "days",
    "keep",
    "refusals",
    "state",
    "used",
    "windows",
]

_MESSAGE: Final = 1_000
_BREAKER: Final = 2 * NAME_LENGTH + 1  # model@project
_DAY: Final = 86_400_000_000
_SWEPT: Final = 200  # of each kind a snapshot; a day of them takes 17 million
# `limit` and `window` are words of SQL.
_REFUSALS: Final = """
SELECT a.sent_at, c.call_id, ifnull(m.name, ''), ifnull(p.name, ''), ifnull(r.name, ''), a.retry_after
FROM attempts AS a JOIN calls AS c ON c.seq = a.call_seq
LEFT JOIN models AS m ON m.id = a.model_id LEFT JOIN projects AS p ON p.id = a.project_id
LEFT JOIN reasons AS r ON r.id = a.reason_id
WHERE a.seq > ? AND a.status = 429 ORDER BY a.seq DESC LIMIT ?
"""
_WINDOWS: Final = 'project, family, "window", "limit", source, used, closed_until, reason, room_at, since'
_KEEP_WINDOW: Final = f"""
INSERT INTO quota_windows({_WINDOWS}, as_of) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(project, family, "window") DO UPDATE SET
    "limit" = excluded."limit", source = excluded.source, used = excluded.used,
    closed_until = excluded.closed_until, reason = excluded.reason, room_at = excluded.room_at,
    since = excluded.since, as_of = excluded.as_of
"""
_BREAKERS: Final = "opened_at, scope, name, state, reason, message, until, failures"
_KEEP_BREAKER: Final = f"""
INSERT INTO breakers({_BREAKERS}, as_of) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(scope, name) DO UPDATE SET
    opened_at = excluded.opened_at, state = excluded.state, reason = excluded.reason, message = excluded.message,
    until = excluded.until, failures = excluded.failures, as_of = excluded.as_of
"""
_CHANGES: Final = "at, scope, name, state, reason, message, until, failures"


class Refusal(msgspec.Struct, frozen=True):
    """A try that Google refused with 429: when it was sent (UTC µs), of which call, and the delay named (µs)."""

    sent_at: int
    call_id: bytes
    model: str
    project: str
    reason: str
    retry_after: int | None


class Told(NamedTuple):
    """The rest of a gateway's state: which gateway, when (UTC µs), and its JSON."""

    boot: bytes
    as_of: int
    body: bytes


def keep(
    conn: Connection, windows: Sequence[Window], states: Sequence[State], body: bytes, boot: bytes, now: int
) -> None:
    """Write what is new or other than before, and ``body`` (JSON of the gateway's own making); ``now`` is UTC µs.

    Moves the sums of use on and lets go of what has expired, too. Needs the caller's transaction, which takes a
    few milliseconds. Windows and breakers that are not given stay as they are; a breaker goes when a change says
    that it closed.
    """
    conn.executemany(_KEEP_WINDOW, [_window_row(window, now) for window in windows])
    conn.executemany(_KEEP_BREAKER, [(state.opened_at, *_breaker_row(state), now) for state in states])
    conn.execute(
        "INSERT INTO gateway_states(boot_id, as_of, body) VALUES(?, ?, ?)"
        " ON CONFLICT(boot_id) DO UPDATE SET as_of = excluded.as_of, body = excluded.body",
        (conn.names.boots[boot], now, body.decode("utf-8", "replace")),
    )
    # Names in windows come from callers too: what says nothing new must not stay.
    conn.execute(
        "DELETE FROM quota_windows WHERE as_of < ? AND closed_until <= ? AND source <> 'learned'",
        (now - _DAY, now),
    )
    conn.execute("DELETE FROM gateway_states WHERE as_of < ?", (now - _DAY,))
    affinity.sweep(conn, now, _SWEPT)
    signatures.sweep(conn, now, _SWEPT)
    budgets.sweep(conn, now, _SWEPT)
    advance(conn, now)
    advance_keys(conn, now)


def changed(conn: Connection, changes: Sequence[Change]) -> None:
    """Put changes of breakers on record, in order. Needs the caller's transaction."""
    for change in changes:
        row = _breaker_row(change)
        conn.execute(
            f"INSERT INTO breaker_changes({_CHANGES}) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            (change.at, *row),
        )
        if change.state == "closed":
            conn.execute("DELETE FROM breakers WHERE scope = ? AND name = ?", row[:2])
        else:
            conn.execute(_KEEP_BREAKER, (change.at, *row, change.at))


def windows(conn: sqlite3.Connection) -> tuple[list[Window], int]:
    """All windows as last kept, and when the gateway last said that they are so (UTC µs, 0 never)."""
    rows = conn.execute(f'SELECT {_WINDOWS} FROM quota_windows ORDER BY project, family, "window"')  # noqa: S608
    return [Window(*row) for row in rows], _as_of(conn)


def breakers(conn: sqlite3.Connection) -> tuple[list[State], int]:
    """The breakers that are not closed, and when the gateway last said that they are so (UTC µs, 0 never)."""
    rows = conn.execute(f"SELECT {_BREAKERS} FROM breakers ORDER BY scope, name")  # noqa: S608
    return [State(*row) for row in rows], _as_of(conn)


def state(conn: sqlite3.Connection) -> Told | None:
    """The newest gateway's own state, None when there never was one."""
    row = conn.execute(
        "SELECT b.boot, g.as_of, g.body FROM gateway_states AS g JOIN boots AS b ON b.id = g.boot_id"
        " ORDER BY g.as_of DESC, g.boot_id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Told(row[0], row[1], row[2].encode())


def changes(conn: sqlite3.Connection, since: int = 0, limit: int = 100) -> list[Change]:
    """The newest ``limit`` changes of breakers at ``since`` (UTC µs) or later, newest first."""
    rows = conn.execute(
        f"SELECT {_CHANGES} FROM breaker_changes WHERE at >= ? ORDER BY at DESC, seq DESC LIMIT ?",  # noqa: S608
        (since, limit),
    )
    return [Change(*row) for row in rows]


def refusals(conn: sqlite3.Connection, most: int, looked: int = 20_000) -> list[Refusal]:
    """The newest tries that Google refused with 429, newest first, of the last ``looked`` tries on record."""
    top = conn.execute("SELECT ifnull(max(seq), 0) FROM attempts").fetchone()[0]
    rows = conn.execute(_REFUSALS, (top - looked, most))
    return [Refusal(*row) for row in rows]


def _as_of(conn: sqlite3.Connection) -> int:
    found: int = conn.execute("SELECT ifnull(max(as_of), 0) FROM gateway_states").fetchone()[0]
    return found


def _window_row(window: Window, now: int) -> tuple[str | int | None, ...]:
    return (
        clean(window.project),
        clean(window.family),
        window.window,
        window.limit,
        window.source,
        window.used,
        window.closed_until,
        clean(window.reason),
        window.room_at,
        window.since,
        now,
    )


def _breaker_row(one: State | Change) -> tuple[str | int, ...]:
    """The fields that a state and a change share, in order."""
    return (
        one.scope,
        clean(one.name, _BREAKER),
        one.state,
        clean(one.reason),
        clean(one.message, _MESSAGE),
        one.until,
        one.failures,
    )
