"""The sums of calls beside the calls: brought forward by whoever runs ``Folder``, corrected with the money.

Laws:

- a set of cubes holds exactly the calls up to its mark, each once: a batch is worked out without the lock, and the
  transaction that writes it first sees that the mark is still where the batch began, then moves it. Two that fold
  one file at a time, or a death at any moment, lose and double nothing;
- the sums follow the calls (by the order of their seq, a second behind) and are not made in the ledger's own
  transaction: the call path must not pay for them. What comes late has a new seq and goes into its old slot;
- a set whose mark is ``EMPTYING`` holds nothing that may be read; its tables are emptied in slices, then the mark
  is 0. A set without a mark stands at 0;
- whoever changes the money of settled calls corrects their sums in the same transaction (``reprice_sums``),
  whoever takes calls away voids the sums (``void``). Both are counted (``corrections``): a batch that was read
  before is read again. Nothing else of a settled call changes; sketches hold no money;
- a write holds the lock for about half of what P8 allows: the number of calls follows what writing took so far.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

from gemgate.insight.cubes import MINUTES_KEPT, SETS, Grain, grains
from gemgate.insight.fold import CallFact, Part, parts
from gemgate.insight.sets import THIN_SET, Batch, Folded
from gemgate.store import folding, rollup_rows
from gemgate.store.connection import SLICE, Connection, reading, sliced

EMPTYING: Final = -1
"""The mark of a set that is being emptied: nothing of it may be read."""
LEAST: Final = 1
MOST: Final = 20_000
"""Calls in one batch."""
_CORRECTIONS: Final = "rollup_corrections"
_READ: Final = 2_000  # calls in one read
_FIRST_COST: Final = 20e-6  # seconds a row, until one was written
_TRIM_EVERY: Final = 60_000_000
_CACHE: Final = 256 * 1024  # KiB, for a rebuild that has the file to itself
_DELETED: Final = 100  # rows between looks at the clock
Rest = Callable[[float], None]


def marks(conn: sqlite3.Connection) -> dict[str, int]:
    """For each set the seq of the last call that is in its sums; ``EMPTYING`` where none may be read."""
    found = dict(conn.execute("SELECT name, seq FROM marks WHERE name >= 'rollup.' AND name < 'rollup/'"))
    return {name: int(found.get(f"rollup.{name}", 0)) for name in SETS}


def mark(conn: sqlite3.Connection, name: str) -> int:
    """The mark of one set; ``EMPTYING`` where nothing of it may be read."""
    row = conn.execute("SELECT seq FROM marks WHERE name = ?", (f"rollup.{name}",)).fetchone()
    return 0 if row is None else int(row[0])


def advance(conn: Connection, name: str, now: int, rest: Rest = time.sleep) -> bool:
    """Fold one more batch into a set; True when more is left. ``now`` is UTC µs. Raises sqlite3.Error.

    Whoever does it often keeps a ``Folder``, which learns how much it may write at a time.
    """
    return Folder(conn, rest).advance(name, now)


def reset(conn: Connection, names: Sequence[str] = tuple(SETS)) -> None:
    """Say that these sets must be made anew: nothing of them is read from now on. ``Folder.advance`` then empties
    and fills them. One short write transaction."""

    def step(inside: Connection) -> bool:
        void(inside, names)
        return False

    sliced(conn, step)


def void(conn: Connection, names: Sequence[str] = tuple(SETS)) -> None:
    """As ``reset``, in the caller's transaction: for whoever takes calls away."""
    changed(conn)
    for name in names:
        _move(conn, name, EMPTYING)


