"""Proves the record: the file is whole, every sum is that of its parts, every price follows from its row, and what
reports read is the sum of calls.

Reads in short transactions, so it may run beside a busy gateway. The one exception is SQLite's own integrity
check, which looks at a whole table at a time; it blocks nobody, but the write-ahead log grows meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from gemgate.core.call import Charge, Cost, spell
from gemgate.core.pricing import Price, cost
from gemgate.core.usage import Detail, Usage
from gemgate.store import boots, prices, rollup_proof, spill
from gemgate.store.connection import reading
from gemgate.store.faults import Fault, diagnose

MOST: Final = 1_000  # findings; more of them say nothing new
_CHUNK: Final = 2_000  # rows per read transaction
_DAY: Final = 86_400_000_000


class Finding(NamedTuple):
    """Something that is not as it must be: a stable word, the call (its id) or file, and a sentence."""

    kind: str
    where: str
    what: str


_SUMS: Final = """
SELECT c.seq, c.call_id, c.attempts, c.input, c.cached, c.output, c.thoughts, c.tool, c.estimated,
       c.list_nano, c.billed_nano, c.estimated_list_nano, c.estimated_billed_nano,
       count(a.seq), ifnull(sum(a.input), 0), ifnull(sum(a.cached), 0), ifnull(sum(a.output), 0),
       ifnull(sum(a.thoughts), 0), ifnull(sum(a.tool), 0),
       ifnull(sum(a.estimated * (a.input + a.output + a.thoughts + a.tool)), 0),
       CASE WHEN count(a.seq) = count(a.list_nano) THEN ifnull(sum(a.list_nano), 0) END,
       CASE WHEN count(a.seq) = count(a.billed_nano) THEN ifnull(sum(a.billed_nano), 0) END,
       CASE WHEN sum(a.estimated AND a.list_nano IS NULL) THEN NULL
            ELSE ifnull(sum(a.estimated * a.list_nano), 0) END,
       CASE WHEN sum(a.estimated AND a.billed_nano IS NULL) THEN NULL
            ELSE ifnull(sum(a.estimated * a.billed_nano), 0) END
FROM (SELECT * FROM calls WHERE seq > ? ORDER BY seq LIMIT ?) AS c
LEFT JOIN attempts AS a ON a.call_seq = c.seq
GROUP BY c.seq ORDER BY c.seq
"""
_SUM_NAMES: Final = (
    "attempts",
    "input",
    "cached",
    "output",
    "thoughts",
    "tool",
    "estimated",
    "list_nano",
    "billed_nano",
    "estimated_list_nano",
    "estimated_billed_nano",
)
_ATTEMPTS: Final = """
SELECT a.seq, c.call_id, a.number, a.input, a.cached, a.output, a.thoughts, a.tool, a.searches, a.grounded, a.maps,
       a.input_nano, a.cached_nano, a.output_nano, a.thoughts_nano, a.tool_nano, a.list_nano, a.billed_nano,
       a.price_id, a.sent_at
FROM (SELECT * FROM attempts WHERE seq > ? ORDER BY seq LIMIT ?) AS a
LEFT JOIN calls AS c ON c.seq = a.call_seq
ORDER BY a.seq
"""
# A race's tries are of one call like any other: each number once, and the answer given is that of one of them.
_TRIES: Final = """
SELECT c.call_id, count(*) = count(DISTINCT a.number), min(a.number) > 0, NOT max(a.hedge AND a.number = 1),
       c.answered = 0 OR sum(a.number = c.answered), min(a.waited) >= 0,
       c.answered = 0 OR c.project_id IS max(CASE WHEN a.number = c.answered THEN a.project_id END)
FROM (SELECT * FROM calls WHERE seq > ? AND seq <= ?) AS c
JOIN attempts AS a ON a.call_seq = c.seq
GROUP BY c.seq
"""
_TRIES_SAY: Final = (
    "has two tries of one number",
    "has a try without a number",
    "has a race's second try that is its first",
    "was answered by a try that it has not",
    "waited for less than no time",
    "was answered by another project than that of its answering try",
)
_ODD: Final = """
SELECT c.seq, c.call_id FROM calls AS c WHERE c.seq > ? AND c.seq <= ? AND (
    c.seq <= 0 OR c.duration < 0 OR c.waited < 0 OR c.received_at <= 0 OR c.received_at > ?
    OR (c.first_byte IS NOT NULL AND (c.first_byte < 0 OR c.first_byte > c.duration))
    OR length(c.call_id) <> 16)
