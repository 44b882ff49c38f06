"""Numbers over any span, exact: what is summed is read from the rollups, the rest from the rows.

Laws:

- every call whose ``received_at`` lies in ``[start, until)`` counts once, in the bucket of that moment, however far
  the rollups have come; its tries, tokens and money count in the same bucket;
- all of an answer is read in one read transaction, so nothing counts twice and nothing is missed while the
  rollups move on;
- facts that were not asked for stay 0.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from gemgate.insight.cubes import DIMENSIONS, MINUTES_KEPT, SETS, Grain, grains
from gemgate.insight.facts import INDEX, Facts, zero
from gemgate.insight.plan import MOST_FOLDED, Layer, plan
from gemgate.insight.sketch import METRICS, Sketches, merged
from gemgate.store.connection import in_time, reading
from gemgate.store.reports import dimensions, rows, sums
from gemgate.store.reports.rows import Cache, Cut, Which
from gemgate.store.reports.sums import Read

Key = tuple[int, tuple[str, ...]]
"""A bucket's place and the names of the group, one for each of the query's dimensions (``""`` for none)."""
_PORTION: Final = 2_000  # bodies of sketches that are merged at once, in some 0.1 s
_MARKS: Final = {cube: f"rollup.{name}" for name, cubes in SETS.items() for cube in cubes}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be counted. ``[start, until)`` in UTC µs; ``now`` (UTC µs) says which minutes are still kept.

    ``bounds`` cuts the span into buckets (``start`` first, ``until`` last); empty for one bucket. ``dimensions``
    are grouped by, ``filters`` name what counts of a dimension (any of the names; a status stands as text).
    ``facts`` are names of ``insight.facts.FACTS``. ``only``, when not empty, keeps these groups and no others.
    """

    start: int
    until: int
    now: int
    bounds: tuple[int, ...] = ()
    dimensions: tuple[str, ...] = ()
    filters: dict[str, tuple[str, ...]] = {}
    facts: tuple[str, ...] = ()
    sketches: bool = False
    charges: bool = False
    only: tuple[tuple[str, ...], ...] = ()


class Charged(msgspec.Struct):
    """What one kind of charge came to: ``nano`` of the known ones, ``unpriced`` charges without a known price."""

    quantity: int = 0
    nano: int = 0
    unpriced: int = 0


class Found(msgspec.Struct, kw_only=True):
    """Buckets and groups in which something was counted; what is not there is nothing.

    ``charges`` is by kind. ``rows`` counts the calls that were read one by one.
    """

    facts: dict[Key, Facts] = {}
    sketches: dict[Key, Sketches] = {}
    charges: dict[Key, dict[str, Charged]] = {}
    rows: int = 0


def collect(conn: sqlite3.Connection, query: Query, cache: Cache | None = None) -> Found:
    """Count. ``cache`` serves several queries in one transaction of the caller's.

    Raises ``insight.plan.TooMuch`` when too many rows would have to be read one by one.
    """
    with view(conn):
        single = cache or Cache()
        filters = {name: dimensions.numbers(conn, name, names) for name, names in query.filters.items()}
        wanted = _wanted(conn, query, filters)
        if not all(wanted.values()):
            return Found()
        found = _Counted()
        reasons = wanted.get("reason")
        union = {*query.dimensions, *wanted}
        if "reason" not in union or len(union) > 2:
            _count(conn, query, Which(query.dimensions, dict(wanted)), found, single)
        else:
            # The cubes of reasons hold only calls that have one: the others are what the rest of the total is.
            if reasons is None or reasons - {0}:
                named: dict[str, frozenset[int] | None] = {**wanted, "reason": None}
                if reasons is not None:
                    named["reason"] = reasons - {0}
                _count(conn, query, Which(query.dimensions, named), found, single)
            if reasons is None or 0 in reasons:
                _reasonless(conn, query, wanted, found, single)
        return _named(conn, query, found)


@contextlib.contextmanager
def view(conn: sqlite3.Connection) -> Iterator[None]:
    """One consistent view of the record: the caller's transaction, or one of our own."""
    if conn.in_transaction:
        yield
    else:
        with reading(conn):
            yield


