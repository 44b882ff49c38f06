"""Virtual keys as people see them: with their state and their secrets' hints, never the secrets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from gemgate.core.access import RIGHTS, Key, Token
from gemgate.store import keys

IN_FORCE: Final = "in force"
_EXTRA: Final = ("state", "rights", "secrets")


class Secret(msgspec.Struct, frozen=True):
    """A secret of a key by its first and last characters; ``valid_until`` is UTC µs, 0 for good."""

    hint: str
    valid_until: int


class KeyView(msgspec.Struct, frozen=True):
    """A key with its state (``in force``, ``disabled``, ``stopped``, ``expired``) and the secrets that still work.

    Times are UTC µs, 0 for never; a limit of None is none.
    """

    name: str
    state: str
    owner: str
    tags: tuple[str, ...]
    routes: tuple[str, ...]
    networks: tuple[str, ...]
    rights: tuple[str, ...]
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    created_at: int
    expires_at: int
    disabled_at: int
    stopped_at: int
    stopped_why: str
    secrets: tuple[Secret, ...]


_COPIED: Final = tuple(name for name in KeyView.__struct_fields__ if name not in _EXTRA)


def views(found: Iterable[Key], tokens: Iterable[Token], now: int) -> list[KeyView]:
    """Keys with what belongs to them, in order. ``now`` is UTC µs."""
    secrets: dict[int, list[Secret]] = {}
    for token in tokens:
        if not token.valid_until or token.valid_until > now:
            secrets.setdefault(token.key, []).append(Secret(token.hint, token.valid_until))
    return [
        KeyView(
            state=state(key, now),
            rights=tuple(one for one in RIGHTS if one in key.rights),
            # The one that stays comes first.
            secrets=tuple(
                sorted(secrets.get(key.id, ()), key=lambda one: (one.valid_until != 0, one.valid_until))
            ),
            **{name: getattr(key, name) for name in _COPIED},
        )
        for key in found
    ]


def view(conn: sqlite3.Connection, name: str, now: int) -> KeyView | None:
    """The key of that name. ``now`` is UTC µs."""
    found, tokens = keys.every(conn)
    return next(iter(views([key for key in found if key.name == name], tokens, now)), None)


def state(key: Key, now: int) -> str:
    """Whether a key opens anything, and if not, why."""
    if key.stopped_at:
        return "stopped"
    if key.disabled_at:
        return "disabled"
    return "expired" if key.expires_at and key.expires_at <= now else IN_FORCE
