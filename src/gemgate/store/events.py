"""What people should hear of: a budget at its soft line or spent, a key that runs away. Append-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from gemgate.core.call import Event
from gemgate.store.columns import INSERT_EVENT, NAME_LENGTH
from gemgate.store.names import clean

_KIND: Final = 40
_SENTENCE: Final = 1_000


def add(conn: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Put events on record, in order. Needs the caller's transaction."""
    if events:
        rows = [
            (
                event.at,
                clean(event.kind, _KIND),
                clean(event.subject, NAME_LENGTH),
                clean(event.sentence, _SENTENCE),
            )
            for event in events
        ]
        INSERT_EVENT.rows(conn, rows)


def page(
    conn: sqlite3.Connection,
    limit: int,
    below: int = 0,
    kind: str = "",
    subject: str = "",
    span: tuple[int, int] = (0, 0),
) -> list[tuple[int, Event]]:
    """The newest ``limit`` events numbered under ``below`` (0: all), newest first, each with its number.

    ``kind`` and ``subject`` narrow, ``span`` is from and before, UTC µs, 0 for open.
    """
    where, values = ["1"], []  # type: tuple[list[str], list[int | str]]
    since, until = span
    tests = (
        ("seq < ?", below),
        ("kind = ?", kind),
        ("subject = ?", subject),
        ("at >= ?", since),
        ("at < ?", until),
    )
    for test, value in tests:
        if value:
            where.append(test)
            values.append(value)
    rows = conn.execute(
        f"SELECT seq, at, kind, subject, sentence FROM events WHERE {' AND '.join(where)}"  # noqa: S608 - our words
        " ORDER BY seq DESC LIMIT ?",
        (*values, limit),
    )
    return [(row[0], Event(*row[1:])) for row in rows]


def newest(
    conn: sqlite3.Connection, since: int = 0, limit: int = 100, kind: str = "", subject: str = ""
) -> list[Event]:
    """The newest ``limit`` events at ``since`` (UTC µs) or later, newest first; ``kind`` and ``subject`` narrow."""
    where, values = ["at >= ?"], [since]  # type: tuple[list[str], list[int | str]]
    for column, value in (("kind", kind), ("subject", subject)):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    rows = conn.execute(
        f"SELECT at, kind, subject, sentence FROM events WHERE {' AND '.join(where)}"  # noqa: S608 - our own words
        " ORDER BY seq DESC LIMIT ?",
        (*values, limit),
    )
    return [Event(*row) for row in rows]
