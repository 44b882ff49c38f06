"""Admin tokens: who may use the console, as administrators make them and the console looks them up.

Laws:

- a token is kept as the SHA-256 of the whole of it; it has 256 bits of chance, so no salt and no slow hash are
  needed; it is looked up by that digest, and the digest that was found is compared in constant time;
- a token is never deleted: the audit names it. Once one was made, nobody is let in without one.
"""

from __future__ import annotations

import hmac
import sqlite3
from typing import Any, Final

import msgspec

from gemgate.core import access
from gemgate.store.named import Exists, Missing

__all__ = [
    "PREFIX",
    "ROLES",
    "Exists",
    "Missing",
    "Token",
    "create",
    "disable",
    "enable",
    "every",
    "find",
    "made",
    "mint",
]

PREFIX: Final = "gg-admin-"
"""How every admin token begins, so that people and scanners know one when they see it."""
ROLES: Final = ("viewer", "operator", "admin")
"""The roles that a token can have, each may what those before it may."""
RESERVED: Final = ("open", "console")
"""Names that the audit gives to whoever has no token."""

_FIELDS: Final = ("id", "name", "role", "payloads", "hint", "created_at", "expires_at", "disabled_at")
_SELECT: Final = f"SELECT {', '.join(_FIELDS)} FROM admin_tokens"  # noqa: S608 - our own names


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One admin token without its secret. Times are UTC microseconds, 0 for never.

    ``payloads`` says whether it may read stored bodies of calls; ``hint`` shows the ends of the secret.
    """

    name: str
    role: str
    id: int = 0
    payloads: bool = False
    hint: str = ""
    created_at: int = 0
    expires_at: int = 0
    disabled_at: int = 0


def mint(chance: bytes) -> str:
    """A new token from 32 random bytes. Raises ValueError for another number of them."""
    return PREFIX + access.mint(chance).removeprefix(access.PREFIX)


def hint(token: str) -> str:
    """What people may see of a token: ``gg-admin-ab12…wxyz``."""
    secret = token.removeprefix(PREFIX)
    return f"{PREFIX}{secret[:4]}…{secret[-4:]}" if len(secret) > 16 else f"{PREFIX}…"


def made(conn: sqlite3.Connection) -> bool:
    """Whether a token was ever made, also one that may not be used now."""
    return conn.execute("SELECT 1 FROM admin_tokens LIMIT 1").fetchone() is not None


def find(conn: sqlite3.Connection, token: str) -> Token | None:
    """The token with this secret, whether or not it may be used now; None for a foreign one."""
    digest = access.digest(token)
    row = conn.execute(
        f"SELECT digest, {', '.join(_FIELDS)} FROM admin_tokens WHERE digest = ?",  # noqa: S608 - our own names
        (digest,),
    ).fetchone()
    if row is None or not hmac.compare_digest(row[0], digest):
        return None
    return _token(row[1:])


def every(conn: sqlite3.Connection) -> list[Token]:
    """All tokens in the order in which they were made."""
    return [_token(row) for row in conn.execute(f"{_SELECT} ORDER BY id")]


def create(conn: sqlite3.Connection, token: Token, secret: str) -> Token:
    """Put a new token on record; returns it with its id and hint.

    Needs the caller's transaction. Raises Exists when the name is taken, ValueError for a role that is none, or a
    name that is reserved.
    """
    if token.role not in ROLES:
        raise ValueError(f"a token's role is one of {', '.join(ROLES)}")
    if token.name in RESERVED or ":" in token.name:
        # The audit would show it as somebody else.
        raise ValueError(f"a token is not named {token.name!r}: the audit calls others so")
    fresh = msgspec.structs.replace(token, hint=hint(secret))
    row = conn.execute(
        "INSERT INTO admin_tokens(name, role, payloads, digest, hint, created_at, expires_at, disabled_at)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT(name) DO NOTHING RETURNING id",
        (
            fresh.name,
            fresh.role,
            int(fresh.payloads),
            access.digest(secret),
            fresh.hint,
            fresh.created_at,
            fresh.expires_at,
        ),
    ).fetchone()
    if row is None:
        raise Exists(token.name)
    return msgspec.structs.replace(fresh, id=int(row[0]))


def disable(conn: sqlite3.Connection, name: str, at: int) -> tuple[Token, Token]:
    """Stop a token from ``at`` (UTC µs) on; returns it before and after. Needs the caller's transaction.

    One that is disabled stays so since when it was. Raises Missing.
    """
    return _set(conn, name, at)


def enable(conn: sqlite3.Connection, name: str) -> tuple[Token, Token]:
    """Let a token be used again; returns it before and after. Needs the caller's transaction. Raises Missing."""
    return _set(conn, name, 0)


def _set(conn: sqlite3.Connection, name: str, at: int) -> tuple[Token, Token]:
    row = conn.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise Missing(name)
    before = _token(row)
    after = before if at and before.disabled_at else msgspec.structs.replace(before, disabled_at=at)
    conn.execute("UPDATE admin_tokens SET disabled_at = ? WHERE id = ?", (after.disabled_at, before.id))
    return before, after


def _token(row: tuple[Any, ...]) -> Token:
    """The token of a row of ``_SELECT``."""
    values = dict(zip(_FIELDS, row, strict=True))
    values["payloads"] = bool(values["payloads"])
    return msgspec.convert(values, Token)
