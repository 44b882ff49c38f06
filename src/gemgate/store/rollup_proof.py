"""Proves the sums: makes them anew from the calls, a piece of time after the other, and compares row by row.

Laws:

- a set is compared as it stands, with the calls up to its mark: it may go on being brought forward meanwhile. What
  was folded since the piece was read is read and added in the transaction that reads the tables, some thousand
  rows of a cube at a time;
- grains up to the hour are compared hour by hour, days at their end, so that memory holds the sums of a day;
- a difference is looked at once more, from the calls on, before it is told. Where money was corrected meanwhile
  (a re-pricing runs), a day's money is not compared;
- minutes count as long as they are kept; a set that is being made anew is not compared.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from gemgate.insight.cubes import CELLS, CUBES, MINUTES_KEPT, SETS, Grain, grains
from gemgate.insight.facts import FACTS
from gemgate.insight.fold import CallFact, Sums, spread
from gemgate.insight.sets import THIN_SET, Batch, Folded
from gemgate.insight.sketch import METRICS, Sketches
from gemgate.store import folding, rollups
from gemgate.store.connection import reading

_PORTION: Final = 4_000  # calls in one read
_ROWS: Final = 4_000  # of sums, likewise
_MANY: Final = 4_000  # numbers from which on lanes take less room
_HOUR: Final = Grain.HOUR.span
_DAY: Final = Grain.DAY.span
_NAMES: Final = {CELLS: "cell", **{cube: " by ".join(names) or "total" for names, cube in CUBES.items()}}
_PLACE: Final = "cube, grain, slot, a, b"
_WITHIN: Final = "cube = ? AND grain = ? AND (slot, a, b) > (?, ?, ?) AND (slot, a, b) <= (?, ?, ?)"
_MONEY: Final = frozenset(name for name in FACTS if name.endswith("_nano") or name.startswith("unpriced"))
_CHARGE: Final = 6  # columns of a charge's key
_Row = tuple[Any, ...]
_Table = dict[_Row, Any]


class Difference(NamedTuple):
    """A sum that is not that of its calls: which one (cube, grain, slot), and a sentence."""

    where: str
    what: str
    money: bool = False


class _Since(NamedTuple):
    """From when on minutes are compared, how often money had been corrected when a day was begun, rows in a read."""

    minutes: int
    corrections: int
    rows: int


def prove(conn: sqlite3.Connection, now: int, rows: int = _ROWS) -> Iterator[Difference]:
    """All that is wrong with the sums. ``conn`` reads, ``now`` is UTC µs. Raises sqlite3.Error.

    ``rows`` of sums are read at a time.
    """
    busy = _Busy(conn)
    since = _Since(now - MINUTES_KEPT, 0, rows)
    day = _next(conn, 0, _DAY)
    while day is not None:
        first = list(_day(conn, day, since, busy.take))
        if first:
            again = {one.where: one for one in _day(conn, day, since, None)}
            yield from (again[one.where] for one in first if one.where in again)
        day = _next(conn, day + _DAY, _DAY)
    yield from busy.differ()


def _day(
    conn: sqlite3.Connection, day: int, since: _Since, seen: Callable[[list[CallFact]], None] | None
) -> Iterator[Difference]:
    """Compare the sums of a day; ``seen`` is given its calls."""
    with reading(conn):
        marks = {name: mark for name, mark in rollups.marks(conn).items() if mark > rollups.EMPTYING}
        since = since._replace(corrections=rollups.corrections(conn))
    whole = {name: Folded() for name in marks}
    hour = _next(conn, day, _HOUR)
    while hour is not None and hour < day + _DAY:
        pieces = {name: Folded() for name in marks}
        for calls in _portions(conn, hour, hour + _HOUR):
            if seen is not None:
                seen(calls)
            for name, folded in _folded(calls, marks, since.minutes).items():
                pieces[name].merge(folded)
        yield from _compared(conn, pieces, marks, (hour, hour + _HOUR), since)
        for name, piece in pieces.items():
            _keep_days(whole[name], piece)
        hour = _next(conn, hour + _HOUR, _HOUR)
    yield from _compared(conn, whole, marks, (day, day + _DAY), since)


def _portions(conn: sqlite3.Connection, start: int, until: int) -> Iterator[list[CallFact]]:
    """The calls of a span, some thousand at a time."""
    with reading(conn):
        count = conn.execute(
            "SELECT count(*) FROM calls WHERE received_at >= ? AND received_at < ?", (start, until)
        ).fetchone()[0]
    step = max((until - start) // (count // _PORTION + 1), 1)
    while start < until:
        with reading(conn):
            calls = folding.by_time(conn, start, min(start + step, until))
        yield calls
        start += step


def _folded(calls: list[CallFact], marks: dict[str, int], since: int) -> dict[str, Folded]:
    """The sums of calls in each set that holds them."""
    batches: dict[int, Batch] = {}
    newest = max((call.seq for call in calls), default=0)
    found = {}
    for name, mark in marks.items():
        mark = min(mark, newest)
        if mark not in batches:
            batches[mark] = Batch([call for call in calls if call.seq <= mark])
        found[name] = batches[mark].fold(name, since)
    return found


def _keep_days(whole: Folded, piece: Folded) -> None:
    """Add a piece's days to the day, and forget the rest."""
    piece.sums = {place: sums for place, sums in piece.sums.items() if place[1] == Grain.DAY}
    piece.failures = {key: numbers for key, numbers in piece.failures.items() if key[0] == Grain.DAY}
    whole.merge(piece)
    for sums in whole.sums.values():
        sums.settle(_MANY)


