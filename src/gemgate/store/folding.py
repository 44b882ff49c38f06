"""Reads calls and their tries in the shape that ``insight.fold`` takes.

Two statements for a span of calls, whatever its length: calls in the order of their key, tries in the order of
their calls'. What hangs on few tries (charges, and the price of cached tokens) is read for those alone.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gemgate.core.call import Streaming
from gemgate.core.pricing import Price, cost
from gemgate.core.usage import Detail, Usage
from gemgate.insight.fold import CallFact, TryFact

_CALL: Final = (
    "c.seq, c.received_at, c.first_byte, c.duration, c.waited, c.request_bytes, c.response_bytes, c.answered,"
    " ifnull(c.route_id, 0), ifnull(c.key_id, 0), ifnull(c.method_id, 0), c.status, ifnull(c.client_id, 0),"
    " ifnull(c.reason_id, 0), c.outcome_id, c.streaming_id"
)
_CALLS: Final = f"SELECT {_CALL} FROM calls AS c {{index}} WHERE {{condition}} ORDER BY c.seq"  # noqa: S608 - our own names
_TRY: Final = (
    "a.call_seq, a.seq, a.price_id, a.verdict_id, a.searches, a.grounded, a.maps, a.number, ifnull(a.model_id, 0),"
    " ifnull(a.project_id, 0), a.sent_at, a.duration, a.verdict_id, ifnull(a.reason_id, 0), a.status, a.hedge,"
    " a.estimated, a.input, a.cached, a.output, a.thoughts, a.tool, a.input_nano, a.cached_nano, a.output_nano,"
    " a.thoughts_nano, a.tool_nano, a.list_nano, a.billed_nano"
)
_BEFORE: Final = 7  # columns of _TRY before those of TryFact
# CROSS JOIN holds SQLite to the order: the calls of the span first, each one's tries by their index.
_TRIES: Final = f"""
SELECT {_TRY} FROM calls AS c {{index}} CROSS JOIN attempts AS a ON a.call_seq = c.seq
WHERE {{condition}} ORDER BY c.seq, a.number
"""  # noqa: S608
_TAGS: Final = """
SELECT c.seq, l.tag_id FROM calls AS c {index} CROSS JOIN call_tags AS l ON l.call_seq = c.seq
WHERE {condition} ORDER BY c.seq, l.tag_id
"""
_CHARGES: Final = """
SELECT a.seq, g.kind_id, g.quantity, g.nano
FROM calls AS c {index} CROSS JOIN attempts AS a ON a.call_seq = c.seq
CROSS JOIN charges AS g ON g.attempt_seq = a.seq
WHERE {condition} ORDER BY c.seq, a.number, g.position
"""
_DETAILS: Final = """
SELECT a.seq, s.name, m.name, d.tokens
FROM calls AS c {index} CROSS JOIN attempts AS a ON a.call_seq = c.seq
CROSS JOIN details AS d ON d.attempt_seq = a.seq
JOIN sides AS s ON s.id = d.side_id JOIN modalities AS m ON m.id = d.modality_id
WHERE {condition} AND a.cached > 0 ORDER BY c.seq, a.number, d.position
"""
# SQLite would now and then walk a whole table for the sake of the order, or take the index of a poor filter.
_BY_SEQ: Final = "NOT INDEXED"
_BY_TIME: Final = "INDEXED BY ix_calls_received_at"
_price: Final = msgspec.json.Decoder(Price)
_Charges = dict[int, tuple[tuple[int, int, int | None], ...]]


def by_seq(
    conn: sqlite3.Connection, low: int, high: int, where: str = "", values: Sequence[Any] = ()
) -> list[CallFact]:
    """The calls with ``low`` < seq <= ``high`` in that order; ``where`` is one condition more on ``c``."""
    return _read(conn, _BY_SEQ, _also("c.seq > ? AND c.seq <= ?", where), (low, high, *values))


def by_time(
    conn: sqlite3.Connection, since: int, until: int, where: str = "", values: Sequence[Any] = ()
) -> list[CallFact]:
    """The calls received from ``since`` and before ``until`` (UTC µs); ``where`` is one condition more on ``c``."""
    return _read(
        conn, _BY_TIME, _also("c.received_at >= ? AND c.received_at < ?", where), (since, until, *values)
    )


def of(conn: sqlite3.Connection, seqs: Sequence[int]) -> list[CallFact]:
    """These calls, at most some hundred."""
    return _read(conn, _BY_SEQ, f"c.seq IN ({','.join('?' * len(seqs))})", tuple(seqs)) if seqs else []


def _also(condition: str, where: str) -> str:
    return f"{condition} AND ({where})" if where else condition


def _read(conn: sqlite3.Connection, index: str, condition: str, values: tuple[Any, ...]) -> list[CallFact]:
    def rows(sql: str) -> list[Any]:
        return conn.execute(sql.format(index=index, condition=condition), values).fetchall()

    # A number without a name is a damage that `verify` tells of; here it is no outcome.
    calls = rows(_CALLS)
    if not calls:
        return []
    outcomes: dict[int, str] = dict(conn.execute("SELECT id, name FROM outcomes"))
    streamings: dict[int, str] = dict(conn.execute("SELECT id, name FROM streamings"))
    streamed = {number for number, name in streamings.items() if name != Streaming.NONE}
    tries = _tries(conn, rows(_TRIES), rows)
    tags = {
        seq: tuple(tag for _, tag in group)
        for seq, group in itertools.groupby(rows(_TAGS), lambda row: row[0])
    }
    make = CallFact._make
    none: tuple[()] = ()
    return [
        make(
            (
                *row[:14],
                outcomes.get(row[14], ""),
                row[15] in streamed,
                tags.get(row[0], none),
                tries.get(row[0], none),
            )
        )
        for row in calls
    ]


def _tries(conn: sqlite3.Connection, found: list[Any], rows: Any) -> dict[int, tuple[TryFact, ...]]:
    """Tries by the seq of their call, in order."""
    kinds: dict[int, str] = dict(conn.execute("SELECT id, name FROM verdicts"))
    charges: _Charges = {
        seq: tuple((kind, quantity, nano) for _, kind, quantity, nano in group)
        for seq, group in itertools.groupby(rows(_CHARGES), lambda row: row[0])
    }
    # A cached token is the 18th column. Only its price needs more than the row.
    cached = [row for row in found if row[18] and row[2] is not None and row[27] is not None]
    saved: dict[int, int] = {}
    if cached:
        details: dict[int, tuple[Detail, ...]] = {
            seq: tuple(Detail(*values) for _, *values in group)
            for seq, group in itertools.groupby(rows(_DETAILS), lambda row: row[0])
        }
        book = _prices(conn, {row[2] for row in cached})
        saved = {row[1]: _saved(book.get(row[2]), row, details.get(row[1], ())) for row in cached}
    make = TryFact._make
    none: tuple[()] = ()
    by_call: dict[int, tuple[TryFact, ...]] = {}
    for row in found:
        seq = row[1]
        one = make((*row[_BEFORE:], kinds.get(row[3], ""), saved.get(seq, 0), charges.get(seq, none)))
        have = by_call.get(row[0])
        by_call[row[0]] = (one,) if have is None else (*have, one)
    return by_call


def _prices(conn: sqlite3.Connection, numbers: set[int]) -> dict[int, Price]:
    """Price rows by their number; one whose body cannot be read is left out."""
    marks = ",".join("?" * len(numbers))
    found = {}
    for number, body in conn.execute(f"SELECT id, body FROM prices WHERE id IN ({marks})", tuple(numbers)):  # noqa: S608
        try:
            found[number] = _price.decode(body)
        except msgspec.DecodeError:
            continue
    return found


def _saved(price: Price | None, row: tuple[Any, ...], details: tuple[Detail, ...]) -> int:
    """What the cached tokens of a priced try would have cost more as ordinary input, in nano-dollars."""
    if price is None:
        return 0
    usage = Usage(
        input=row[17],
        output=row[19],
        thoughts=row[20],
        tool=row[21],
        details=tuple(detail for detail in details if detail.side != "cached"),
        searches=row[4],
        grounded=bool(row[5]),
        maps=row[6],
    )
    whole = cost(price, usage).total
    return 0 if whole is None else max(whole - int(row[27]), 0)
