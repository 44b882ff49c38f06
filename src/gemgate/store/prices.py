"""The price book as the record keeps it: every row that ever priced an attempt, so that its money can be proven.

A book is stored whole under the digest of its rows, once; the book loaded last is the one in force. Older books
stay for the attempts they priced.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from gemgate.core.pricing import Price
from gemgate.store.connection import Connection

_encoder: Final = msgspec.json.Encoder(order="sorted")
_decoder: Final = msgspec.json.Decoder(Price)


def sync(conn: Connection, rows: Iterable[Price], book: str, now: int) -> int:
    """Put a book on record and in force: all its rows, at all dates. Needs the caller's transaction.

    ``book`` is a name for people (``built in, as of 2026-11-20``), ``now`` is UTC µs. Returns the number of rows
    that were new. Loading the same book again only says that it is in force.
    """
    bodies = sorted((row.id, _encoder.encode(row).decode()) for row in rows)
    digest = _digest(body for _, body in bodies)
    number = conn.execute(
        "INSERT INTO price_books(digest, name, loaded) VALUES(?, ?, ?)"
        " ON CONFLICT(digest) DO UPDATE SET name = excluded.name, loaded = excluded.loaded RETURNING id",
        (digest, book[:200], now),
    ).fetchone()[0]
    new = conn.executemany(
        "INSERT INTO prices(name, book_id, body) VALUES(?, ?, ?) ON CONFLICT(book_id, name) DO NOTHING",
        [(name, number, body) for name, body in bodies],
    ).rowcount
    conn.names.load_prices()
    return new


def on_record(conn: Connection, rows: Iterable[Price], book: str) -> dict[str, int]:
    """The integers of a book's rows by their names. A book that is not on record is put there, not in force.

    Which book is in force is for gateways to say. Needs the caller's transaction.
    """
    bodies = sorted((row.id, _encoder.encode(row).decode()) for row in rows)
    digest = _digest(body for _, body in bodies)
    known = conn.execute("SELECT id FROM price_books WHERE digest = ?", (digest,)).fetchone()
    if known is None:
        known = conn.execute(
            "INSERT INTO price_books(digest, name, loaded) VALUES(?, ?, 0) RETURNING id", (digest, book[:200])
        ).fetchone()
        conn.executemany(
            "INSERT INTO prices(name, book_id, body) VALUES(?, ?, ?)",
            [(name, known[0], body) for name, body in bodies],
        )
    return dict(conn.execute("SELECT name, id FROM prices WHERE book_id = ?", known))


def at(conn: sqlite3.Connection, when: int) -> list[Price]:
    """The rows of the book in force that hold at a moment (UTC µs)."""
    rows = conn.execute(
        "SELECT body FROM prices"
        " WHERE book_id = (SELECT id FROM price_books ORDER BY loaded DESC, id DESC LIMIT 1) ORDER BY id"
    )
    prices = [_decoder.decode(body) for (body,) in rows]
    return [
        price
        for price in prices
        if (price.since is None or price.since <= when) and (price.until is None or when < price.until)
    ]


def stored(conn: sqlite3.Connection) -> dict[int, Price | None]:
    """Every price row on record by its integer; None for a body that cannot be read."""
    found: dict[int, Price | None] = {}
    for number, body in conn.execute("SELECT id, body FROM prices"):
        try:
            found[number] = _decoder.decode(body)
        except msgspec.DecodeError:
            found[number] = None
    return found


def changed(conn: sqlite3.Connection) -> list[str]:
    """The names of books on record whose rows are no longer those that were loaded."""
    found = []
    for number, name, digest in conn.execute("SELECT id, name, digest FROM price_books").fetchall():
        bodies = conn.execute("SELECT body FROM prices WHERE book_id = ? ORDER BY name", (number,))
        if _digest(str(body) for (body,) in bodies) != digest:
            found.append(str(name))
    return found


def _digest(bodies: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(bodies).encode()).hexdigest()
