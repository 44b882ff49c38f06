"""Who changed what: one row for each change, written in the transaction of the change. Append-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gemgate.store.columns import NAME_LENGTH
from gemgate.store.names import clean

_WORD: Final = 40
_ID: Final = 64
_FILTERS: Final = ("actor", "action", "kind", "subject")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. ``at`` is UTC µs; ``actor`` a token's name, ``open`` or ``cli:<user>``.

    ``action`` is a verb (create, change, delete; rotate, pause, …), ``kind`` what was changed (key, route, …),
    ``subject`` its name; ``before`` and ``after`` are what it was and is, JSON-able, None where there was or is
    nothing. No secret is in them. ``seq`` numbers the rows; 0 while it has none.
    """

    at: int
    actor: str
    role: str
    action: str
    kind: str
    subject: str
    before: Any = None
    after: Any = None
    request_id: str = ""
    seq: int = 0


def add(conn: sqlite3.Connection, entry: Entry) -> None:
    """Put a change on record; one that left everything as it was leaves no row.

    Needs the transaction of the change.
    """
    if entry.before is not None and entry.before == entry.after:
        return
    conn.execute(
        "INSERT INTO audit(at, actor, role, action, kind, subject, before, after, request_id)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.at,
            clean(entry.actor, NAME_LENGTH),
            entry.role,
            clean(entry.action, _WORD),
            clean(entry.kind, _WORD),
            clean(entry.subject, NAME_LENGTH),
            _json(entry.before),
            _json(entry.after),
            clean(entry.request_id, _ID),
        ),
    )


def listing(
    conn: sqlite3.Connection, limit: int = 50, below: int = 0, filters: Mapping[str, str | int] | None = None
) -> list[Entry]:
    """The newest ``limit`` changes with a ``seq`` under ``below`` (0: all), newest first.

    ``filters`` narrow: ``actor``, ``action``, ``kind``, ``subject``, and ``since``, ``until`` (UTC µs, from and
    before).
    """
    where, values = ["1"], []  # type: tuple[list[str], list[str | int]]
    known = filters or {}
    for column in _FILTERS:
        if known.get(column):
            where.append(f"{column} = ?")
            values.append(known[column])
    for bound, test in (("since", "at >= ?"), ("until", "at < ?")):
        if known.get(bound):
            where.append(test)
            values.append(known[bound])
    if below:
        where.append("seq < ?")
        values.append(below)
    rows = conn.execute(
        "SELECT at, actor, role, action, kind, subject, before, after, request_id, seq FROM audit"  # noqa: S608
        f" WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?",
        (*values, limit),
    )
    return [_entry(row) for row in rows]


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _entry(row: tuple[Any, ...]) -> Entry:
    at, actor, role, action, kind, subject, before, after, request_id, seq = row
    return Entry(
        at=at,
        actor=actor,
        role=role,
        action=action,
        kind=kind,
        subject=subject,
        before=None if before is None else msgspec.json.decode(before),
        after=None if after is None else msgspec.json.decode(after),
        request_id=request_id,
        seq=seq,
    )
