"""Bodies of calls: whose are kept, what is kept of them, and when they go.

Laws:

- a body stands once, under the SHA-256 of what is kept of it, compressed; calls point to it;
- a body that no call points to any more is deleted with its last pointer;
- ``marks`` counts the bytes that all bodies take (compressed), in the transaction that changes them, so that the cap
  needs no look at all of them;
- a body whose time is over is not read any more, whether or not it has been deleted yet;
- every change of a rule counts the revision ``payloads`` up.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from gemgate.core.redaction import Rules
from gemgate.store import revisions
from gemgate.store.connection import Connection, sliced

REQUEST: Final = 0
RESPONSE: Final = 1
SIDES: Final = ("request", "response")
MOST_BYTES: Final = 2**20
"""What a rule may keep of one body: its write must stay a short one (4 MiB took three times a slice)."""

_BYTES: Final = "payloads.bytes"
_LEVEL: Final = 6
_SELECT_RULES: Final = "SELECT scope, of, redact, max_bytes, keep_seconds, created_at FROM payload_rules"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Bodies of one virtual key's calls are kept (``scope`` key), or of one route or model (``scope`` route).

    ``max_bytes`` of each body at most; ``keep_seconds`` 0: as long as the configuration says.
    """

    scope: str
    of: str
    redact: Rules = Rules()
    max_bytes: int = 2**20
    keep_seconds: int = 0
    created_at: int = 0


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept of one side of a call: ``packed`` is the redacted body, compressed.

    ``digest`` and ``size`` are those of the redacted body. ``whole`` is false for one that was cut, ``redacted``
    counts what was taken out. Times in UTC µs.
    """

    call_id: bytes
    side: int
    digest: bytes
    size: int
    packed: bytes
    whole: bool
    redacted: int
    at: int
    expires_at: int


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a call as it is stored. ``sha256`` is that of the stored body, in hexadecimal digits."""

    side: str
    sha256: str
    size: int
    whole: bool
    redacted: int
    at: int
    expires_at: int


def rules(conn: sqlite3.Connection) -> list[Rule]:
    """All rules."""
    return [_rule(row) for row in conn.execute(f"{_SELECT_RULES} ORDER BY scope, of")]


def rule(conn: sqlite3.Connection, scope: str, of: str) -> Rule | None:
    """The rule of a key or route."""
    row = conn.execute(f"{_SELECT_RULES} WHERE scope = ? AND of = ?", (scope, of)).fetchone()
    return None if row is None else _rule(row)


def put_rule(conn: sqlite3.Connection, rule: Rule) -> None:
    """Write a rule, in the place of the one of the same key or route. Needs the caller's transaction."""
    conn.execute(
        "INSERT INTO payload_rules(scope, of, redact, max_bytes, keep_seconds, created_at) VALUES(?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(scope, of) DO UPDATE SET redact = excluded.redact, max_bytes = excluded.max_bytes,"
        " keep_seconds = excluded.keep_seconds",
        (
            rule.scope,
            rule.of,
            msgspec.json.encode(rule.redact).decode(),
            rule.max_bytes,
            rule.keep_seconds,
            rule.created_at,
        ),
    )
    revisions.bump(conn, revisions.PAYLOADS)


def drop_rule(conn: sqlite3.Connection, scope: str, of: str) -> bool:
    """Delete a rule; what it kept stays to its age. False when there is none. Needs the caller's transaction."""
    gone = conn.execute("DELETE FROM payload_rules WHERE scope = ? AND of = ?", (scope, of)).rowcount > 0
    if gone:
        revisions.bump(conn, revisions.PAYLOADS)
    return gone


def pack(body: bytes) -> tuple[bytes, bytes]:
    """The digest of a body, and the body as it is stored."""
    return hashlib.sha256(body).digest(), zlib.compress(body, _LEVEL)


def keep(conn: Connection, body: Body) -> None:
    """Write one side of a call; a side that is there already stays. Needs the caller's transaction."""
    found = conn.execute("SELECT id FROM payloads WHERE digest = ?", (body.digest,)).fetchone()
    if found is None:
        found = conn.execute(
            "INSERT INTO payloads(digest, size, body, made_at, used_at) VALUES(?, ?, ?, ?, ?) RETURNING id",
            (body.digest, body.size, body.packed, body.at, body.at),
        ).fetchone()
        _count(conn, len(body.packed))
    else:
        conn.execute("UPDATE payloads SET used_at = max(used_at, ?) WHERE id = ?", (body.at, found[0]))
    conn.execute(
        "INSERT INTO call_payloads(call_id, side, payload_id, size, whole, redacted, at, expires_at)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(call_id, side) DO NOTHING",
        (
            body.call_id,
            body.side,
            found[0],
            body.size,
            body.whole,
            body.redacted,
            body.at,
            body.expires_at,
        ),
    )


