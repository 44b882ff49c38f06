"""Rows of the record for exports: read in the order of their coming, in chunks that each take a short read.

Laws:

- an export has what was on record when it began: calls that are recorded meanwhile are not in it;
- each row comes once, in the order of (``received_at``, ``seq``) of its call; tries and charges follow their call's;
- a chunk is found by the index of ``received_at`` alone, so it takes as long whatever the filters let through;
- the values are those of the columns: names as text, money in nano-dollars, times in UTC µs, spans in µs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gemgate.core.call import spell
from gemgate.insight.facts import FACTS, INDEX, Facts
from gemgate.insight.spans import iso
from gemgate.store.connection import reading
from gemgate.store.reports import calls as single
from gemgate.store.reports.calls import AttemptRow, CallRow, ChargeRow
from gemgate.store.reports.facts import Query, collect
from gemgate.store.reports.listing_terms import Term, Wanted, terms

CHUNK: Final = 1_000
"""Calls that one read transaction takes."""
LAST: Final = 2**62
Row = tuple[Any, ...]


class Column(NamedTuple):
    """A column: ``kind`` is int, text, flag, texts (a list) or time (UTC µs; written as a moment)."""

    name: str
    kind: str


class Chunk(NamedTuple):
    """Some rows, and how many calls (or buckets) were looked at for them."""

    rows: list[Row]
    looked: int


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over a span: ``bounds`` cut it (UTC µs), grouped by up to two ``dimensions``, in the zone.

    ``now`` is when they were asked for (UTC µs).
    """

    bounds: tuple[int, ...]
    zone: str = "UTC"
    dimensions: tuple[str, ...] = ()
    filters: dict[str, tuple[str, ...]] = {}
    now: int = 0


_KINDS: Final = {int: "int", str: "text", bool: "flag", int | None: "int"}


def _columns(shape: type[msgspec.Struct], *, without: tuple[str, ...] = ()) -> tuple[Column, ...]:
    return tuple(
        Column(field.name, _KINDS.get(field.type, "texts"))
        for field in msgspec.structs.fields(shape)
        if field.name not in without
    )


_CALLS: Final = (Column("time", "time"), *_columns(CallRow))
_TRIES: Final = (
    Column("time", "time"),
    Column("call_id", "text"),
    *_columns(AttemptRow, without=("charges", "details")),
)
_CHARGES: Final = (
    Column("time", "time"),
    Column("call_id", "text"),
    Column("number", "int"),
    *_columns(ChargeRow),
)
COLUMNS: Final[dict[str, tuple[Column, ...]]] = {"calls": _CALLS, "attempts": _TRIES, "charges": _CHARGES}
"""What of single calls can be exported, and the columns of each."""
FACTS_OF: Final[dict[str, tuple[str, ...]]] = {
    "usage": (
        *(
            "calls",
            "ok",
            "refused",
            "failed",
            "cut",
            "cancelled",
            "interrupted",
            "streamed",
            "busy",
            "waited",
        ),
        *("request_bytes", "response_bytes", "tries", "input", "cached", "output", "thoughts", "tool"),
        *("tokens", "estimated", "list_nano", "billed_nano", "unpriced"),
    ),
    "costs": tuple(name for name in FACTS if name.endswith("_nano") or name.startswith("unpriced")),
    "errors": (
        *("calls", "ok", "refused", "failed", "cut", "cancelled", "interrupted", "tries", "tries_failed"),
        *("failed_list_nano", "failed_billed_nano"),
    ),
    "fallbacks": ("calls", "retried", "switched", "rescued", "hedged", "hedges_won", "waited", "tries"),
}
"""What of sums can be exported, and the facts of each; ``tokens`` are those of all kinds."""
# Cached ones are input.
_TOKENS: Final = tuple(INDEX[name] for name in ("input", "output", "thoughts", "tool"))
WHAT: Final = (*COLUMNS, *FACTS_OF)


def columns(what: str, dimensions: Sequence[str] = ()) -> tuple[Column, ...]:
    """The columns that an export can have, in order."""
    if what in COLUMNS:
        return COLUMNS[what]
    head = (Column("time", "time"), Column("start", "int"), Column("until", "int"))
    groups = tuple(Column(name, "text") for name in dimensions)
    return (*head, *groups, *(Column(name, "int") for name in FACTS_OF[what]))


def latest(conn: sqlite3.Connection) -> int:
    """The newest call's ``seq``: where an export ends."""
    with reading(conn):
        return single.latest(conn)


