"""Virtual keys and their tokens, as administrators write them and gateways read them.

Laws:

- a token comes and stays as its digest; nothing here ever sees the secret itself;
- every write counts the revision ``access`` up in its transaction;
- a key is never deleted: calls point to it.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from gemgate.core.access import Key, Token
from gemgate.store import revisions
from gemgate.store.named import Exists, Missing
from gemgate.store.names import clean

__all__ = ["Exists", "Missing", "add_token", "change", "create", "every", "find", "stop"]

_WHY: Final = 1_000
_LISTS: Final = ("tags", "routes", "networks", "rights")
_FIELDS: Final = (
    *("id", "name", "owner", "tags", "routes", "networks", "rights", "rpm", "tpm", "concurrency"),
    *("created_at", "expires_at", "disabled_at", "stopped_at", "stopped_why"),
)
_CHANGEABLE: Final = frozenset(_FIELDS) - {"id", "name", "created_at"}
_SELECT: Final = f"SELECT {', '.join(_FIELDS)} FROM virtual_keys"  # noqa: S608 - our own names
_INSERT: Final = (
    f"INSERT INTO virtual_keys({', '.join(_FIELDS[1:])}) VALUES({', '.join('?' * len(_FIELDS[1:]))})"
    " ON CONFLICT(name) DO NOTHING RETURNING id"
)
# Budgets name keys, so a key keeps its name.
_UPDATE: Final = f"UPDATE virtual_keys SET {', '.join(f'{name} = ?' for name in _FIELDS[1:])} WHERE id = ?"  # noqa: S608
_ADD: Final = "INSERT INTO key_tokens(digest, key_id, created_at, valid_until, hint) VALUES(?, ?, ?, ?, ?)"


def every(conn: sqlite3.Connection) -> tuple[list[Key], list[Token]]:
    """All keys, whatever state they are in, and all their tokens, in the order in which they were made."""
    tokens = conn.execute(
        "SELECT digest, key_id, valid_until, hint FROM key_tokens ORDER BY key_id, created_at, digest"
    )
    return (
        [_key(row) for row in conn.execute(f"{_SELECT} ORDER BY id")],
        [Token(digest=digest, key=key, valid_until=until, hint=hint) for digest, key, until, hint in tokens],
    )


def find(conn: sqlite3.Connection, name: str) -> Key | None:
    """The key of that name."""
    row = conn.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    return None if row is None else _key(row)


def create(conn: sqlite3.Connection, key: Key, token: Token) -> Key:
    """Write a new key (its ``id`` does not count) and its first token; returns it with its id.

    Needs the caller's transaction. Raises Exists when the name is taken.
    """
    row = conn.execute(_INSERT, _row(key)).fetchone()
    if row is None:
        raise Exists(key.name)
    number = int(row[0])
    conn.execute(_ADD, (token.digest, number, key.created_at, token.valid_until, token.hint))
    revisions.bump(conn, revisions.ACCESS)
    return msgspec.structs.replace(key, id=number)


def add_token(conn: sqlite3.Connection, key_id: int, token: Token, now: int, old_until: int) -> None:
    """Give a key a further token; those it has are good until ``old_until`` (UTC µs) at most.

    Needs the caller's transaction. Raises sqlite3.IntegrityError when the token is known already.
    """
    # 0 would mean for good.
    until = max(old_until, 1)
    conn.execute(
        "UPDATE key_tokens SET valid_until = ? WHERE key_id = ? AND (valid_until = 0 OR valid_until > ?)",
        (until, key_id, until),
    )
    conn.execute(_ADD, (token.digest, key_id, now, token.valid_until, token.hint))
    revisions.bump(conn, revisions.ACCESS)


def change(conn: sqlite3.Connection, name: str, **fields: object) -> Key:
    """Write fields of ``Key`` (but ``id``, ``name``, ``created_at``); returns the key as it is then.

    Needs the caller's transaction. Raises Missing, TypeError for a field that is none.
    """
    strange = fields.keys() - _CHANGEABLE
    if strange:
        raise TypeError(f"a key's {', '.join(sorted(strange))} cannot be changed")
    known = find(conn, name)
    if known is None:
        raise Missing(name)
    changed = msgspec.structs.replace(known, **fields)
    conn.execute(_UPDATE, (*_row(changed), known.id))
    revisions.bump(conn, revisions.ACCESS)
    return changed


def stop(conn: sqlite3.Connection, key_id: int, at: int, why: str) -> bool:
    """Stop a key from now on, with a sentence for people; False when it was stopped already or is not there.

    Needs the caller's transaction.
    """
    changed = conn.execute(
        "UPDATE virtual_keys SET stopped_at = ?, stopped_why = ? WHERE id = ? AND stopped_at = 0",
        (at, clean(why, _WHY), key_id),
    ).rowcount
    if changed:
        revisions.bump(conn, revisions.ACCESS)
    return changed > 0


def _row(key: Key) -> list[Any]:
    """The fields but the id, as their columns hold them."""
    return [
        msgspec.json.encode(sorted(value) if isinstance(value, frozenset) else value).decode()
        if name in _LISTS
        else value
        for name, value in ((name, getattr(key, name)) for name in _FIELDS[1:])
    ]


def _key(row: tuple[Any, ...]) -> Key:
    """The key of a row of ``_SELECT``."""
    values = dict(zip(_FIELDS, row, strict=True))
    for name in _LISTS:
        values[name] = msgspec.json.decode(values[name])
    return msgspec.convert(values, Key)
