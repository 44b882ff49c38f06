"""The calls that no sum answers for: those above the marks, and those in slots that a bound cuts.

They are read in portions, so that memory stays flat, and folded as the rollups fold them.
"""

from __future__ import annotations

import itertools
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from gemgate.insight import fold
from gemgate.insight.cubes import CELL, DIMENSIONS
from gemgate.insight.fold import CallFact, Part, Sums
from gemgate.insight.plan import Edge, Plan, TooMuch
from gemgate.store import folding
from gemgate.store.connection import in_time

Cut = tuple[int, ...]
"""The integers of a group's names, in the order of the query's dimensions."""
Counted = dict[tuple[int, Cut], Sums]
_Taken = tuple[int, int, list[Part]]
_Condition = tuple[str, tuple[int, ...]]
_CACHED: Final = 40_000  # calls of one answer, about 40 MB; any one plan's fit
_ADVICE: Final = (
    "ask for a shorter span or one of whole days in UTC, for longer steps, or without the span before"
)
_PORTION: Final = 4_000  # calls read at once, about 6 MB
# By the time's index, so no row of the table is touched.
COUNT: Final = """
SELECT count(*) FROM (SELECT 1 FROM calls INDEXED BY ix_calls_received_at
WHERE received_at >= ? AND received_at < ? LIMIT ?)
"""
"""How many calls came in a span, counted up to a number."""
_LAST: Final = """
SELECT max(received_at) FROM (SELECT received_at FROM calls INDEXED BY ix_calls_received_at
WHERE received_at >= ? AND received_at < ? ORDER BY received_at LIMIT ?)
"""
# Of the call itself: SQLite may leave the others out before their tries are read.
_COLUMNS: Final = {
    "route": "ifnull(c.route_id, 0)",
    "key": "ifnull(c.key_id, 0)",
    "method": "ifnull(c.method_id, 0)",
    "status": "c.status",
    "client": "ifnull(c.client_id, 0)",
    "reason": "ifnull(c.reason_id, 0)",
}


class Which(NamedTuple):
    """Which parts of calls count, and in which groups: ``dimensions`` are grouped by, ``filters`` name the integers
    that count (None: any but 0)."""

    dimensions: tuple[str, ...]
    filters: dict[str, frozenset[int] | None]


class Rows(NamedTuple):
    """What the rows add to the sums, and what of the sums lies beyond a bound."""

    more: Counted
    less: Counted
    read: int


class Cache:
    """Rows that were counted, or read and taken apart, already: for further questions in the same transaction.

    It bounds what all of them read: beyond ``most`` calls they raise TooMuch.
    """

    def __init__(self, most: int = _CACHED) -> None:
        self._most = most
        self._known: dict[tuple[Any, ...], list[_Taken]] = {}
        self._room = most
        self._counts: dict[tuple[int, int], tuple[int, int]] = {}

    def count(self, conn: sqlite3.Connection, start: int, until: int, most: int) -> int:
        """How many calls came in ``[start, until)``, counted up to ``most``."""
        found, limit = self._counts.get((start, until), (0, 0))
        if found == limit < most:
            found = conn.execute(COUNT, (start, until, most)).fetchone()[0]
            self._counts[start, until] = found, most
        return min(found, most)

    def by_seq(self, conn: sqlite3.Connection, low: int, high: int, condition: _Condition) -> list[_Taken]:
        """As ``folding.by_seq``."""
        key = ("seq", low, high, *condition)
        return (
            self._known[key] if key in self._known else self._keep(conn, key, folding.by_seq(conn, *key[1:]))
        )

    def by_time(
        self, conn: sqlite3.Connection, since: int, until: int, condition: _Condition
    ) -> list[_Taken]:
        """As ``folding.by_time``."""
        key = ("time", since, until, *condition)
        return (
            self._known[key] if key in self._known else self._keep(conn, key, folding.by_time(conn, *key[1:]))
        )

    def _keep(
        self, conn: sqlite3.Connection, key: tuple[Any, ...], calls: Sequence[CallFact]
    ) -> list[_Taken]:
        self._room -= len(calls)
        if self._room < 0:
            raise TooMuch(self._most - self._room, _ADVICE, self._most)
        in_time(conn)
        found = [(call.seq, call.received_at, fold.parts(call)) for call in calls]
        self._known[key] = found
        return found