def of_call(conn: sqlite3.Connection, call_id: bytes, now: int | None = None) -> list[Stored]:
    """What is stored of a call at ``now`` (UTC µs), the request first."""
    rows = conn.execute(
        "SELECT c.side, p.digest, c.size, c.whole, c.redacted, c.at, c.expires_at FROM call_payloads AS c"
        " JOIN payloads AS p ON p.id = c.payload_id WHERE c.call_id = ? AND c.expires_at > ? ORDER BY c.side",
        (call_id, _now(now)),
    )
    return [
        Stored(
            side=SIDES[side],
            sha256=digest.hex(),
            size=size,
            whole=bool(whole),
            redacted=redacted,
            at=at,
            expires_at=until,
        )
        for side, digest, size, whole, redacted, at, until in rows
    ]


def body(conn: sqlite3.Connection, call_id: bytes, side: int, now: int | None = None) -> bytes | None:
    """The stored body of one side of a call at ``now`` (UTC µs); None when there is none."""
    row = conn.execute(
        "SELECT p.body FROM call_payloads AS c JOIN payloads AS p ON p.id = c.payload_id"
        " WHERE c.call_id = ? AND c.side = ? AND c.expires_at > ?",
        (call_id, side, _now(now)),
    ).fetchone()
    return None if row is None else zlib.decompress(row[0])


def taken(conn: sqlite3.Connection) -> int:
    """The bytes that all stored bodies take."""
    row = conn.execute("SELECT seq FROM marks WHERE name = ?", (_BYTES,)).fetchone()
    return 0 if row is None else int(row[0])


def over(conn: sqlite3.Connection, now: int, oldest: int, most: int) -> bool:
    """Whether something must go: it is too old (``oldest`` is UTC µs), or all take more than ``most`` bytes."""
    return _next(conn, now, oldest, most) is not None


def forget_one(conn: Connection, now: int, oldest: int, most: int) -> bool:
    """Delete what must go next, the oldest first; False when there is nothing. Needs the caller's transaction."""
    found = _next(conn, now, oldest, most)
    if found is None:
        return False
    call_id, side, payload = found
    conn.execute("DELETE FROM call_payloads WHERE call_id = ? AND side = ?", (call_id, side))
    if (
        conn.execute("SELECT 1 FROM call_payloads WHERE payload_id = ? LIMIT 1", (payload,)).fetchone()
        is None
    ):
        row = conn.execute("DELETE FROM payloads WHERE id = ? RETURNING length(body)", (payload,)).fetchone()
        if row is not None:
            _count(conn, -int(row[0]))
    return True


def tidy(conn: Connection, keep: float, most: int, ended: Callable[[], bool]) -> int:
    """Delete what is older than ``keep`` seconds or too much, in slices, until there is nothing or it is ``ended``.

    ``conn`` is a visitor. Returns the number of bodies that went. Raises sqlite3.Error.
    """
    now = _now(None)
    oldest = now - round(keep * 1_000_000)
    if not over(conn, now, oldest, most):
        return 0
    gone = 0

    def step(inside: Connection) -> bool:
        """One body."""
        nonlocal gone
        more = forget_one(inside, now, oldest, most)
        gone += more
        return more and not ended()

    sliced(conn, step)
    return gone


def _now(given: int | None) -> int:
    return time.time_ns() // 1000 if given is None else given


def _next(conn: sqlite3.Connection, now: int, oldest: int, most: int) -> tuple[bytes, int, int] | None:
    """The pointer that goes next: call, side, body."""
    columns = "SELECT call_id, side, payload_id FROM call_payloads"
    row = conn.execute(f"{columns} WHERE expires_at <= ? ORDER BY expires_at LIMIT 1", (now,)).fetchone()
    if row is None:
        row = conn.execute(f"{columns} WHERE at < ? ORDER BY at LIMIT 1", (oldest,)).fetchone()
    if row is None and taken(conn) > most:
        row = conn.execute(f"{columns} ORDER BY at LIMIT 1").fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _count(conn: sqlite3.Connection, more: int) -> None:
    conn.execute(
        "INSERT INTO marks(name, seq) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET seq = seq + excluded.seq",
        (_BYTES, more),
    )


def _rule(row: tuple[str, str, str, int, int, int]) -> Rule:
    scope, of, redact, most, keep_for, made = row
    return Rule(
        scope=scope,
        of=of,
        redact=msgspec.json.decode(redact, type=Rules),
        max_bytes=min(most, MOST_BYTES),
        keep_seconds=keep_for,
        created_at=made,
    )
