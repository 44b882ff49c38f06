"""Virtual keys as the commands show them."""

from __future__ import annotations

import sqlite3

from rich.text import Text

from gemgate.cli.faults import missing
from gemgate.cli.shown import brief, moment, plain
from gemgate.core.access import Key
from gemgate.store import keys
from gemgate.store.keyviews import IN_FORCE, KeyView, state, views

__all__ = ["IN_FORCE", "MAKE", "KeyView", "cells", "key_named", "limits", "state", "told", "views"]

MAKE = "Make it with `gemgate keys create NAME`."
STYLES = {IN_FORCE: "green", "disabled": "dim", "expired": "dim", "stopped": "red"}


def key_named(conn: sqlite3.Connection, name: str) -> Key:
    """The key of that name. Raises CommandFault with the near names."""
    found, _ = keys.every(conn)
    key = next((one for one in found if one.name == name), None)
    if key is None:
        raise missing("key", name, [one.name for one in found], MAKE)
    return key


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
