"""How large the record is, and what runs on it: read without counting what is long."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from gemgate.store import rollups, spill

COUNTED: Final = 10_000
"""Rows up to which a table is counted one by one."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a table has. Beyond 10,000 ``exact`` is false: ``rows`` is then its highest number, right
    as long as nothing was removed; or, where rows have none, 10,000, and ``at_least`` is true."""

    table: str
    rows: int
    exact: bool
    at_least: bool = False


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes: of the database, of its log, of rows that wait in spill files, and what is free in the database."""

    database: int
    wal: int
    spill: int
    free: int


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a set of sums has come: ``seq`` of the last call in it, ``behind`` calls at most after it, ``lag`` µs
    since the end of the first of them, 0 when there is none. ``seq`` is -1 while the set is made anew."""

    name: str
    seq: int
    behind: int
    lag: int


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One life of a gateway: times in UTC µs, ``ended_at`` None while it runs or when it was killed."""

    node: str
    pid: int
    version: str
    started_at: int
    ended_at: int | None


def rows(conn: sqlite3.Connection) -> list[Rows]:
    """All tables with their rows, by name."""
    found = conn.execute(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        " AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
    ).fetchall()
    return [_rows(conn, name, bool(bare)) for name, bare in found]


def _rows(conn: sqlite3.Connection, name: str, bare: bool) -> Rows:
    quoted = '"' + name.replace('"', '""') + '"'
    # An id beyond COUNTED says at once that counting is not worth it.
    top = 0 if bare else conn.execute(f"SELECT max(rowid) FROM {quoted}").fetchone()[0] or 0  # noqa: S608
    count = conn.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {quoted} LIMIT {COUNTED + 1})"  # noqa: S608 - a table's own name
    ).fetchone()[0]
    if count <= COUNTED:
        return Rows(table=name, rows=count, exact=True)
    return Rows(table=name, rows=max(top, COUNTED), exact=False, at_least=bare)


def sizes(conn: sqlite3.Connection, path: Path) -> Sizes:
    """What lies on the disk. ``path`` is the database's."""
    page = conn.execute("PRAGMA page_size").fetchone()[0]
    return Sizes(
        database=_size(path),
        wal=_size(path.with_name(path.name + "-wal")),
        spill=sum(_size(one) for one in (path.parent / spill.FOLDER).glob("*")),
        free=page * conn.execute("PRAGMA freelist_count").fetchone()[0],
    )


def marks(conn: sqlite3.Connection, now: int) -> list[Mark]:
    """How far the sums are behind the calls, set by set. ``now`` is UTC µs."""
    top = conn.execute("SELECT max(seq) FROM calls").fetchone()[0] or 0
    found = []
    for name, seq in rollups.marks(conn).items():
        first = conn.execute(
            "SELECT received_at + duration FROM calls WHERE seq > ? ORDER BY seq LIMIT 1", (max(seq, 0),)
        ).fetchone()
        lag = 0 if first is None else max(0, now - first[0])
        found.append(Mark(name=name, seq=seq, behind=max(0, top - max(seq, 0)), lag=lag))
    return found


def calls(conn: sqlite3.Connection) -> int:
    """How many calls are on record, counted one by one."""
    return int(conn.execute("SELECT count(*) FROM calls").fetchone()[0])


def lives(conn: sqlite3.Connection, limit: int = 10) -> list[Life]:
    """The newest lives of gateways, newest first."""
    found = conn.execute(
        "SELECT node, pid, version, started, ended FROM boots ORDER BY id DESC LIMIT ?", (limit,)
    )
    return [
        Life(node=node, pid=pid, version=version, started_at=started, ended_at=ended)
        for node, pid, version, started, ended in found
    ]


def _size(path: Path) -> int:
    """Asked of the file system: opening the file beside SQLite would drop SQLite's locks."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
