"""Looks at the database for `gemgate doctor`: schema, whether it can be read, whether it can be written."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from gemgate.cli.checks import Finding, Level
from gemgate.cli.shown import moment
from gemgate.store import reports, version
from gemgate.store.connection import reader, reading, sliced, visitor
from gemgate.store.reports import Filter

_NAME = "database"


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