def lag(conn: sqlite3.Connection, now: int) -> int:
    """The age (µs) of the oldest call that the sums have not taken in, 0 when they have them all."""
    row = conn.execute(
        "SELECT received_at FROM calls WHERE seq > (SELECT ifnull(max(seq), 0) FROM marks WHERE name = ?)"
        " ORDER BY seq LIMIT 1",
        ("rollup.thin",),
    ).fetchone()
    return 0 if row is None else max(now - int(row[0]), 0)


class _Counted:
    """Sums by bucket and group, still under the integers of names."""

    def __init__(self) -> None:
        self.facts: dict[tuple[int, Cut], Facts] = {}
        self.lanes: dict[tuple[int, Cut], list[int]] = {}
        self.charges: dict[tuple[int, Cut], dict[int, list[int]]] = {}
        self.read = 0

    def add(self, key: tuple[int, Cut], facts: Iterable[int], sign: int = 1) -> None:
        """Count facts, or take them off."""
        have = self.facts.get(key)
        if have is None:
            have = self.facts[key] = zero()
        for place, number in enumerate(facts):
            have[place] += sign * number

    def sketch(self, key: tuple[int, Cut], lanes: Iterable[int], sign: int = 1) -> None:
        """Merge sketches, or take them off."""
        have = self.lanes.setdefault(key, [0] * len(METRICS))
        for place, lane in enumerate(lanes):
            have[place] += sign * lane

    def charge(self, key: tuple[int, Cut], kind: int, counted: Sequence[int], sign: int = 1) -> None:
        """Count a kind of charge, or take it off."""
        have = self.charges.setdefault(key, {}).setdefault(kind, [0, 0, 0])
        for place, number in enumerate(counted):
            have[place] += sign * number

    def merge(
        self, other: _Counted, key: Callable[[tuple[int, Cut]], tuple[int, Cut]], sign: int = 1
    ) -> None:
        """Count all of another's under keys made of its keys, or take it off."""
        self.read += other.read
        for old, facts in other.facts.items():
            self.add(key(old), facts, sign)
        for old, lanes in other.lanes.items():
            self.sketch(key(old), lanes, sign)
        for old, kinds in other.charges.items():
            for kind, counted in kinds.items():
                self.charge(key(old), kind, counted, sign)


def _wanted(
    conn: sqlite3.Connection, query: Query, filters: dict[str, frozenset[int]]
) -> dict[str, frozenset[int]]:
    """What each dimension may be: by the filters, and by the groups that alone are asked for."""
    if query.only:
        for place, name in enumerate(query.dimensions):
            shown = dimensions.numbers(conn, name, {group[place] for group in query.only})
            filters[name] = filters[name] & shown if name in filters else shown
    return filters


def _reasonless(
    conn: sqlite3.Connection,
    query: Query,
    wanted: dict[str, frozenset[int]],
    found: _Counted,
    cache: Cache,
) -> None:
    """Count the calls without a reason: all, less those with one."""
    place = query.dimensions.index("reason") if "reason" in query.dimensions else None
    fewer = tuple(name for name in query.dimensions if name != "reason")
    rest: dict[str, frozenset[int] | None] = {name: ids for name, ids in wanted.items() if name != "reason"}
    whole, some = _Counted(), _Counted()
    _count(conn, query, Which(fewer, rest), whole, cache)
    _count(conn, query, Which(fewer, {**rest, "reason": None}), some, cache)

    def key(old: tuple[int, Cut]) -> tuple[int, Cut]:
        bucket, cut = old
        return old if place is None else (bucket, (*cut[:place], 0, *cut[place:]))

    found.merge(whole, key)
    found.merge(some, key, -1)


