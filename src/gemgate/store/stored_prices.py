"""Dated prices that administrators stored, beside those of the price book.

Laws:

- a row stands as in the price book's file, with its model; ``core.dated`` says what it replaces there;
- a damaged row is known by its ``id`` alone: it stops no other, and can be taken away;
- rows count in the order in which they were stored: a later one goes before an earlier one;
- every write counts the revision ``routing`` up in its transaction, so that gateways notice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gemgate.config.book import load_book
from gemgate.core import dated
from gemgate.core.pricing import PriceBook
from gemgate.store import revisions
from gemgate.store.connection import Connection
from gemgate.store.named import Missing

__all__ = ["PREFIX", "Missing", "add", "every", "find", "in_force", "looked", "remove"]

PREFIX: Final = "stored/"
"""How the ids of stored rows begin: ``stored/7``."""
# Bodies are read as bytes: what stands there as text may be none.
_REMOVE: Final = "DELETE FROM stored_prices WHERE id = ? RETURNING id, CAST(body AS BLOB)"
_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def every(conn: sqlite3.Connection) -> list[dict[str, Any]]:
    """All stored rows in the form of the price book's file, each with its ``id`` and ``model``, oldest first.

    A damaged one has its ``id`` alone.
    """
    return [
        _row(*row) for row in conn.execute("SELECT id, CAST(body AS BLOB) FROM stored_prices ORDER BY id")
    ]


def in_force(conn: sqlite3.Connection, file: Path | None) -> PriceBook:
    """The price book as a gateway has it: the package's, the rows of ``file`` (the setting), and what is stored.

    Stored rows that cannot be meant are left out. Raises BadBook, OSError for the file.
    """
    return looked(conn, file)[0]


def looked(conn: sqlite3.Connection, file: Path | None) -> tuple[PriceBook, dict[str, str]]:
    """The price book in force, and the stored rows that are left out of it, by id, each with what is wrong.

    Raises BadBook, OSError for the file.
    """
    return dated.joined(load_book(file), every(conn))


def find(conn: sqlite3.Connection, number: int) -> dict[str, Any] | None:
    """The stored row of that number; a damaged one has its ``id`` alone."""
    row = conn.execute("SELECT id, CAST(body AS BLOB) FROM stored_prices WHERE id = ?", (number,)).fetchone()
    return None if row is None else _row(*row)


def add(conn: Connection, row: Mapping[str, object], now: int) -> dict[str, Any]:
    """Store a row (its ``id`` does not count); returns it with its id. ``now`` is UTC µs.

    Whether it can be meant is for ``core.dated.add`` to say, before. Needs the caller's transaction.
    """
    body = msgspec.json.encode({name: value for name, value in row.items() if name != "id"}).decode()
    # A number is never given twice, so that an id means one row on record for good.
    number = conn.execute(
        "INSERT INTO stored_prices(id, body, created_at) VALUES("
        "(SELECT max(ifnull(max(id), 0), ifnull((SELECT seq FROM marks WHERE name = 'stored_prices'), 0)) + 1"
        " FROM stored_prices), ?, ?) RETURNING id",
        (body, now),
    ).fetchone()[0]
    conn.execute(
        "INSERT INTO marks(name, seq) VALUES('stored_prices', ?)"
        " ON CONFLICT(name) DO UPDATE SET seq = excluded.seq",
        (number,),
    )
    revisions.bump(conn, revisions.ROUTING)
    return _row(int(number), body.encode())


def remove(conn: Connection, number: int) -> dict[str, Any]:
    """Take a stored row away; returns what it was, of a damaged one its ``id`` alone.

    Needs the caller's transaction. Raises Missing.
    """
    row = conn.execute(_REMOVE, (number,)).fetchone()
    if row is None:
        raise Missing(f"{PREFIX}{number}")
    revisions.bump(conn, revisions.ROUTING)
    return _row(*row)


def _row(number: int, body: bytes | None) -> dict[str, Any]:
    try:
        found = _decoder.decode(body or b"")
    except (ValueError, RecursionError):
        found = {}
    return {**found, "id": f"{PREFIX}{number}"}