class Folder:
    """Brings the sums of one file forward, and remembers what it read and how long writing took.

    ``rest`` is called with the seconds to pause after each write. A file that no gateway uses needs no pauses,
    and takes more at a time (``quick``).
    """

    def __init__(self, conn: Connection, rest: Rest = time.sleep, *, quick: bool = False) -> None:
        self._conn = conn
        self._rest: Rest = _at_once if quick else rest
        self._hold = (10 if quick else 0.5) * SLICE
        self._round = MOST if quick else MOST // 4
        self._size = dict.fromkeys(SETS, _READ)
        self._piece = _READ
        self._changed = -1
        self._cost = _FIRST_COST
        self._cells: dict[Any, int] = {}
        self._read = _Read(0, 0, [], [])
        self._trimmed = 0
        if quick:
            conn.execute(f"PRAGMA cache_size = -{_CACHE}")
        self.held = 0.0
        """Seconds that the last write held the lock."""

    def round(self, names: Sequence[str], now: int, between: Callable[[], bool] | None = None) -> bool:
        """Bring the sets that are furthest behind forward together, reading the calls once; True when more is left.

        ``now`` is UTC µs. ``between`` is called after each write and ends the round when it says False. Raises
        sqlite3.Error.
        """
        while True:
            with reading(self._conn):
                stand = {name: mark(self._conn, name) for name in names}
                top = newest(self._conn)
            empty = [name for name in names if stand[name] == EMPTYING]
            if not empty:
                break
            for name in empty:
                self._empty(name)
        low = min(stand.values())
        until = min(top, low + self._round)
        for name in names:
            if stand[name] < until:
                more = True
                while more:
                    more = self.advance(name, now, until)
                    if between is not None and not between():
                        return True
        return until < top

    def advance(self, name: str, now: int, until: int | None = None) -> bool:
        """Fold one more batch into a set, up to the call ``until`` at most; True when more is left to there.

        ``now`` is UTC µs. Raises sqlite3.Error.
        """
        with reading(self._conn):
            low = mark(self._conn, name)
            top = newest(self._conn)
            count = corrections(self._conn)
        if count != self._changed:
            self._read, self._changed = _Read(0, 0, [], []), count
        if low == EMPTYING:
            self._empty(name)
            return True
        top = top if until is None else min(top, until)
        since = now - MINUTES_KEPT
        if name == THIN_SET and now - self._trimmed >= _TRIM_EVERY:
            self._trimmed = now
            self._trim(since)
        if low >= top:
            return False
        high = min(top, low + self._size[name])
        self._fetch(low, high if until is None else min(top, low + self._round))
        while True:
            folded = self._read.batch(low, high).fold(name, since)
            room = self._hold / self._cost
            if folded.rows <= room * 1.2 or high - low <= LEAST:
                break
            high = low + max(LEAST, int((high - low) * min(0.7, room / folded.rows)))
        try:
            self._write(name, low, high, folded)
        except sqlite3.OperationalError as error:
            self._shorter(error, high - low)
            self._size[name] = max(LEAST, (high - low) // 4)
            return True
        fits = (high - low) * self._hold / self._cost / max(folded.rows, 1)
        self._size[name] = int(min(max(fits, LEAST), 2 * self._size[name], MOST))
        return high < top

    def _fetch(self, low: int, high: int) -> None:
        """Have the calls above ``low`` up to ``high`` at hand."""
        have = self._read
        if have.low <= low and high <= have.high:
            return
        if not have.low <= low < have.high:
            have = _Read(low, low, [], [])
        kept = bisect_right(have.calls, low, key=lambda call: call.seq)
        calls, taken, place = have.calls[kept:], have.taken[kept:], have.high
        while place < high:
            end = min(place + self._piece, high)
            try:
                with reading(self._conn):
                    more = folding.by_seq(self._conn, place, end)
            except sqlite3.OperationalError as error:
                self._shorter(error, end - place)
                self._piece = max(LEAST, (end - place) // 4)
                continue
            calls += more
            taken += map(parts, more)
            place = end
        self._read = _Read(low, place, calls, taken)

    @staticmethod
    def _shorter(error: sqlite3.OperationalError, calls: int) -> None:
        """Let less be read at a time where the time of a read was over (P8); raise any other error again."""
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT or calls <= LEAST:
            raise error

    def _write(self, name: str, low: int, high: int, folded: Folded) -> None:
        """Write a batch, unless somebody else was quicker."""
        conn = self._conn
        with reading(conn):
            if not self._stands(name, low):
                return
            cells = rollup_rows.cells_known(conn, folded, self._cells)
            there = rollup_rows.stored(conn, folded, self._cells)
        bodies = rollup_rows.merged(folded, there)
        prepared = rollup_rows.Prepared.of(rollup_rows.Rows.of(folded), bodies, self._cells)
        begun, worked = time.monotonic(), time.thread_time()

        def step(inside: Connection) -> bool:
            nonlocal begun, worked
            begun, worked = time.monotonic(), time.thread_time()
            if self._stands(name, low):
                self._cells.update(rollup_rows.make_cells(inside, cells))
                rollup_rows.write(inside, prepared, self._cells)
                _move(inside, name, high)
            return False

        try:
            sliced(conn, step)
        except BaseException:
            self._cells.clear()  # some may have been made in what was rolled back
            raise
        self.held = time.monotonic() - begun
        # Work, not time: smaller batches would be no remedy where others take the processor.
        cost = min((time.thread_time() - worked) / max(folded.rows, 1), 3 * self._cost)
        self._cost = min(max(0.7 * self._cost + 0.3 * cost, 2e-6), 1e-3)
        self._rest(max(SLICE, self.held))

    def _stands(self, name: str, low: int) -> bool:
        """Whether a set is still where a batch began, and the batch still says what the calls are."""
        return mark(self._conn, name) == low and corrections(self._conn) == self._changed

    def _trim(self, since: int) -> None:
        """Take away minutes that begin before ``since``."""
        places = [(cube, Grain.MINUTE.value) for cube in SETS[THIN_SET]]

        def step(inside: Connection) -> bool:
            while places:
                if rollup_rows.delete(inside, *places[-1], _DELETED, before=since):
                    return True
                places.pop()
            return False

        sliced(self._conn, step, self._rest)

    def _empty(self, name: str) -> None:
        """Delete all sums of a set whose mark is ``EMPTYING``, then set it to 0."""
        left = [(cube, grain.value) for cube in SETS[name] for grain in grains(cube)]
        beside = ["failures", "busy_minutes"] if name == THIN_SET else []

        def step(inside: Connection) -> bool:
            if mark(inside, name) != EMPTYING:
                return False  # somebody else was quicker, and may have begun to fill them
            while left:
                if rollup_rows.delete(inside, *left[-1], _DELETED):
                    return True
                left.pop()
            while beside:
                if rollup_rows.delete_beside(inside, beside[-1], _DELETED):
                    return True
                beside.pop()
            _move(inside, name, 0)
            return False

        sliced(self._conn, step, self._rest)


class _Read:
    """Calls above ``low`` up to ``high`` with their parts, in order."""

    def __init__(self, low: int, high: int, calls: list[CallFact], taken: list[list[Part]]) -> None:
        self.low = low
        self.high = high
        self.calls = calls
        self.taken = taken
        self._batch: tuple[tuple[int, int], Batch] | None = None

    def batch(self, low: int, high: int) -> Batch:
        """A piece of it. Sets at one mark share what is worked out of that."""
        if self._batch is None or self._batch[0] != (low, high):
            start, end = (bisect_right(self.calls, seq, key=lambda call: call.seq) for seq in (low, high))
            self._batch = ((low, high), Batch(self.calls[start:end], self.taken[start:end]))
        return self._batch[1]


def changed(conn: sqlite3.Connection) -> None:
    """Count that settled calls are changed or taken away in this transaction."""
    conn.execute(
        "INSERT INTO marks(name, seq) VALUES(?, 1) ON CONFLICT(name) DO UPDATE SET seq = seq + 1",
        (_CORRECTIONS,),
    )


def corrections(conn: sqlite3.Connection) -> int:
    """How often settled calls were changed or taken away: what was read of them before is no longer true."""
    row = conn.execute("SELECT seq FROM marks WHERE name = ?", (_CORRECTIONS,)).fetchone()
    return 0 if row is None else int(row[0])


def _move(conn: sqlite3.Connection, name: str, seq: int) -> None:
    conn.execute(
        "INSERT INTO marks(name, seq) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET seq = excluded.seq",
        (f"rollup.{name}", seq),
    )


def newest(conn: sqlite3.Connection) -> int:
    """The seq of the newest call, 0 before the first."""
    return int(conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0])


def _at_once(_: float) -> None:
    """No pause."""
