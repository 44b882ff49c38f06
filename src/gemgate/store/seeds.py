"""Seeded records: written by the hundred thousand, marked as such, and taken out again.

Laws:

- all rows of a seeding are calls of a boot of its own, on keys that nobody can hold and on projects of its own
  names; the table ``seeds`` says which and where, from its first slice on, so that what was begun can be removed;
- rows are those that ``ledger`` makes of a record, with times, numbers, ids and hashes put in anew;
- which price book is in force is left as it is;
- removing sets ``marks`` back to the last call that is left, in the same transaction: the numbers of removed
  calls may be given again. The sums of reports are made anew then (``rollups.reset`` has the same effect).

Foreign keys are not checked row by row here (it would take half of the time): ``gemgate verify`` proves them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gemgate.core.call import mint
from gemgate.core.pricing import PriceBook
from gemgate.insight.chance import Chance
from gemgate.insight.seeding import KEY, Pattern, Plan
from gemgate.store import boots, ledger, prices, revisions, rollups, uses
from gemgate.store.columns import ATTEMPTS, CALLS, INSERT_CALL, INSERT_CALL_TAG
from gemgate.store.connection import SLICE as PAUSE
from gemgate.store.connection import Connection, sliced

OWNER: Final = "gemgate seed"
"""The owner of the keys that a seeding makes."""
NODE: Final = "seed"
"""The node of the boots that it makes."""
SLICE: Final = 48
"""Calls in one transaction beside a living gateway: five to ten milliseconds."""
BATCH: Final = 4_000
"""Calls in one transaction when no gateway lives on the folder."""
_HASH: Final = CALLS.index("request_hash")
_SENT: Final = ATTEMPTS.index("sent_at")
_RESPONSE: Final = ATTEMPTS.index("response")
_REPEATED: Final = 0x3F  # one call in 64 asks what another of its pattern asked
_INSERT_KEY: Final = """
INSERT INTO virtual_keys(name, owner, tags, routes, networks, rights, created_at, expires_at, disabled_at,
                         stopped_at, stopped_why)
VALUES(?, ?, '[]', '[]', '[]', '[]', ?, 0, ?, 0, '') ON CONFLICT(name) DO NOTHING
"""
# A key that was given a token since is somebody's.
_KEYS: Final = """
SELECT id FROM virtual_keys AS k WHERE owner = ? AND NOT EXISTS (SELECT 1 FROM key_tokens WHERE key_id = k.id)
"""


class Seeded(NamedTuple):
    """One seeding that is on record: its boot's number, its calls, their lowest and highest number, when."""

    boot: int
    calls: int
    low: int
    high: int
    made_at: int


class _Try(NamedTuple):
    """The row of a try, cut likewise; ``sent`` is µs after the call's time."""

    sent: int
    before: tuple[Any, ...]
    middle: tuple[Any, ...]
    answered: bool
    after: tuple[Any, ...]


class _Mold(NamedTuple):
    """The rows of a pattern, cut where something of each call's own is put in."""

    before: tuple[Any, ...]  # of the call, after its time and before its hash
    hash: int
    after: tuple[Any, ...]
    tries: tuple[_Try, ...]
    charges: tuple[tuple[Any, ...], ...]
    details: tuple[tuple[Any, ...], ...]
    shared: tuple[tuple[int, int], ...]  # prefixes in common with others: size, hash
    own: tuple[int, ...]  # sizes of prefixes of its own
    tags: tuple[int, ...]


