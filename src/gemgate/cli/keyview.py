"""Virtual keys as the commands show them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec
from rich.text import Text

from gemgate.cli.faults import missing
from gemgate.cli.shown import brief, moment, plain
from gemgate.core.access import RIGHTS, Key, Token
from gemgate.store import keys

MAKE = "Make it with `gemgate keys create NAME`."
IN_FORCE = "in force"
STYLES = {IN_FORCE: "green", "disabled": "dim", "expired": "dim", "stopped": "red"}


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


def key_named(conn: sqlite3.Connection, name: str) -> Key:
    """The key of that name. Raises CommandFault with the near names."""
    found, _ = keys.every(conn)
    key = next((one for one in found if one.name == name), None)
    if key is None:
        raise missing("key", name, [one.name for one in found], MAKE)
    return key


def views(found: Iterable[Key], tokens: Iterable[Token], now: int) -> list[KeyView]:
    """Keys with what belongs to them, in order."""
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


_COPIED = tuple(name for name in KeyView.__struct_fields__ if name not in ("state", "rights", "secrets"))


def state(key: Key, now: int) -> str:
    """Whether a key opens anything, and if not, why."""
    if key.stopped_at:
        return "stopped"
    if key.disabled_at:
        return "disabled"
    return "expired" if key.expires_at and key.expires_at <= now else IN_FORCE


def cells(view: KeyView, now: int) -> list[str | Text]:
    """A key as a row of the table."""
    return [
        plain(view.name),
        Text(view.state, style=STYLES[view.state]),
        plain(view.owner),
        plain(", ".join(view.tags)),
        plain(", ".join(view.routes)),
        ", ".join(view.rights),
        limits(view),
        brief(view.expires_at, now) if view.expires_at else "",
        view.secrets[0].hint if view.secrets else "",
    ]


def limits(view: KeyView) -> str:
    """The limits of a key in few words; empty when it has none."""
    found = ((view.rpm, "calls/min"), (view.tpm, "tokens/min"), (view.concurrency, "at once"))
    return ", ".join(f"{number:,} {unit}" for number, unit in found if number is not None)


def told(view: KeyView) -> list[str]:
    """A key in lines."""
    why = f", {view.stopped_why}" if view.state == "stopped" and view.stopped_why else ""
    lines = [
        f"Key {view.name}: {view.state}{why}",
        f"  made     {moment(view.created_at)}",
        f"  expires  {moment(view.expires_at) if view.expires_at else 'never'}",
        f"  owner    {view.owner or 'nobody'}",
        f"  tags     {', '.join(view.tags) or 'none'}",
        f"  may use  {', '.join(view.routes) or 'every model and route'}",
        f"  from     {', '.join(view.networks) or 'any address'}",
        f"  limits   {limits(view) or 'none'}",
        f"  rights   {', '.join(view.rights) or 'none'}",
    ]
    for one in view.secrets:
        until = f" until {moment(one.valid_until)}" if one.valid_until else ""
        lines.append(f"  secret   {one.hint}{until}")
    return [plain(line) for line in lines]
