"""Sums as rows: how a batch's sums get into the tables of ``schema_rollups``, and how rows are taken away.

Numbers are added to the row that is there; a sketch is read, merged and written whole, which its set's mark makes
safe (``store.rollups``). Cells get their integers here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gemgate.insight.cubes import CELL, CELLS
from gemgate.insight.facts import FACTS
from gemgate.insight.sets import Folded, Place

_MOST: Final = 2**63 - 1
_PLACE: Final = "cube, grain, slot, a, b"
_AT: Final = "cube = ? AND grain = ? AND slot = ? AND a = ? AND b = ?"
_FAILURE: Final = "grain, slot, model, project, verdict, reason, status, next_model, next_project"


def _adding(table: str, key: str, numbers: tuple[str, ...]) -> str:
    """An INSERT that adds its numbers to the row that is there."""
    marks = ",".join("?" * (key.count(",") + 1 + len(numbers)))
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in numbers)
    return (
        f"INSERT INTO {table}({key}, {', '.join(numbers)}) VALUES({marks})"
        f" ON CONFLICT({key}) DO UPDATE SET {sums}"
    )


_ADD: Final = _adding("rollups", _PLACE, FACTS)
_ADD_CHARGE: Final = _adding("rollup_charges", f"{_PLACE}, kind_id", ("quantity", "nano", "unpriced"))
_ADD_FAILURE: Final = _adding("failures", _FAILURE, ("tries", "list_nano", "billed_nano"))
_ADD_BUSY: Final = _adding("busy_minutes", "minute", ("busy",))
_KEEP_SKETCH: Final = (
    f"INSERT INTO sketches({_PLACE}, body) VALUES(?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT({_PLACE}) DO UPDATE SET body = excluded.body"
)
_BODY: Final = f"SELECT body FROM sketches WHERE {_AT}"  # noqa: S608
_FIND_CELL: Final = f"SELECT id FROM cells WHERE {' AND '.join(f'{name} = ?' for name in CELL)}"  # noqa: S608
_MAKE_CELL: Final = (
    f"INSERT INTO cells({', '.join(CELL)}) VALUES({', '.join('?' * len(CELL))})"
    f" ON CONFLICT({', '.join(CELL)}) DO UPDATE SET id = id RETURNING id"
)
_CELLS_KNOWN: Final = 100_000


class Rows(NamedTuple):
    """A batch's numbers as rows, ready to be written: place and numbers; charges; failures; busy minutes."""

    facts: list[tuple[Place, list[int]]]
    charges: list[tuple[Place, tuple[int, ...]]]
    failures: list[tuple[int, ...]]
    busy: list[tuple[int, int]]

    @classmethod
    def of(cls, folded: Folded) -> Rows:
        """The rows of a batch."""
        sums = sorted(folded.sums.items())
        return cls(
            [(place, _held(one.facts)) for place, one in sums],
            [
                (place, (kind, *_held(numbers)))
                for place, one in sums
                for kind, numbers in one.charges.items()
            ],
            [(*key, *_held(numbers)) for key, numbers in sorted(folded.failures.items())],
            sorted(folded.busy.items()),
        )


def cells_known(conn: sqlite3.Connection, folded: Folded, known: dict[Any, int]) -> list[Any]:
    """The cells of a batch that have no integer yet; those that have one are put into ``known``."""
    if len(known) > _CELLS_KNOWN:
        known.clear()
    unknown = []
    wanted: set[Any] = {place[3] for place in folded.sums if place[0] == CELLS}
    for cell in wanted - known.keys():
        row = conn.execute(_FIND_CELL, cell).fetchone()
        if row is None:
            unknown.append(cell)
        else:
            known[cell] = int(row[0])
    return sorted(unknown)


def make_cells(conn: sqlite3.Connection, cells: list[Any]) -> dict[Any, int]:
    """Give cells their integers. Needs the caller's transaction."""
    return {cell: int(conn.execute(_MAKE_CELL, cell).fetchone()[0]) for cell in cells}