class Sower:
    """Writes the calls of one seeding. Made by ``begin``."""

    def __init__(self, boot: int, chance: Chance, keys: Mapping[str, int], book: Mapping[str, int]) -> None:
        self.boot = boot
        self._chance = chance
        self._keys = keys
        self._book = book
        self._molds: list[_Mold] = []

    def clear(self) -> None:
        """Forget all patterns."""
        self._molds.clear()

    def learn(self, conn: Connection, patterns: Sequence[Pattern]) -> None:
        """Take these patterns too. Makes names, so it needs the caller's transaction."""
        conn.names.prices = dict(self._book)
        try:
            self._molds += [self._mold(conn, pattern) for pattern in patterns]
        finally:
            conn.names.load_prices()

    def _mold(self, conn: Connection, pattern: Pattern) -> _Mold:
        names, record = conn.names, pattern.record
        record = msgspec.structs.replace(record, key=self._keys.get(pattern.key, 0))
        names.boots[record.boot] = self.boot
        row = ledger.call_row(names, 0, record)
        made = ledger.parts(names, -1, [(0, record)])
        began = record.received_at
        tries = tuple(
            _Try(
                one[_SENT] - began,
                one[2:_SENT],
                one[_SENT + 1 : _RESPONSE],
                one[_RESPONSE] is not None,
                one[_RESPONSE + 1 :],
            )
            for one in made.attempts
        )
        common = pattern.shared
        return _Mold(
            before=row[4:_HASH],
            hash=row[_HASH],
            after=row[_HASH + 1 :],
            tries=tries,
            charges=tuple(made.charges),
            details=tuple(made.details),
            shared=tuple((size, value) for _, size, value in made.prefixes[:common]),
            own=tuple(size for _, size, _ in made.prefixes[common:]),
            tags=tuple(dict.fromkeys(number for tag in record.tags if (number := names.tags[tag]))),
        )

    def write(self, conn: Connection, arrivals: Sequence[tuple[int, int]]) -> None:
        """Write calls: when each came (UTC µs) and the place of its pattern. Needs the caller's transaction."""
        bits, molds, boot = self._chance.bits, self._molds, self.boot
        first = seq = conn.execute("SELECT ifnull(max(seq), 0) + 1 FROM calls").fetchone()[0]
        last = begun = conn.execute("SELECT ifnull(max(seq), 0) + 1 FROM attempts").fetchone()[0]
        rows: list[tuple[Any, ...]] = []
        made = ledger.Parts([], [], [], [])
        links: list[tuple[int, int]] = []
        for at, place in arrivals:
            mold = molds[place]
            one, other = bits(), bits()
            call_id = mint(at, one.to_bytes(8, "big") + b"ss")
            asked = mold.hash if not other & _REPEATED else other - 2**63
            rows.append((seq, call_id, boot, at, *mold.before, asked, *mold.after))
            for number, (sent, head, middle, answered, tail) in enumerate(mold.tries, last):
                # As long as Google's ids of answers are.
                response = f"{other:016x}{number & 0xFFFFFF:06x}" if answered else None
                made.attempts.append((number, seq, *head, at + sent, *middle, response, *tail))
            for charge in mold.charges:
                made.charges.append((last + charge[0], *charge[1:]))
            for detail in mold.details:
                made.details.append((last + detail[0], *detail[1:]))
            for size, value in mold.shared:
                made.prefixes.append((seq, size, value))
            for size in mold.own:
                made.prefixes.append((seq, size, (one ^ size * 0x9E3779B97F4A7C15) % 2**64 - 2**63))
            for tag in mold.tags:
                links.append((seq, tag))
            last += len(mold.tries)
            seq += 1
        INSERT_CALL.rows(conn, rows)
        ledger.insert(conn, made)
        if links:
            INSERT_CALL_TAG.rows(conn, links)
        uses.pass_over(conn, (first - 1, seq - 1), (begun - 1, last - 1))
        conn.execute(
            "UPDATE seeds SET calls = calls + ?, low = CASE low WHEN 0 THEN ? ELSE low END, high = ?"
            " WHERE boot_id = ?",
            (len(rows), first, seq - 1, boot),
        )


def begin(conn: Connection, plan: Plan, book: PriceBook, keys: Sequence[str], now: int) -> Sower:
    """Put a new seeding on record, with its keys. ``now`` is UTC µs. Needs the caller's transaction."""
    chance = Chance(plan.seed ^ now)
    identity = mint(now, chance.bits().to_bytes(8, "big") + b"sd")
    boots.register(conn, identity, NODE, "", now)
    boots.end(conn, identity, now)
    number: int = conn.execute("SELECT id FROM boots WHERE boot = ?", (identity,)).fetchone()[0]
    conn.executemany(_INSERT_KEY, [(name, OWNER, now, now) for name in keys])
    revisions.bump(conn, revisions.ACCESS)
    body = msgspec.json.encode(plan).decode()
    conn.execute(
        "INSERT INTO seeds(boot_id, calls, low, high, made_at, body) VALUES(?, 0, 0, 0, ?, ?)",
        (number, now, body),
    )
    numbers = dict(conn.execute("SELECT name, id FROM virtual_keys WHERE owner = ?", (OWNER,)))
    return Sower(number, chance, numbers, _synced(conn, book, now))


