"""Reads sums: slots of one cube and grain, by ranges of its key, added up bucket by bucket.

Two ways, each one statement for all buckets: ranges of slots (all groups of a slot stand side by side), or single
slots with the groups that are wanted, where these are few.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from gemgate.insight.cubes import CELLS, CUBES, DIMENSIONS
from gemgate.insight.plan import Layer, Reach
from gemgate.store.reports.rows import Cut, Which

_LOOKUPS: Final = 60_000  # of single slots and groups; more of them cost more than reading ranges
_CELLS_LOOKED_UP: Final = 2_000
_RANGES: Final = """
WITH s(bucket, low, high) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?))
SELECT s.bucket, {columns} FROM s CROSS JOIN {table} AS r
    ON r.cube = ? AND r.grain = ? AND r.slot >= s.low AND r.slot < s.high {cells}
{where} {group}
"""
_SLOTS: Final = """
WITH s(bucket, slot) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)),
k(a) AS MATERIALIZED (SELECT value FROM json_each(?))
SELECT s.bucket, {columns} FROM s CROSS JOIN k CROSS JOIN {table} AS r
    ON r.cube = ? AND r.grain = ? AND r.slot = s.slot AND r.a = k.a {cells}
{where} {group}
"""
_CELL: Final = "CROSS JOIN cells AS c ON c.id = r.a"
_IN: Final = "{column} IN (SELECT value FROM json_each(?))"


class Read(NamedTuple):
    """What to read of one layer. ``by`` are the dimensions the cube is keyed by."""

    layer: Layer
    by: tuple[str, ...]
    reaches: Sequence[Reach]
    which: Which


def layers_of(by: tuple[str, ...]) -> tuple[int, ...]:
    """The cubes that hold sums by these dimensions, in their order: the best one first."""
    own = (CUBES[by],) if by in CUBES else ()
    return own if "tag" in by or len(by) < 2 else (*own, CELLS)


def facts(
    conn: sqlite3.Connection, read: Read, names: Sequence[str]
) -> Iterator[tuple[int, Cut, tuple[int, ...]]]:
    """Bucket, group, and the sums of the facts named."""
    size = len(read.which.dimensions)
    for row in _run(conn, read, "rollups", [f"sum(r.{name})" for name in names]):
        yield row[0], row[1 : 1 + size], row[1 + size :]


def bodies(conn: sqlite3.Connection, read: Read) -> Iterator[tuple[int, Cut, bytes]]:
    """Bucket, group and body of every sketch."""
    size = len(read.which.dimensions)
    for row in _run(conn, read, "sketches", ["r.body"], grouped=False):
        yield row[0], row[1 : 1 + size], row[1 + size]


def charges(conn: sqlite3.Connection, read: Read) -> Iterator[tuple[int, Cut, tuple[int, int, int, int]]]:
    """Bucket, group, then kind, quantity, known money and how many have none."""
    size = len(read.which.dimensions)
    wanted = ["r.kind_id", "sum(r.quantity)", "sum(r.nano)", "sum(r.unpriced)"]
    for row in _run(conn, read, "rollup_charges", wanted, more=("r.kind_id",)):
        yield row[0], row[1 : 1 + size], row[1 + size :]


def _run(
    conn: sqlite3.Connection,
    read: Read,
    table: str,
    wanted: Sequence[str],
    *,
    grouped: bool = True,
    more: Sequence[str] = (),
) -> Iterable[tuple[Any, ...]]:
    layer, which = read.layer, read.which
    celled = layer.cube == CELLS
    place = (
        {name: f"c.{name}" for name in DIMENSIONS}
        if celled
        else dict(zip(read.by, ("r.a", "r.b"), strict=False))
    )
    columns = [place[name] for name in which.dimensions]
    where, values = _where(which, place)
    first = _first(conn, read, place)
    slots = sum((one.until - one.start) // layer.grain.span for one in read.reaches)
    text, spans = _RANGES, json.dumps([(one.bucket, one.start, one.until) for one in read.reaches])
    head: tuple[Any, ...] = (spans,)
    if first is not None and slots * len(first) <= _LOOKUPS:
        text = _SLOTS
        # The groups are those that count: asked for again, SQLite would look up each group for each of them.
        where, values = _where(which, place, () if celled else read.by[1:])
        head = (json.dumps(list(_single(read))), json.dumps(sorted(first)))
    grouping = ", ".join(("s.bucket", *columns, *more))
    sql = text.format(
        columns=", ".join([*columns, *wanted]) or "1",
        table=table,
        cells=_CELL if celled else "",
        where=f"WHERE {' AND '.join(where)}" if where else "",
        group=f"GROUP BY {grouping}" if grouped else "",
    )
    return conn.execute(sql, (*head, layer.cube, int(layer.grain), *values))


def _where(
    which: Which, place: dict[str, str], names: Sequence[str] = DIMENSIONS
) -> tuple[list[str], list[str]]:
    """The filters by these dimensions."""
    where, values = [], []
    for name, ids in which.filters.items():
        if name not in names:
            continue
        if ids is None:
            where.append(f"{place[name]} <> 0")
        else:
            where.append(_IN.format(column=place[name]))
            values.append(json.dumps(sorted(ids)))
    return where, values


def _first(conn: sqlite3.Connection, read: Read, place: dict[str, str]) -> frozenset[int] | None:
    """The values of the key's first dimension that can count, None for any."""
    if read.layer.cube != CELLS:
        return read.which.filters.get(read.by[0]) if read.by else None
    where, values = _where(read.which, place)
    if not where:
        return None
    found = conn.execute(
        f"SELECT c.id FROM cells AS c WHERE {' AND '.join(where)} LIMIT {_CELLS_LOOKED_UP + 1}",  # noqa: S608
        values,
    ).fetchall()
    return frozenset(number for (number,) in found) if len(found) <= _CELLS_LOOKED_UP else None


def _single(read: Read) -> Iterator[tuple[int, int]]:
    span = read.layer.grain.span
    for one in read.reaches:
        for slot in range(one.start, one.until, span):
            yield one.bucket, slot
