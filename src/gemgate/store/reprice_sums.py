"""The sums that calls priced anew are in, moved by the difference: worked out before the lock is taken.

Laws:

- only the money of calls changes, so every sum keeps its place, its counts and its sketches;
- a set that holds all of the calls moves by what was worked out; one that holds none stays. While one holds some of
  them (it is just being brought forward), all are corrected the slow way, by ``rollups.correct``;
- a sum that is not there (minutes that are no longer kept) stays away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from gemgate.insight.cubes import CELLS, SETS
from gemgate.insight.facts import FACTS, INDEX
from gemgate.insight.fold import CallFact
from gemgate.insight.sets import Batch, Folded
from gemgate.store import rollup_rows, rollups
from gemgate.store.connection import Connection
from gemgate.store.rollup_rows import Rows

_MOVED: Final = tuple(name for name in FACTS if name.endswith("_nano") or name.startswith("unpriced"))
_AT: Final = tuple(INDEX[name] for name in _MOVED)
_PLACE: Final = "cube = ? AND grain = ? AND slot = ? AND a = ? AND b = ?"
_MOVE: Final = f"UPDATE rollups SET {', '.join(f'{name} = {name} + ?' for name in _MOVED)} WHERE {_PLACE}"  # noqa: S608
_MOVE_CHARGE: Final = """
INSERT INTO rollup_charges(cube, grain, slot, a, b, kind_id, quantity, nano, unpriced)
VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(cube, grain, slot, a, b, kind_id) DO UPDATE SET
    quantity = quantity + excluded.quantity, nano = nano + excluded.nano, unpriced = unpriced + excluded.unpriced
"""
_MOVE_FAILURE: Final = """
UPDATE failures SET list_nano = list_nano + ?, billed_nano = billed_nano + ? WHERE grain = ? AND slot = ?
AND model = ? AND project = ? AND verdict = ? AND reason = ? AND status = ? AND next_model = ? AND next_project = ?
"""


class Move(NamedTuple):
    """One sum: its place, what its columns move by, and what its charges do, each with its kind first."""

    place: tuple[int, ...]
    by: list[int]
    charges: list[tuple[int, ...]]


class Moves(NamedTuple):
    """What all sums of some calls move by, set by set. ``slow``: a place is not known yet."""

    before: Sequence[CallFact]
    after: Sequence[CallFact]
    sets: dict[str, list[Move]]
    failures: list[tuple[int, ...]]
    slow: bool


def prepare(conn: sqlite3.Connection, before: Sequence[CallFact], after: Sequence[CallFact]) -> Moves:
    """Work out what the sums move by when these calls become those. Reads only: the integers of cells."""
    old, new = Batch(before), Batch(after)
    sets: dict[str, list[Move]] = {}
    failures: list[tuple[int, ...]] = []
    slow = False
    for name in SETS:
        was, is_ = old.fold(name, 0), new.fold(name, 0)
        cells: dict[Any, int] = {}
        slow = slow or bool(rollup_rows.cells_known(conn, is_, cells))
        if not slow:
            sets[name] = list(_moves(was, is_, cells))
        for key, (_, listed, billed) in is_.failures.items():
            _, listed_before, billed_before = was.failures[key]
            if (listed, billed) != (listed_before, billed_before):
                failures.append((listed - listed_before, billed - billed_before, *key))
    return Moves(before, after, sets, failures, slow)


def apply(conn: Connection, moves: Moves) -> None:
    """Move the sums. Needs the transaction that changes the calls."""
    rollups.changed(conn)
    marks = rollups.marks(conn)
    low, high = moves.before[0].seq, moves.before[-1].seq
    if moves.slow or any(low <= mark < high for mark in marks.values()):
        rollups.correct(conn, moves.before, moves.after)
        return
    for name, rows in moves.sets.items():
        if marks[name] < high:
            continue
        for row in rows:
            if conn.execute(_MOVE, (*row.by, *row.place)).rowcount and row.charges:
                conn.executemany(_MOVE_CHARGE, [(*row.place, *charge) for charge in row.charges])
    if marks["thin"] >= high:
        conn.executemany(_MOVE_FAILURE, moves.failures)


def _moves(was: Folded, is_: Folded, cells: dict[Any, int]) -> list[Move]:
    """What differs between two batches of the same places."""
    old, new = Rows.of(was), Rows.of(is_)
    charges: dict[Any, dict[int, list[int]]] = {}
    for sign, rows in ((-1, old), (1, new)):
        for place, (kind, *numbers) in rows.charges:
            have = charges.setdefault(place, {}).setdefault(kind, [0, 0, 0])
            have[:] = [one + sign * number for one, number in zip(have, numbers, strict=True)]
    found = []
    for (place, before), (_, after) in zip(old.facts, new.facts, strict=True):
        by = [after[at] - before[at] for at in _AT]
        moved = [(kind, *numbers) for kind, numbers in charges.get(place, {}).items() if any(numbers)]
        if moved or any(by):
            where = (*place[:3], cells[place[3]], 0) if place[0] == CELLS else place
            found.append(Move(where, by, moved))  # type: ignore[arg-type]
    return found