def count(conn: sqlite3.Connection, wanted: Wanted) -> int:
    """About how many calls will be looked at; 0 where counting takes too long."""
    start, until = wanted.start or 0, LAST if wanted.until is None else wanted.until
    try:
        with reading(conn):
            sql = "SELECT count(*) FROM calls WHERE received_at >= ? AND received_at < ?"
            return int(conn.execute(sql, (start, until)).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def chunks(
    conn: sqlite3.Connection, what: str, wanted: Wanted, top: int, size: int = CHUNK
) -> Iterator[Chunk]:
    """The rows of ``calls``, ``attempts`` or ``charges`` up to the call ``top``, chunk after chunk.

    Each is read in a transaction of its own. Values are in the order of ``columns``.
    """
    read = {"calls": _read_calls, "attempts": _read_tries, "charges": _read_charges}[what]
    place = ((wanted.start or 0), -1)
    while True:
        with reading(conn):
            found = terms(conn, wanted)
            if found is None:
                return
            keys = _keys(conn, place, wanted, size)
            seqs = _matching(conn, [seq for _, seq in keys if seq <= top], found)
            rows = read(conn, seqs) if seqs else []
        yield Chunk(rows, len(keys))
        if len(keys) < size:
            return
        place = keys[-1]


def _now() -> int:
    return time.time_ns() // 1000


def sums(
    conn: sqlite3.Connection, what: str, asked: Sums, clock: Callable[[], int] = _now
) -> Iterator[Chunk]:
    """The sums of each bucket and group in which anything was counted, bucket after bucket.

    Each bucket is read in a transaction of its own, at the time (``clock``, UTC µs) of that: an export may have
    waited for hours, and minutes have been trimmed since it was asked for. Raises ``insight.plan.TooMuch``.
    """
    shown = FACTS_OF[what]
    facts = tuple(name for name in shown if name in INDEX)
    for start, until in zip(asked.bounds, asked.bounds[1:], strict=False):
        found = collect(
            conn,
            Query(
                start=start,
                until=until,
                now=max(asked.now, clock()),
                dimensions=asked.dimensions,
                filters=asked.filters,
                facts=facts,
            ),
        )
        rows = [
            (start, start, until, *names, *(_number(numbers, name) for name in shown))
            for (_, names), numbers in sorted(found.facts.items(), key=lambda one: one[0])
        ]
        yield Chunk(rows, 1)


def _number(facts: Facts, name: str) -> int:
    return sum(facts[place] for place in _TOKENS) if name == "tokens" else facts[INDEX[name]]


def moment(at: int) -> str:
    """A time as CSV and JSON have it: ISO 8601 in UTC."""
    return iso(at, "UTC")


def _keys(
    conn: sqlite3.Connection, after: tuple[int, int], wanted: Wanted, size: int
) -> list[tuple[int, int]]:
    """The next calls by (``received_at``, ``seq``), from the index alone."""
    until = LAST if wanted.until is None else wanted.until
    return conn.execute(
        "SELECT received_at, seq FROM calls WHERE (received_at, seq) > (?, ?) AND received_at < ?"
        " ORDER BY received_at, seq LIMIT ?",
        (*after, until, size),
    ).fetchall()


def _matching(conn: sqlite3.Connection, seqs: list[int], found: list[Term]) -> list[int]:
    """Those of the calls that the filters let through, in their order."""
    if not found or not seqs:
        return seqs
    where = " AND ".join([f"t.seq IN ({_marks(seqs)})", *(f"({one.sql})" for one in found)])
    values = [*seqs, *(value for one in found for value in one.values)]
    through = {row[0] for row in conn.execute(f"SELECT t.seq FROM calls AS t WHERE {where}", values)}  # noqa: S608
    return [seq for seq in seqs if seq in through]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _read_calls(conn: sqlite3.Connection, seqs: list[int]) -> list[Row]:
    return [
        (row.received_at, *(getattr(row, name) for name in CallRow.__struct_fields__))
        for row in single.by_seq(conn, seqs)
    ]


_ORDERED: Final = (
    " JOIN calls AS c ON c.seq = t.call_seq WHERE t.call_seq IN ({}) ORDER BY c.received_at, c.seq, t.number"
)
_SELECT_TRIES: Final = single.select_tries("t.sent_at, c.call_id")
_FLAGS: Final = tuple(place for place, column in enumerate(_TRIES) if column.kind == "flag")
_SELECT_CHARGES: Final = (
    "SELECT t.sent_at, c.call_id, t.number, k.name, h.quantity, h.nano FROM attempts AS t"
    " JOIN charges AS h ON h.attempt_seq = t.seq JOIN charge_kinds AS k ON k.id = h.kind_id"
)


def _read_tries(conn: sqlite3.Connection, seqs: list[int]) -> list[Row]:
    out = []
    for row in conn.execute(_SELECT_TRIES + _ORDERED.format(_marks(seqs)), seqs):
        values = list(row)
        values[1] = spell(values[1])
        for place in _FLAGS:
            values[place] = bool(values[place])
        out.append(tuple(values))
    return out


def _read_charges(conn: sqlite3.Connection, seqs: list[int]) -> list[Row]:
    sql = _SELECT_CHARGES + _ORDERED.format(_marks(seqs)) + ", h.position"
    return [(at, spell(call_id), *rest) for at, call_id, *rest in conn.execute(sql, seqs)]