class _Made:
    """What the calls of a span make in a set: with the calls that were folded since they were read."""

    def __init__(self, name: str, piece: Folded, mark: int, span: tuple[int, int], since: int) -> None:
        self._name = name
        self._piece = piece
        self._first = mark
        self._span = span
        self._since = since
        self._mark = rollups.EMPTYING
        self.folded = piece
        self._sums: dict[tuple[int, int], list[tuple[_Row, Sums]]] = {}

    def stands(self, conn: sqlite3.Connection) -> bool:
        """Bring it to where the set stands; False when that is being made anew."""
        mark = rollups.mark(conn, self._name)
        if mark < self._first:
            return False
        if mark != self._mark:
            self._take(conn, mark)
            self._mark = mark
        return True

    def within(self, cube: int, grain: int, after: _Row, until: _Row) -> Iterator[tuple[_Row, Sums]]:
        """The sums of a cube and grain whose slot, a, b come after one place, up to another."""
        sums = self._sums.get((cube, grain), [])
        for at in range(bisect_right(sums, after, key=_place), len(sums)):
            if _place(sums[at]) > until:
                return
            yield sums[at]

    def _take(self, conn: sqlite3.Connection, mark: int) -> None:
        where = "c.received_at >= ? AND c.received_at < ?"
        late = folding.by_seq(conn, self._first, mark, where, self._span)
        if late:
            self.folded = Folded()
            self.folded.merge(self._piece)
            self.folded.merge(Batch(late).fold(self._name, self._since))
        cells = _cells(conn, self.folded) if CELLS in SETS[self._name] else {}
        self._sums = {}
        for place, sums in self.folded.sums.items():
            key: _Row = (*place[:3], cells[place[3]], 0) if place[0] == CELLS else place
            self._sums.setdefault(place[:2], []).append((key, sums))
        for some in self._sums.values():
            some.sort(key=_place)


def _place(one: tuple[_Row, Sums]) -> _Row:
    return one[0][2:]


def _compared(
    conn: sqlite3.Connection,
    pieces: dict[str, Folded],
    marks: dict[str, int],
    span: tuple[int, int],
    since: _Since,
) -> Iterator[Difference]:
    """What the tables hold of a span, an hour or a day, against what its calls make."""
    days = span[1] - span[0] == _DAY
    for name, piece in pieces.items():
        made = _Made(name, piece, marks[name], span, since.minutes)
        for cube in SETS[name]:
            for grain in grains(cube):
                if (grain == Grain.DAY) is days:
                    yield from _rows_compared(conn, made, (cube, grain), span, since)
        if name == THIN_SET:
            with reading(conn):
                if not made.stands(conn):
                    continue
                failed = _failures(conn, span, Grain.DAY if days else Grain.HOUR)
                moved = rollups.corrections(conn) != since.corrections
            yield from (one for one in _failed(made.folded, days, failed) if not (moved and one.money))


