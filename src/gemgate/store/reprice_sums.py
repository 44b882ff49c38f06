"""The sums that calls priced anew are in, moved by the difference: worked out before the lock is taken.

Laws:

- only the money of calls changes, so every sum keeps its place, its counts and its sketches;
- each set moves by what those of the calls come to that it holds: the ones up to its mark. A mark that goes over
  one of them before the lock is taken makes what was worked out void (``Moved``);
- a sum that is not there (minutes that are no longer kept) stays away.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from gemgate.insight.cubes import CELLS
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
    """What all sums of some calls (their ``seqs``, in order) move by, set by set.

    ``held``: how many of the calls, the first ones, each set held.
    """

    seqs: Sequence[int]
    held: dict[str, int]
    sets: dict[str, list[Move]]
    failures: list[tuple[int, ...]]


class Moved(Exception):
    """A set has been brought forward over some of the calls since their moves were prepared: prepare them anew."""


def prepare(conn: sqlite3.Connection, before: Sequence[CallFact], after: Sequence[CallFact]) -> Moves:
    """Work out what the sums move by when these calls, in the order of their seq, become those. Only reads."""
    seqs = [call.seq for call in before]
    moves = Moves(seqs, _held(conn, seqs), {}, [])
    batches: dict[int, tuple[Batch, Batch]] = {}
    for name, count in moves.held.items():
        if not count:
            continue
        if count not in batches:
            batches[count] = Batch(before[:count]), Batch(after[:count])
        was, is_ = (batch.fold(name, 0) for batch in batches[count])
        cells: dict[Any, int] = {}
        rollup_rows.cells_known(conn, is_, cells)
        moves.sets[name] = list(_moves(was, is_, cells))
        for key, (_, listed, billed) in is_.failures.items():
            _, listed_before, billed_before = was.failures[key]
            if (listed, billed) != (listed_before, billed_before):
                moves.failures.append((listed - listed_before, billed - billed_before, *key))
    return moves


def apply(conn: Connection, moves: Moves) -> None:
    """Move the sums. Needs the transaction that changes the calls. Raises Moved, and has changed nothing then."""
    if _held(conn, moves.seqs) != moves.held:
        raise Moved
    rollups.changed(conn)
    for rows in moves.sets.values():
        for row in rows:
            if conn.execute(_MOVE, (*row.by, *row.place)).rowcount and row.charges:
                conn.executemany(_MOVE_CHARGE, [(*row.place, *charge) for charge in row.charges])
    conn.executemany(_MOVE_FAILURE, moves.failures)


def _held(conn: sqlite3.Connection, seqs: Sequence[int]) -> dict[str, int]:
    """How many of these calls each set holds."""
    return {name: bisect_right(seqs, mark) for name, mark in rollups.marks(conn).items()}


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
        if place[0] == CELLS and place[3] not in cells:
            continue
        if moved or any(by):
            where = (*place[:3], cells[place[3]], 0) if place[0] == CELLS else place
            found.append(Move(where, by, moved))  # type: ignore[arg-type]
    return found