def _count(conn: sqlite3.Connection, query: Query, which: Which, found: _Counted, cache: Cache) -> None:
    """Plan, read, and add up."""
    by = tuple(name for name in DIMENSIONS if name in which.dimensions or name in which.filters)
    bounds = query.bounds or (query.start, query.until)
    top: int = conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0]
    layers, behind = _layers(conn, by, query.now, top)
    behind = top - min(layer.mark for layer in layers) if layers else behind
    advice = (
        f"the rollups are {behind:,} calls behind (see `gemgate rollup status`):"
        " ask again when they have caught up, or ask for a shorter span"
        if behind > MOST_FOLDED // 2
        else ""
    )
    planned = plan(bounds, layers, functools.partial(cache.count, conn), advice, top)
    for place, layer in enumerate(layers):
        reaches = [reach for reach in planned.reaches if reach.layer == place]
        if reaches:
            _read_sums(conn, query, Read(layer, by, reaches, which), found)
    single = rows.collect(conn, planned, which, top, cache)
    found.read += single.read
    for counted, sign in ((single.more, 1), (single.less, -1)):
        for key, one in counted.items():
            if query.facts:
                found.add(key, one.facts, sign)
            if query.sketches:
                found.sketch(key, one.sketches.lanes, sign)
            if query.charges:
                for kind, values in one.charges.items():
                    found.charge(key, kind, values, sign)


def _read_sums(conn: sqlite3.Connection, query: Query, read: Read, found: _Counted) -> None:
    if query.facts:
        places = [INDEX[name] for name in query.facts]
        for bucket, cut, numbers in sums.facts(conn, read, query.facts):
            have = found.facts.get((bucket, cut))
            if have is None:
                have = found.facts[bucket, cut] = zero()
            for place, number in zip(places, numbers, strict=True):
                have[place] += number
    if query.sketches:
        every = sums.bodies(conn, read)
        while portion := list(itertools.islice(every, _PORTION)):
            bodies: dict[tuple[int, Cut], list[bytes]] = {}
            for bucket, cut, body in portion:
                bodies.setdefault((bucket, cut), []).append(body)
            for key, some in bodies.items():
                found.sketch(key, merged(some).lanes)
            in_time(conn)
    if query.charges:
        for bucket, cut, (kind, *counted) in sums.charges(conn, read):
            found.charge((bucket, cut), kind, counted)


def _layers(conn: sqlite3.Connection, by: tuple[str, ...], now: int, top: int) -> tuple[list[Layer], int]:
    """What is summed by these dimensions, longest grain first, and how far what had to be left out is behind.

    Sums without a mark are not there, or being made anew. Sums that are too far behind are of no use.
    """
    marks = dict(conn.execute("SELECT name, seq FROM marks"))
    # The job that drops old minutes may have a clock a little ahead of ours.
    kept = Grain.QUARTER.slot(now - MINUTES_KEPT + Grain.HOUR.span)
    found: list[Layer] = []
    behind = 0
    for cube in sums.layers_of(by):
        mark = max(int(marks.get(_MARKS[cube], 0)), 0)
        if mark <= 0 or top - mark > MOST_FOLDED:
            behind = max(behind, top - mark)
            continue
        for grain in sorted(grains(cube), reverse=True):
            found.append(Layer(cube, grain, mark, kept if grain is Grain.MINUTE else 0))
    return found, behind


def _named(conn: sqlite3.Connection, query: Query, counted: _Counted) -> Found:
    """The same under names, without what came to nothing."""
    unasked = [place for name, place in INDEX.items() if name not in query.facts]
    cuts = {cut for keys in (counted.facts, counted.lanes, counted.charges) for _, cut in keys}
    names = [
        dimensions.names(conn, name, {cut[place] for cut in cuts})
        for place, name in enumerate(query.dimensions)
    ]
    only = set(query.only)
    spelt: dict[Cut, tuple[str, ...]] = {}
    for cut in cuts:
        group = tuple(known[number] for known, number in zip(names, cut, strict=True))
        if not only or group in only:
            spelt[cut] = group
    found = Found(facts={}, sketches={}, charges={}, rows=counted.read)
    for (bucket, cut), facts in counted.facts.items():
        for place in unasked:
            facts[place] = 0
        if cut in spelt and any(facts):
            found.facts[bucket, spelt[cut]] = facts
    for (bucket, cut), lanes in counted.lanes.items():
        if cut in spelt and any(lanes):
            found.sketches[bucket, spelt[cut]] = Sketches(*lanes)
    kinds = dimensions.names(conn, "charge", {kind for found in counted.charges.values() for kind in found})
    for (bucket, cut), charged in counted.charges.items():
        some = {kinds[kind]: Charged(*values) for kind, values in charged.items() if any(values)}
        if cut in spelt and some:
            found.charges[bucket, spelt[cut]] = some
    return found
