"""What a resource works with: settings, the record to read and to change, who asks, and the time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from flask import Flask, current_app, g, request

from gemgate.api.problems import Problem, request_id
from gemgate.api.roles import Role
from gemgate.config import Settings
from gemgate.config.settings import loopback
from gemgate.store import audit, tokens, version
from gemgate.store.connection import Connection, reader, slice_, visitor
from gemgate.store.connection import reading as _reading

SETTINGS: Final = "GEMGATE_SETTINGS"
"""Where the app's configuration holds the settings."""
OPEN: Final = "open"
"""The name of whoever asks while no token was ever made."""

_HOW: Final = "Send it as `Authorization: Bearer gg-admin-…`; `gemgate admin-token create` makes one."
# Readers that wait for the next request, by file; more than these would only hold memory.
_IDLE: Final = "gemgate_readers"
_KEPT: Final = 4
# Databases whose schema was looked at: it never goes back.
_SEEN: Final = "gemgate_records"
# Each write is followed by a pause as long, also when several requests write: the gateway must get its turn.
_turn = threading.Lock()


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the name and role of the token, whether it may read stored bodies, and the request's id."""

    name: str
    role: Role
    payloads: bool
    request_id: str


def settings() -> Settings:
    """The settings that the console was started with."""
    return cast(Settings, current_app.config[SETTINGS])


def now() -> int:
    """The time, UTC µs."""
    return time.time_ns() // 1000


@contextlib.contextmanager
def reading() -> Iterator[Connection]:
    """A connection in a read transaction of at most 2 s, one consistent view of the record.

    Raises Problem: 503 STORE_DOWN, 422 TOO_MUCH when the time is over (see ``problems.of_store``).
    """
    with _opened() as conn, _reading(conn):
        yield conn


class Change:
    """One change under way: ``conn`` is in a write transaction, ``audit`` tells of it in the same one."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def audit(self, action: str, kind: str, subject: str, before: Any = None, after: Any = None) -> None:
        """Say what was changed: ``before`` and ``after`` are JSON-able, None for nothing; never a secret."""
        who = caller()
        audit.add(
            self.conn,
            audit.Entry(
                at=now(),
                actor=who.name,
                role=who.role.value,
                action=action,
                kind=kind,
                subject=subject,
                before=before,
                after=after,
                request_id=who.request_id,
            ),
        )


@contextlib.contextmanager
def changing() -> Iterator[Change]:
    """One write transaction, undone when the block raises. What is done in it must take 20 ms at most.

    Raises Problem 503 STORE_DOWN or STORE_BUSY (see ``problems.of_store``).
    """
    _require_record()
    with _turn, contextlib.closing(visitor(settings().database)) as conn, slice_(conn):
        yield Change(conn)


def caller() -> Caller:
    """Who asks. Raises Problem 401 for a token that is missing or unknown, 503 when the record cannot say."""
    if "caller" not in g:
        g.caller = _caller()
    return cast(Caller, g.caller)


def require(needed: Role, payloads: bool = False) -> None:
    """Raise Problem 401 or 403 unless the caller has this role, and with ``payloads`` that right too."""
    if needed is Role.ANYONE:
        return
    who = caller()
    if not who.role.may(needed):
        detail = f"This needs the role {needed.value}; the token has the role {who.role.value}."
        raise Problem(403, "ROLE_NEEDED", detail, "Ask an administrator for a token with that role.")
    if payloads and not who.payloads:
        hint = "`gemgate admin-token create NAME --role viewer --payloads` makes a token that may."
        raise Problem(403, "PAYLOADS_NEEDED", "Stored bodies are read with a token made for it.", hint)


def _caller() -> Caller:
    given = _token()
    # Without a record nobody is let in: it would say whether a token was made.
    with _opened() as conn:
        found = tokens.find(conn, given) if given else None
        closed = tokens.made(conn)
    if given:
        return _held(found)
    if closed:
        raise Problem(401, "TOKEN_NEEDED", "This needs a token.", _HOW)
    if not loopback(settings().console.host):
        raise Problem(
            401, "TOKEN_NEEDED", "Others than this machine reach the console: it needs a token.", _HOW
        )
    return Caller(OPEN, Role.ADMIN, False, request_id())


def _held(token: tokens.Token | None) -> Caller:
    """Whoever holds this token, if it may be used now."""
    if token is None:
        raise Problem(401, "TOKEN_UNKNOWN", "The token is not known here.", _HOW)
    if token.disabled_at:
        hint = f"An administrator enables it with `gemgate admin-token enable {token.name}`."
        raise Problem(401, "TOKEN_DISABLED", "The token is disabled.", hint)
    if token.expires_at and now() >= token.expires_at:
        raise Problem(401, "TOKEN_EXPIRED", "The token's time is over.", _HOW)
    return Caller(token.name, Role(token.role), token.payloads, request_id())


def _token() -> str:
    """What the client sent as its token, empty for nothing."""
    own = request.headers.get("x-gemgate-token", "").strip()
    if own:
        return own
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


@contextlib.contextmanager
def _opened() -> Iterator[Connection]:
    """A reader: one that an earlier request left, else a new one, which reads the whole schema first."""
    _require_record()
    path = settings().database
    idle: dict[Path, list[tuple[int, Connection]]] = current_app.extensions.setdefault(_IDLE, {})
    file = path.stat().st_ino
    kept = idle.setdefault(path, [])
    conn = None
    while conn is None:
        try:
            known, conn = kept.pop()
        except IndexError:
            known, conn = file, reader(path)
        if known != file:  # another file has this name now, such as a backup that was brought back
            conn.close()
            conn = None
    try:
        yield conn
    except BaseException:
        conn.close()
        raise
    if len(kept) < _KEPT:
        kept.append((file, conn))
    else:
        conn.close()


def release(app: Flask) -> None:
    """Close the readers that wait for a request: whoever closes the file last takes its log away."""
    for kept in app.extensions.get(_IDLE, {}).values():
        while kept:
            kept.pop()[1].close()


def _require_record() -> None:
    """Raise Problem 503 STORE_DOWN unless there is a record of this gemgate's schema."""
    path = settings().database
    known = current_app.extensions.setdefault(_SEEN, set())
    if path in known and path.exists():
        return
    try:
        behind = version.found(path) != version.HEAD
    except (sqlite3.Error, OSError):
        raise Problem(
            503, "STORE_DOWN", "The record cannot be read.", "`gemgate doctor` looks at it."
        ) from None
    if behind:
        detail = "There is no record of this gemgate's schema yet."
        raise Problem(
            503, "STORE_DOWN", detail, "`gemgate serve` makes it, or brings it up to date.", retry_after=1.0
        )
    known.add(path)