def stored(conn: sqlite3.Connection, folded: Folded, known: Mapping[Any, int]) -> dict[Place, bytes]:
    """The sketches that are there already, of those that a batch adds to."""
    found: dict[Place, bytes] = {}
    for place, sums in folded.sums.items():
        if sums.answered and (place[0] != CELLS or place[3] in known):
            row = conn.execute(_BODY, _numbered(place, known)).fetchone()
            if row is not None:
                found[place] = row[0]
    return found


def merged(folded: Folded, there: Mapping[Place, bytes]) -> list[tuple[Place, bytes]]:
    """The sketches as they will be once a batch is in them."""
    found = []
    for place, sums in sorted(folded.sums.items()):
        body = sums.sketched(there.get(place))
        if body is not None:
            found.append((place, body))
    return found


class Prepared(NamedTuple):
    """Rows as they are bound: nothing is worked out while the lock is held, but cells that get their integer there.

    Those stand in the rows without it, as ``later`` rows.
    """

    facts: list[tuple[int, ...]]
    sketches: list[tuple[Any, ...]]
    charges: list[tuple[int, ...]]
    rows: Rows
    later: list[tuple[str, Place, tuple[Any, ...]]]

    @classmethod
    def of(cls, rows: Rows, found: list[tuple[Place, bytes]], known: Mapping[Any, int]) -> Prepared:
        """Bind what a batch adds."""
        made = cls([], [], [], rows, [])
        kinds: tuple[tuple[str, list[Any], Any], ...] = (
            (_ADD, made.facts, rows.facts),
            (_KEEP_SKETCH, made.sketches, ((place, (body,)) for place, body in found)),
            (_ADD_CHARGE, made.charges, rows.charges),
        )
        for sql, ready, more in kinds:
            for place, numbers in more:
                if place[0] != CELLS or place[3] in known:
                    ready.append((*_numbered(place, known), *numbers))
                else:
                    made.later.append((sql, place, tuple(numbers)))
        return made


def write(conn: sqlite3.Connection, prepared: Prepared, known: Mapping[Any, int]) -> None:
    """Add a batch to the tables. Needs the caller's transaction."""
    conn.executemany(_ADD, prepared.facts)
    conn.executemany(_KEEP_SKETCH, prepared.sketches)
    conn.executemany(_ADD_CHARGE, prepared.charges)
    for sql, place, values in prepared.later:
        conn.execute(sql, (*_numbered(place, known), *values))
    conn.executemany(_ADD_FAILURE, prepared.rows.failures)
    conn.executemany(_ADD_BUSY, prepared.rows.busy)


def delete(conn: sqlite3.Connection, cube: int, grain: int, most: int, *, before: int = _MOST) -> bool:
    """Delete up to ``most`` sums of a cube and grain whose slots begin before a moment; False when none is left."""
    where = (cube, grain, before, most)
    gone = 0
    for table, key in (
        ("sketches", "id"),
        ("rollup_charges", f"({_PLACE}, kind_id)"),
        ("rollups", f"({_PLACE})"),
    ):
        columns = key.strip("()")
        gone += conn.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {columns} FROM {table}"  # noqa: S608 - our own names
            " WHERE cube = ? AND grain = ? AND slot < ? LIMIT ?)",
            where,
        ).rowcount
    return gone > 0


def delete_beside(conn: sqlite3.Connection, table: str, most: int) -> bool:
    """Delete up to ``most`` rows of ``failures`` or ``busy_minutes``; False when none is left."""
    columns = _FAILURE if table == "failures" else "minute"
    sql = f"DELETE FROM {table} WHERE ({columns}) IN (SELECT {columns} FROM {table} LIMIT ?)"  # noqa: S608
    return conn.execute(sql, (most,)).rowcount > 0


def _numbered(place: Place, known: Mapping[Any, int]) -> tuple[int, ...]:
    """The place with a cell's integer for the cell."""
    if place[0] != CELLS:
        return place  # type: ignore[return-value]
    return (*place[:3], known[place[3]], 0)


def _held(numbers: list[int]) -> list[int]:
    """Numbers within what a column can hold."""
    return numbers if max(numbers) <= _MOST else [min(number, _MOST) for number in numbers]