"""


STEPS: Final = ("the file", "links", "calls", "tries", "order", "rollups", "what was left open")
"""What is looked at, one after the other."""


def _unheard(step: int) -> None:
    """Nobody wants to know how far it is."""


def verify(
    conn: sqlite3.Connection,
    data: Path | None = None,
    now: int | None = None,
    told: Callable[[int], None] = _unheard,
) -> list[Finding]:
    """Everything that is wrong with the record, at most a thousand findings; an empty list proves it.

    ``conn`` is a reader, ``data`` the data folder (its spill files and boots are looked at too), ``now`` UTC µs.
    ``told`` hears the place in ``STEPS`` of what is looked at next.
    Raises sqlite3.Error when the file cannot be read at all.
    """
    moment = time.time_ns() // 1000 if now is None else now
    found: list[Finding] = []
    for finding in _all(conn, data, moment, told):
        found.append(finding)
        if len(found) >= MOST:
            break
    return found


def _all(
    conn: sqlite3.Connection, data: Path | None, now: int, told: Callable[[int], None]
) -> Iterator[Finding]:
    told(0)
    damaged = list(_integrity(conn))
    yield from damaged
    if damaged:
        # Sums over a damaged file would only repeat it in other words.
        return
    told(1)
    yield from _links(conn)
    told(2)
    yield from _sums(conn)
    told(3)
    yield from _money(conn)
    told(4)
    yield from _calls(conn, now)
    told(5)
    for one in rollup_proof.prove(conn, now):
        yield Finding("rollup", one.where, one.what)
    told(6)
    yield from _left_open(conn, data)
    if data is not None:
        yield from _spilled(data)


def _integrity(conn: sqlite3.Connection) -> Iterator[Finding]:
    try:
        lines = [str(line) for (line,) in conn.execute("PRAGMA integrity_check(100)")]
    except sqlite3.DatabaseError as error:
        if diagnose(error) is not Fault.CORRUPT:
            raise
        lines = [str(error)]
    for line in lines:
        if line != "ok":
            yield Finding("integrity", "file", line)


def _links(conn: sqlite3.Connection) -> Iterator[Finding]:
    for table, rowid, parent, _ in conn.execute("PRAGMA foreign_key_check"):
        yield Finding("link", f"{table} {rowid}", f"points to a row of {parent} that is not there")


def _sums(conn: sqlite3.Connection) -> Iterator[Finding]:
    """Sum of tries = call."""
    seq = 0
    while True:
        with reading(conn):
            rows = conn.execute(_SUMS, (seq, _CHUNK)).fetchall()
        if not rows:
            return
        for seq, call_id, *values in rows:  # noqa: B007 - the last one is where the next chunk begins
            count = len(_SUM_NAMES)
            for name, has, should in zip(_SUM_NAMES, values[:count], values[count:], strict=True):
                if has != should:
                    yield Finding("sum", _name(call_id), f"{name} is {has}, its attempts make {should}")


def _money(conn: sqlite3.Connection) -> Iterator[Finding]:
    """Sum of parts = try, and the parts follow from the tokens and the price row."""
    book = prices.stored(conn)
    for name in prices.changed(conn):
        yield Finding("price", f"price book {name}", "its rows are not those that were loaded")
    for number, price in book.items():
        if price is None:
            yield Finding("price", f"prices {number}", "the price's body cannot be read")
    seq = 0
    while True:
        with reading(conn):
            rows = conn.execute(_ATTEMPTS, (seq, _CHUNK)).fetchall()
            last = rows[-1][0] if rows else seq
            charges = _charges(conn, seq, last)
            details = _details(conn, seq, last)
        if not rows:
            return
        for row in rows:
            usage, has = _attempt(row, details.get(row[0], ()), charges.get(row[0], ()))
            where = f"{_name(row[1])} attempt {row[2]}"
            yield from _priced(where, usage, has, row[18], book)
        seq = last


def _attempt(
    row: tuple[Any, ...], details: tuple[Detail, ...], charges: tuple[Charge, ...]
) -> tuple[Usage, Cost]:
    """What a row of ``_ATTEMPTS`` says was used, and what it says that cost."""
    usage = Usage(
        input=row[3],
        cached=row[4],
        output=row[5],
        thoughts=row[6],
        tool=row[7],
        details=details,
        searches=row[8],
        grounded=bool(row[9]),
        maps=row[10],
    )
    has = Cost(
        input=row[11],
        cached=row[12],
        output=row[13],
        thoughts=row[14],
        tool=row[15],
        charges=charges,
        total=row[16],
        billed=row[17],
    )
    return usage, has


def _priced(
    where: str, usage: Usage, has: Cost, price_id: int | None, book: dict[int, Price | None]
) -> Iterator[Finding]:
    parts = has.input + has.cached + has.output + has.thoughts + has.tool
    known = [charge.nano for charge in has.charges if charge.nano is not None]
    if has.total is not None and (has.total != parts + sum(known) or len(known) < len(has.charges)):
        yield Finding("money", where, f"list_nano is {has.total}, its parts make {parts + sum(known)}")
    if has.billed not in (has.total, 0):
        yield Finding(
            "money", where, f"billed_nano is {has.billed}, neither the list price {has.total} nor 0"
        )
    if price_id is None:
        if has.total or parts or known:
            yield Finding("money", where, f"costs {has.total} without a price row")
        elif has.total == 0 and usage != Usage():
            yield Finding("money", where, "used tokens without a price and is 0, not unpriced")
        return
    price = book.get(price_id)
    if price is None:
        return  # said already, as a link or a price
    should = cost(price, usage, free=has.billed == 0)
    for name in ("input", "cached", "output", "thoughts", "tool", "charges", "total"):
        one, other = getattr(has, name), getattr(should, name)
        if one != other:
            yield Finding("price", where, f"{name} costs {one}, by its price row {price.id} {other}")


def _charges(conn: sqlite3.Connection, low: int, high: int) -> dict[int, tuple[Charge, ...]]:
    rows = conn.execute(
        "SELECT c.attempt_seq, k.name, c.quantity, c.nano FROM charges AS c"
        " JOIN charge_kinds AS k ON k.id = c.kind_id"
        " WHERE c.attempt_seq > ? AND c.attempt_seq <= ? ORDER BY c.attempt_seq, c.position",
        (low, high),
    )
    found: dict[int, tuple[Charge, ...]] = {}
    for seq, *values in rows:
        found[seq] = (*found.get(seq, ()), Charge(*values))
    return found


def _details(conn: sqlite3.Connection, low: int, high: int) -> dict[int, tuple[Detail, ...]]:
    rows = conn.execute(
        "SELECT d.attempt_seq, s.name, m.name, d.tokens FROM details AS d JOIN sides AS s ON s.id = d.side_id"
        " JOIN modalities AS m ON m.id = d.modality_id"
        " WHERE d.attempt_seq > ? AND d.attempt_seq <= ? ORDER BY d.attempt_seq, d.position",
        (low, high),
    )
    found: dict[int, tuple[Detail, ...]] = {}
    for seq, *values in rows:
        found[seq] = (*found.get(seq, ()), Detail(*values))
    return found


def _calls(conn: sqlite3.Connection, now: int) -> Iterator[Finding]:
    """Each call's times and tries can be."""
    top = conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0]
    low = conn.execute("SELECT ifnull(min(seq), 1) - 1 FROM calls").fetchone()[0]
    while low < top:
        with reading(conn):
            rows = conn.execute(_ODD, (low, low + _CHUNK, now + _DAY)).fetchall()
            tries = conn.execute(_TRIES, (low, low + _CHUNK)).fetchall()
        for _, call_id in rows:
            yield Finding("time", _name(call_id), "its times or its number cannot be")
        for call_id, *holds in tries:
            for held, what in zip(holds, _TRIES_SAY, strict=True):
                if not held:
                    yield Finding("try", _name(call_id), what)
        low += _CHUNK


def _left_open(conn: sqlite3.Connection, data: Path | None) -> Iterator[Finding]:
    """Calls under way belong to living boots, and are not settled too."""
    rows: list[Any] = conn.execute(
        "SELECT o.call_id, b.boot, c.seq FROM open_calls AS o LEFT JOIN boots AS b ON b.id = o.boot_id"
        " LEFT JOIN calls AS c ON c.call_id = o.call_id"
    ).fetchall()
    for call_id, boot, seq in rows:
        if seq is not None:
            yield Finding("open", _name(call_id), "is settled and still open")
        elif boot is None or (data is not None and not boots.alive(data, boot)):
            yield Finding(
                "open", _name(call_id), "was left open by a process that is gone; the next start closes it"
            )


def _spilled(data: Path) -> Iterator[Finding]:
    for path in sorted((data / spill.FOLDER).glob("*.*")):
        if path.stat().st_size == 0:
            continue
        if path.suffix == ".rejected":
            yield Finding("spill", path.name, "holds rows that the store refused")
        elif path.suffix == ".spill":
            yield Finding(
                "spill", path.name, "holds rows that are not yet in the store; the gateway moves them"
            )


def _name(call_id: bytes | None) -> str:
    return spell(call_id) if call_id is not None else "no call"