def _rows_compared(
    conn: sqlite3.Connection, made: _Made, which: tuple[int, Grain], span: tuple[int, int], since: _Since
) -> Iterator[Difference]:
    """The same of one cube and grain: some thousand rows in one read, since a day can have very many."""
    after: _Row = (max(span[0], since.minutes) if which[1] == Grain.MINUTE else span[0], -1, -1)
    while after[0] < span[1]:
        with reading(conn):
            if not made.stands(conn):
                return
            facts = _facts(conn, which, (*after, span[1], since.rows))
            until = next(reversed(facts))[2:] if len(facts) == since.rows else (span[1], -1, -1)
            charges, bodies = _beside(conn, (*which, *after, *until))
            moved = rollups.corrections(conn) != since.corrections
        should = made.within(*which, after, until)
        for one in _differ(should, (facts, charges, bodies)):
            if not (moved and one.money):
                yield one
        after = until


def _facts(conn: sqlite3.Connection, which: tuple[int, Grain], within: _Row) -> _Table:
    """The next rows of a cube and grain, in order: after which slot, a, b; before which slot; how many."""
    rows = conn.execute(
        f"SELECT {_PLACE}, {', '.join(FACTS)} FROM rollups WHERE cube = ? AND grain = ?"  # noqa: S608
        " AND (slot, a, b) > (?, ?, ?) AND slot < ? ORDER BY slot, a, b LIMIT ?",
        (*which, *within),
    )
    return {row[:5]: row[5:] for row in rows}


def _beside(conn: sqlite3.Connection, within: _Row) -> tuple[_Table, _Table]:
    """Charges and bodies of sketches within two places of a cube and grain."""
    charges = conn.execute(
        f"SELECT {_PLACE}, kind_id, quantity, nano, unpriced FROM rollup_charges WHERE {_WITHIN}",  # noqa: S608
        within,
    )
    kinds: _Table = {row[:6]: row[6:] for row in charges if any(row[6:])}
    bodies = conn.execute(f"SELECT {_PLACE}, body FROM sketches WHERE {_WITHIN}", within)  # noqa: S608
    return kinds, {row[:5]: row[5] for row in bodies}


def _cells(conn: sqlite3.Connection, made: Folded) -> dict[Any, int]:
    """The integers of the cells in a piece; those that have none are 0."""
    found = {}
    for cell in {place[3] for place in made.sums}:
        row = conn.execute(_FIND_CELL, cell).fetchone()  # type: ignore[arg-type]
        found[cell] = 0 if row is None else int(row[0])
    return found


_FIND_CELL: Final = (
    "SELECT id FROM cells WHERE model = ? AND route = ? AND key = ? AND project = ? AND method = ? AND status = ?"
    " AND client = ? AND reason = ?"
)


def _failures(conn: sqlite3.Connection, span: tuple[int, int], grain: Grain) -> _Table:
    rows = conn.execute(
        "SELECT * FROM failures WHERE grain = ? AND slot >= ? AND slot < ?", (grain.value, *span)
    )
    return {row[:9]: list(row[9:]) for row in rows if any(row[9:])}


def _differ(
    should: Iterable[tuple[_Row, Sums]], there: tuple[_Table, _Table, _Table]
) -> Iterator[Difference]:
    facts, charges, sketches = there
    for key, sums in should:
        row = facts.pop(key, None)
        if row is None:
            yield Difference(_where(key), "there is no sum of calls that are there")
            continue
        for name, has, true in zip(FACTS, row, sums.facts, strict=True):
            if has != true:
                yield Difference(_where(key), f"{name} is {has}, its calls make {true}", name in _MONEY)
        for kind, numbers in sums.charges.items():
            has = charges.pop((*key, kind), (0, 0, 0))
            if tuple(numbers) != has:
                yield Difference(
                    _where(key), f"charges of kind {kind} are {has}, its calls make {tuple(numbers)}", True
                )
        yield from _sketched(key, sketches.pop(key, None), sums.sketches)
    for key in (*facts, *(key for key in charges if key[:5] not in facts), *sketches):
        yield Difference(_where(key), "it is a sum of no calls", len(key) == _CHARGE)


