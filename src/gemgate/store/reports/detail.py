"""One call with all that hangs on it."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.core.call import Event, unspell
from gemgate.core.pricing import Price
from gemgate.store import payloads
from gemgate.store.reports.calls import AttemptRow, CallRow, attempts

_EVENTS: Final = 50


class PriceUsed(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a price book that priced tries of the call: its name, the book's name, the tries' numbers, and the
    row itself (None where it cannot be read): rates in nano-dollars per million tokens."""

    name: str
    book: str
    tries: tuple[int, ...]
    row: Price | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A call and what hangs on it.

    ``prefixes`` are the sizes (bytes) of the beginnings of its body whose hashes are kept. ``events`` are those that
    came while it ran about what it was made with: key, user, route, model, project, tags, and budgets of these or of
    all. ``payloads`` are the bodies that are stored.
    """

    call: CallRow
    tries: list[AttemptRow]
    prices: list[PriceUsed]
    prefixes: list[int]
    events: list[Event]
    payloads: list[payloads.Stored]


def detail(conn: sqlite3.Connection, row: CallRow) -> Told:
    """Everything of a call."""
    prefixes = conn.execute("SELECT size FROM prefixes WHERE call_seq = ? ORDER BY size", (row.seq,))
    return Told(
        call=row,
        tries=attempts(conn, row.seq),
        prices=_prices(conn, row.seq),
        prefixes=[size for (size,) in prefixes],
        events=_events(conn, row),
        payloads=payloads.of_call(conn, unspell(row.call_id)),
    )


def _prices(conn: sqlite3.Connection, seq: int) -> list[PriceUsed]:
    rows = conn.execute(
        "SELECT a.price_id, a.number, p.name, b.name, p.body FROM attempts AS a JOIN prices AS p ON p.id = a.price_id"
        " JOIN price_books AS b ON b.id = p.book_id WHERE a.call_seq = ? ORDER BY a.number",
        (seq,),
    ).fetchall()
    found: list[PriceUsed] = []
    for price in dict.fromkeys(row[0] for row in rows):
        those = [row for row in rows if row[0] == price]
        _, _, name, book, body = those[0]
        found.append(PriceUsed(name=name, book=book, tries=tuple(row[1] for row in those), row=_read(body)))
    return found


def _read(body: str) -> Price | None:
    try:
        return msgspec.json.decode(body, type=Price)
    except msgspec.DecodeError:
        return None


def _events(conn: sqlite3.Connection, row: CallRow) -> list[Event]:
    about = [name for name in (row.key, row.user, row.route, row.model, row.project, *row.tags) if name]
    marks = ", ".join("?" * len(about))
    of = f"subject IN ({marks}) OR subject IN (SELECT name FROM budgets WHERE scope = 'all' OR \"of\" IN ({marks}))"  # noqa: S608
    rows = conn.execute(
        f"SELECT at, kind, subject, sentence FROM events WHERE at BETWEEN ? AND ? AND ({of}) ORDER BY at LIMIT ?",  # noqa: S608
        (row.received_at, row.received_at + row.duration, *about, *about, _EVENTS),
    )
    return [Event(*values) for values in rows]