def collect(conn: sqlite3.Connection, plan: Plan, which: Which, top: int, cache: Cache) -> Rows:
    """The rows of a plan; ``top`` is the newest call's seq."""
    taker = _Taker(which)
    if plan.summed:
        low = min(piece.mark for piece in plan.summed)
        for start in range(low, top, _PORTION):
            in_time(conn)
            taker.tail(cache.by_seq(conn, start, min(start + _PORTION, top), taker.condition), plan)
    ends, edges = _segments(plan.edges)
    for start, until in _runs(ends, edges):
        for since, before in _portions(conn, start, until):
            in_time(conn)
            taker.edges(cache.by_time(conn, since, before, taker.condition), ends, edges)
    return Rows(taker.more, taker.less, taker.read)


class _Taker:
    """Folds rows into buckets and groups."""

    def __init__(self, which: Which) -> None:
        self.more: Counted = {}
        self.less: Counted = {}
        self.read = 0
        self._cuts = cutter(which)
        where = {
            name: ids
            for name, ids in which.filters.items()
            if name in _COLUMNS and name not in which.dimensions and ids is not None and len(ids) <= 100
        }
        words = [f"{_COLUMNS[name]} IN ({','.join('?' * len(ids))})" for name, ids in where.items()]
        values = tuple(number for ids in where.values() for number in sorted(ids))
        self.condition: _Condition = (" AND ".join(words), values)

    def tail(self, calls: Iterable[_Taken], plan: Plan) -> None:
        """Add the rows that the sums have not taken in."""
        for seq, at, parts in calls:
            self.read += 1
            bucket = plan.tail(at, seq)
            if bucket is not None:
                self._take(self.more, bucket, parts)

    def edges(self, calls: Iterable[_Taken], ends: Sequence[int], edges: Sequence[Sequence[Edge]]) -> None:
        """Add rows to their buckets, or to what is taken off."""
        for seq, at, parts in calls:
            self.read += 1
            for edge in edges[bisect_right(ends, at) - 1]:
                if not edge.taken_off:
                    self._take(self.more, edge.bucket, parts)
                elif seq <= edge.mark:
                    self._take(self.less, edge.bucket, parts)

    def _take(self, into: Counted, bucket: int, parts: Iterable[Part]) -> None:
        for part in parts:
            for cut in self._cuts(part):
                have = into.get((bucket, cut))
                if have is None:
                    have = into[bucket, cut] = Sums()
                have.take(part)


def cutter(which: Which) -> Callable[[Part], Iterable[Cut]]:
    """The groups that a part counts in: none when a filter leaves it out, several for several tags."""
    tests = [(CELL.index(name), ids) for name, ids in which.filters.items() if name != "tag"]
    tags = which.filters.get("tag", frozenset()) if "tag" in which.filters else frozenset()
    tagged = "tag" in which.filters or "tag" in which.dimensions
    filtered = "tag" in which.filters
    places = [DIMENSIONS.index(name) for name in which.dimensions]
    last = DIMENSIONS.index("tag")

    def cuts(part: Part) -> list[Cut]:
        cell = part.cell
        for place, ids in tests:
            if (not cell[place]) if ids is None else (cell[place] not in ids):
                return []
        if not tagged:
            return [tuple([cell[place] for place in places])]
        found = []
        for tag in part.tags or (0,):
            if not filtered or (tag if tags is None else tag in tags):
                found.append(tuple([tag if place == last else cell[place] for place in places]))
        return found

    return cuts


def _segments(edges: Sequence[Edge]) -> tuple[list[int], list[list[Edge]]]:
    """Time cut at every end of an edge: the segments' starts, and the edges over each."""
    ends = sorted({end for edge in edges for end in (edge.start, edge.until)})
    over: list[list[Edge]] = [[] for _ in ends]
    place = {end: index for index, end in enumerate(ends)}
    for edge in edges:
        for index in range(place[edge.start], place[edge.until]):
            over[index].append(edge)
    return ends, over


def _runs(ends: Sequence[int], edges: Sequence[Sequence[Edge]]) -> Iterator[tuple[int, int]]:
    """Spans of time that have an edge everywhere."""
    for some, group in itertools.groupby(range(len(ends)), lambda index: bool(edges[index])):
        if some:
            places = list(group)
            yield ends[places[0]], ends[places[-1] + 1]


def _portions(conn: sqlite3.Connection, start: int, until: int) -> Iterator[tuple[int, int]]:
    """The span in pieces of so many calls."""
    while start < until:
        last = conn.execute(_LAST, (start, until, _PORTION)).fetchone()[0]
        if last is None:
            return
        yield start, last + 1
        start = last + 1
