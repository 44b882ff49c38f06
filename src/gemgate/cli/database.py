"""Looks at the database for `gemgate doctor`: schema, whether it can be read and written, and who may call."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from gemgate.cli.checks import Finding, Level
from gemgate.cli.keyview import IN_FORCE, state
from gemgate.cli.shown import moment
from gemgate.config import Settings
from gemgate.config.fitness import keyless, tokenless
from gemgate.core.access import Key
from gemgate.store import keys, reports, tokens, version
from gemgate.store.connection import reader, reading, sliced, visitor
from gemgate.store.reports import Filter

_NAME = "database"
_ACCESS = "access"
_CONSOLE = "console"


def look(path: Path) -> list[Finding]:
    """What the file is, whether its calls can be read, and whether it takes rows."""
    try:
        schema = version.found(path)
        if schema is None:
            return [Finding(Level.OK, _NAME, f"{path} does not exist yet; `gemgate serve` makes it")]
        due = version.needs(path)
    except version.Newer as error:
        return [Finding(Level.FAIL, _NAME, "it is of a later gemgate", str(error))]
    except (sqlite3.Error, OSError) as error:
        remedy = "Restore a backup, or move the file away: gemgate then begins a new one."
        return [Finding(Level.FAIL, _NAME, f"{path} cannot be read: {error}", remedy)]
    found = Finding(Level.OK, _NAME, f"schema {schema} is this gemgate's")
    if due:
        remedy = "Nothing to do: `gemgate serve` brings it up to date."
        found = Finding(Level.WARN, _NAME, f"schema {schema} is older than this gemgate's", remedy)
        return [found, _writable(path)]
    return [found, _readable(path), _writable(path)]


def access(settings: Settings) -> list[Finding]:
    """Whether virtual keys exist, and whether they are needed; nothing where the file cannot tell."""
    try:
        if version.found(settings.database) is None:
            found: list[Key] = []
        elif version.needs(settings.database):
            return []
        else:
            with contextlib.closing(reader(settings.database)) as conn, reading(conn):
                made, tokens = keys.every(conn)
                held = {token.key for token in tokens}
                found = [key for key in made if key.id in held]
    except (version.Newer, sqlite3.Error, OSError):
        return []  # `look` has said so
    fault = keyless(settings)
    if not found and fault is not None:
        text = f"{fault.key}: expected {fault.expected}, found {fault.got_kind}"
        return [Finding(Level.FAIL, _ACCESS, text, fault.remedy)]
    if not found:
        who = "clients bring Google keys of their own, and none is asked for"
        if settings.upstream.credentials == "own":
            who = f"whoever reaches {settings.gateway.host} may use the gateway"
        return [Finding(Level.OK, _ACCESS, f"there is no virtual key: {who}")]
    now = time.time_ns() // 1000
    open_ = sum(state(key, now) == IN_FORCE for key in found)
    text = f"every client needs a virtual key: {len(found)} made, {open_} in force"
    if not open_:
        remedy = "Nobody can call: `gemgate keys list --all`, then enable one or make another."
        return [Finding(Level.WARN, _ACCESS, text, remedy)]
    return [Finding(Level.OK, _ACCESS, text)]


def console(settings: Settings) -> list[Finding]:
    """Whether the console asks for an admin token, and whether it must; nothing where the file cannot tell."""
    try:
        if version.found(settings.database) is None:
            found: list[tokens.Token] = []
        elif version.needs(settings.database):
            return []
        else:
            with contextlib.closing(reader(settings.database)) as conn, reading(conn):
                found = tokens.every(conn)
    except (version.Newer, sqlite3.Error, OSError):
        return []  # `look` has said so
    fault = tokenless(settings)
    if not found and fault is not None:
        text = f"{fault.key}: expected {fault.expected}, found {fault.got_kind}"
        return [Finding(Level.FAIL, _CONSOLE, text, fault.remedy)]
    if not found:
        text = "there is no admin token: whoever is on this machine may use the console"
        return [Finding(Level.OK, _CONSOLE, text)]
    now = time.time_ns() // 1000
    good = sum(not one.disabled_at and not 0 < one.expires_at <= now for one in found)
    text = f"the console asks for an admin token: {len(found)} made, {good} in force"
    if not good:
        remedy = "Nobody can use it: `gemgate admin-token list`, then enable one or make another."
        return [Finding(Level.WARN, _CONSOLE, text, remedy)]
    return [Finding(Level.OK, _CONSOLE, text)]


def _readable(path: Path) -> Finding:
    try:
        with contextlib.closing(reader(path)) as conn, reading(conn):
            newest = reports.newest(conn, Filter(), 1)
    except (sqlite3.Error, OSError) as error:
        remedy = "Run `gemgate verify`, and restore a backup if the file is damaged."
        return Finding(Level.FAIL, _NAME, f"its calls cannot be read: {error}", remedy)
    last = (
        f"the newest call is number {newest[0].seq}, of {moment(newest[0].received_at)}"
        if newest
        else "no calls yet"
    )
    return Finding(Level.OK, _NAME, f"it can be read; {last}")


def _writable(path: Path) -> Finding:
    try:
        with contextlib.closing(visitor(path)) as conn:
            # An empty write transaction: it needs all that a row needs, and leaves nothing.
            sliced(conn, lambda _: False)
    except (sqlite3.Error, OSError) as error:
        remedy = "Make the file and its folder writable for this user; end the program that locks it."
        return Finding(Level.FAIL, _NAME, f"it cannot be written: {error}", remedy)
    return Finding(Level.OK, _NAME, "it can be written")
