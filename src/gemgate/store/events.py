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