def _synced(conn: Connection, book: PriceBook, now: int) -> dict[str, int]:
    """The numbers of the book's rows; it goes on record beneath the one that is in force, if there is one."""
    newest = conn.execute("SELECT max(loaded) FROM price_books").fetchone()[0]
    loaded = now if newest is None else newest - 1
    prices.sync(conn, book.rows(), book.name, loaded)
    return dict(
        conn.execute(
            "SELECT name, id FROM prices WHERE book_id ="
            " (SELECT id FROM price_books WHERE loaded = ? ORDER BY id DESC LIMIT 1)",
            (loaded,),
        )
    )


def prepare(conn: Connection, *, alone: bool) -> None:
    """Set a connection up for many rows: more memory, and no look at each foreign key.

    ``alone``: no gateway lives on the file, so checkpoints are ours to make, and better few; else they are its own.
    """
    conn.execute("PRAGMA foreign_keys = OFF")
    conn.execute("PRAGMA cache_size = -131072")
    conn.execute(f"PRAGMA wal_autocheckpoint = {16_000 if alone else 0}")
    # Names are read now: the first write transaction would hold the lock for it.
    conn.names.keep()


def settle_down(conn: sqlite3.Connection) -> None:
    """Move the log into the file, and let SQLite look at its indexes anew."""
    conn.execute("PRAGMA optimize")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def once(conn: Connection, work: Callable[[Connection], None], *, alone: bool) -> None:
    """Do ``work`` in one transaction; unless no gateway lives on the file (``alone``), pause as long after it."""
    start = time.monotonic()

    def step(inside: Connection) -> bool:
        work(inside)
        return False

    sliced(conn, step)
    if not alone:
        time.sleep(max(PAUSE, time.monotonic() - start))


def every(conn: sqlite3.Connection) -> list[Seeded]:
    """All seedings on record, the oldest first."""
    return [
        Seeded(*row)
        for row in conn.execute("SELECT boot_id, calls, low, high, made_at FROM seeds ORDER BY boot_id")
    ]


def remove(conn: Connection, seeded: Seeded, most: int = SLICE) -> int:
    """Delete the next calls of a seeding, up to ``most`` numbers; returns how many numbers are left to look at.

    Needs the caller's transaction. With 0 the seeding is gone. All sums are to be made anew: nothing of them is read
    from the first slice on, and what is folded between two slices is void again.
    """
    row = conn.execute("SELECT low, high FROM seeds WHERE boot_id = ?", (seeded.boot,)).fetchone()
    if row is None:
        return 0
    low, high = row
    rollups.void(conn)
    until = min(high, low + most - 1)
    span = (low, until, seeded.boot)
    calls = "SELECT seq FROM calls WHERE seq >= ? AND seq <= ? AND boot_id = ?"
    tries = f"SELECT seq FROM attempts WHERE call_seq IN ({calls})"  # noqa: S608 - our own words
    for table, column, which in (
        ("charges", "attempt_seq", tries),
        ("details", "attempt_seq", tries),
        ("prefixes", "call_seq", calls),
        ("call_tags", "call_seq", calls),
        ("attempts", "call_seq", calls),
        ("calls", "seq", calls),
    ):
        conn.execute(f"DELETE FROM {table} WHERE {column} IN ({which})", span)  # noqa: S608
    if until < high:
        conn.execute("UPDATE seeds SET low = ? WHERE boot_id = ?", (until + 1, seeded.boot))
        return int(high - until)
    _forget(conn, seeded.boot)
    return 0


def _forget(conn: Connection, boot: int) -> None:
    """Take out what else the last slice of a seeding leaves behind."""
    conn.execute("DELETE FROM seeds WHERE boot_id = ?", (boot,))
    conn.execute("DELETE FROM boots WHERE id = ?", (boot,))
    for name, table in (("use_slots", "attempts"), ("key_hours", "calls")):
        conn.execute(
            f"UPDATE marks SET seq = min(seq, (SELECT ifnull(max(seq), 0) FROM {table})) WHERE name = ?",  # noqa: S608
            (name,),
        )
    if conn.execute("SELECT 1 FROM seeds LIMIT 1").fetchone() is None:
        conn.execute(f"DELETE FROM key_hours WHERE key_id IN ({_KEYS})", (OWNER,))  # noqa: S608
        conn.execute(f"DELETE FROM virtual_keys WHERE id IN ({_KEYS})", (OWNER,))  # noqa: S608
        revisions.bump(conn, revisions.ACCESS)
    conn.execute(
        "DELETE FROM use_slots WHERE project_id IN (SELECT id FROM projects WHERE name LIKE ? || '%')", (KEY,)
    )