def _failed(made: Folded, days: bool, failed: _Table) -> Iterator[Difference]:
    failures: _Table = {
        tuple(key): one for key, one in made.failures.items() if (key[0] == Grain.DAY) is days
    }
    for key in sorted(failures.keys() | failed.keys()):
        counted, true = failed.get(key, [0, 0, 0]), failures.get(key, [0, 0, 0])
        if counted != true:
            where = f"failures {_grain(key[0])} {key[1]}"
            yield Difference(
                where,
                f"tries and money are {counted}, its calls make {true} ({key[2:]})",
                counted[0] == true[0],
            )


def _sketched(key: _Row, body: bytes | None, should: Sketches) -> Iterator[Difference]:
    try:
        has = Sketches() if body is None else Sketches.decode(body)
    except ValueError:
        yield Difference(_where(key), "its sketch cannot be read")
        return
    for metric in METRICS:
        one, other = has[metric], should[metric]
        if one != other:
            what = f"the sketch of {metric} holds {one.count} numbers, its calls make {other.count}"
            yield Difference(_where(key), what if one.count != other.count else f"{what}, others")


class _Busy:
    """Busy minutes, which reach beyond the hour and the day of their calls: compared when all calls were seen."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._made: dict[int, int] = {}
        with reading(conn):
            self._mark = rollups.mark(conn, THIN_SET)

    def take(self, calls: list[CallFact]) -> None:
        """Count these, as far as they were in the sums when all began."""
        for call in calls:
            if call.seq <= self._mark:
                self._add(call.received_at, call.duration)

    def differ(self) -> Iterator[Difference]:
        """What the table holds otherwise."""
        conn = self._conn
        with reading(conn):
            mark = rollups.mark(conn, THIN_SET)
            if self._mark == rollups.EMPTYING or mark < self._mark:
                return
            late = conn.execute(
                "SELECT received_at, duration FROM calls WHERE seq > ? AND seq <= ?", (self._mark, mark)
            ).fetchall()
            there = dict(conn.execute("SELECT minute, busy FROM busy_minutes").fetchall())
        for at, duration in late:
            self._add(at, duration)
        for minute in sorted(there.keys() | self._made.keys()):
            has, should = there.get(minute, 0), self._made.get(minute, 0)
            if has != should:
                yield Difference(f"busy minute {minute}", f"busy is {has}, its calls make {should}")

    def _add(self, at: int, duration: int) -> None:
        for minute, span in spread(at, duration):
            self._made[minute] = self._made.get(minute, 0) + span


def _next(conn: sqlite3.Connection, at: int, span: int) -> int | None:
    """The first piece of time at or after ``at`` that has calls or sums, None when there is none."""
    with reading(conn):
        found = [
            conn.execute("SELECT min(received_at) FROM calls WHERE received_at >= ?", (at,)).fetchone()[0]
        ]
        for cube in _NAMES:
            for grain in grains(cube):
                for table in ("rollups", "sketches"):
                    found += conn.execute(
                        f"SELECT min(slot) FROM {table} WHERE cube = ? AND grain = ? AND slot >= ?",  # noqa: S608
                        (cube, grain.value, at),
                    ).fetchone()
        for grain in (Grain.HOUR, Grain.DAY):
            found += conn.execute(
                "SELECT min(slot) FROM failures WHERE grain = ? AND slot >= ?", (grain.value, at)
            ).fetchone()
    there = [one for one in found if one is not None]
    return min(there) // span * span if there else None


def _grain(seconds: int) -> str:
    return Grain(seconds).name.lower()


def _where(key: _Row) -> str:
    return f"{_NAMES[key[0]]} {_grain(key[1])} {key[2]} ({key[3]}, {key[4]})"
