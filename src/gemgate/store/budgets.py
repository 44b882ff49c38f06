"""Budgets, what was spent of them, and what the record shows of the time before a budget was made.

Laws:

- every write of a budget counts the revision ``access`` up in its transaction; what calls spend does not;
- a budget is never deleted: it is disabled, and its name is free again;
- ``seed`` reads beside the traffic in short statements and sees only calls that are settled: those under way
  while a budget is made, and those of the second until gateways know it, are not charged to it. Calls that were
  seeded are nobody's: their money counts for no budget.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from gemgate.core import periods
from gemgate.core.budget import Budget, since, slot
from gemgate.core.call import Charged
from gemgate.store import revisions
from gemgate.store import spends as ledgered
from gemgate.store.connection import Connection
from gemgate.store.interrupted import held
from gemgate.store.named import Exists, Missing

__all__ = [
    "Exists",
    "Missing",
    "change",
    "create",
    "every",
    "find",
    "held",
    "remove",
    "seed",
    "spends",
    "sweep",
]

spends = ledgered.since
"""What was spent in slots that begin at a moment or later, of all budgets."""

_CHUNK: Final = 5_000  # calls in one statement
_DAY: Final = 86_400_000_000
_FIELDS: Final = (
    *("id", "name", "scope", "of", "unit", "amount", "period", "seconds", "zone", "soft", "unpriced"),
    "disabled_at",
)
_COLUMNS: Final = ", ".join(f'"{name}"' for name in _FIELDS[1:])
_SELECT: Final = f"SELECT id, {_COLUMNS} FROM budgets"  # noqa: S608 - our own names
_INSERT: Final = (
    f"INSERT INTO budgets({_COLUMNS}, created_at) VALUES({', '.join('?' * len(_FIELDS))})"
    " ON CONFLICT(name) DO NOTHING RETURNING id"
)
_SET: Final = ", ".join(f'"{name}" = ?' for name in _FIELDS[1:])
_UPDATE: Final = f"UPDATE budgets SET {_SET} WHERE id = ?"  # noqa: S608
# The last of the next so many calls by their time; all calls of its microsecond belong to the slice.
_SLICE: Final = """
SELECT max(received_at) FROM (
    SELECT received_at FROM calls WHERE received_at >= ? AND received_at < ? ORDER BY received_at LIMIT ?)
"""
_TOKENS: Final = "t.input + t.output + t.thoughts + t.tool"
_SPENT: Final = """
SELECT ifnull(sum({amount}), 0) FROM calls AS c {join} WHERE c.received_at >= ? AND c.received_at <= ? AND {which}
    AND c.boot_id NOT IN (SELECT boot_id FROM seeds)
"""
# What a budget's scope means among the calls: a further table, and the condition on its name. Plus signs and CROSS
# keep SQLite to the slice's calls: it would read all that a key ever made, once for each slice.
_SCOPES: Final = {
    "all": ("", "? = ''"),
    "key": ("", "+c.key_id = (SELECT id FROM virtual_keys WHERE name = ?)"),
    "route": ("", "+c.route_id = (SELECT id FROM routes WHERE name = ?)"),
    "tag": (
        "CROSS JOIN call_tags AS l ON l.call_seq = c.seq",
        "l.tag_id = (SELECT id FROM tags WHERE name = ?)",
    ),
    "project": (
        "CROSS JOIN attempts AS t ON t.call_seq = c.seq",
        "+t.project_id = (SELECT id FROM projects WHERE name = ?)",
    ),
}


def every(conn: sqlite3.Connection) -> list[Budget]:
    """All budgets, disabled ones too, in the order in which they were made."""
    return [_budget(row) for row in conn.execute(f"{_SELECT} ORDER BY id")]


def find(conn: sqlite3.Connection, name: str) -> Budget | None:
    """The budget of that name."""
    row = conn.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    return None if row is None else _budget(row)


def create(conn: Connection, budget: Budget, now: int, seed: Iterable[Charged] = ()) -> Budget:
    """Write a new budget (its ``id`` does not count) and what ``seed`` found; returns it with its id.

    ``now`` is UTC µs. Needs the caller's transaction. Raises Exists when the name is that of a budget in force.
    """
    conn.execute(
        "UPDATE budgets SET name = name || ' #' || id WHERE name = ? AND disabled_at > 0", (budget.name,)
    )
    row = conn.execute(_INSERT, (*_row(budget), now)).fetchone()
    if row is None:
        raise Exists(budget.name)
    number = int(row[0])
    ledgered.add(conn, [[Charged(number, one.slot, one.amount) for one in seed]])
    revisions.bump(conn, revisions.ACCESS)
    return msgspec.structs.replace(budget, id=number)


def change(conn: Connection, name: str, **fields: object) -> Budget:
    """Write fields of ``Budget`` (but ``id``, ``name``); returns the budget as it is then.

    What was spent stays in its slots, so another period begins with nothing spent. Needs the caller's
    transaction. Raises Missing, TypeError for a field that is none.
    """
    strange = fields.keys() - set(_FIELDS[2:])
    if strange:
        raise TypeError(f"a budget's {', '.join(sorted(strange))} cannot be changed")
    known = find(conn, name)
    if known is None:
        raise Missing(name)
    changed = msgspec.structs.replace(known, **fields)
    conn.execute(_UPDATE, (*_row(changed), known.id))
    revisions.bump(conn, revisions.ACCESS)
    return changed


def remove(conn: Connection, name: str, now: int) -> Budget:
    """Disable a budget from ``now`` (UTC µs) on. Needs the caller's transaction. Raises Missing."""
    return change(conn, name, disabled_at=now)


def seed(conn: sqlite3.Connection, budget: Budget, now: int) -> tuple[Charged, ...]:
    """What the record shows as spent in the period around ``now`` (UTC µs), by slot; ``budget`` is 0 in it.

    Takes about a microsecond for each call of the period. Unpriced calls add nothing to money.
    """
    return tuple(
        Charged(0, start, amount)
        for start, end in _slots(budget, now)
        if (amount := _spent(conn, budget, start, end))
    )


def sweep(conn: Connection, now: int, limit: int = 200) -> int:
    """Delete up to ``limit`` spends that left their rolling span a day ago; returns how many.

    A budget of a minute makes one a second. ``now`` is UTC µs. Needs the caller's transaction.
    """
    gone = 0
    for row in conn.execute(f"{_SELECT} WHERE period = ?", (periods.ROLLING,)).fetchall():
        budget = _budget(row)
        gone += conn.execute(
            "DELETE FROM budget_spends WHERE budget_id = ? AND slot IN"
            " (SELECT slot FROM budget_spends WHERE budget_id = ? AND slot < ? ORDER BY slot LIMIT ?)",
            (budget.id, budget.id, since(budget, now) - _DAY, limit - gone),
        ).rowcount
    return gone


def _slots(budget: Budget, now: int) -> Iterator[tuple[int, int]]:
    """The slots that count at ``now``, each with its end, the newest first."""
    start, end, first = slot(budget, now), now + 1, since(budget, now)
    yield start, end
    while start > first:
        start, end = slot(budget, start - 1), start
        yield start, end


def _spent(conn: sqlite3.Connection, budget: Budget, start: int, end: int) -> int:
    """What calls received from ``start`` and before ``end`` have spent, summed in slices."""
    join, which = _SCOPES[budget.scope]
    of_table = "t" if budget.scope == "project" else "c"
    amount = f"{of_table}.billed_nano" if budget.unit == "money" else _TOKENS.replace("t.", f"{of_table}.")
    sql = _SPENT.format(amount=amount, join=join, which=which)
    spent = 0
    while True:
        last = conn.execute(_SLICE, (start, end, _CHUNK)).fetchone()[0]
        if last is None:
            return spent
        spent += int(conn.execute(sql, (start, last, budget.of)).fetchone()[0])
        start = last + 1


def _row(budget: Budget) -> Sequence[Any]:
    """The fields but the id, as their columns hold them."""
    return [getattr(budget, name) for name in _FIELDS[1:]]


def _budget(row: tuple[Any, ...]) -> Budget:
    """The budget of a row of ``_SELECT``."""
    values = dict(zip(_FIELDS, row, strict=True))
    values["unpriced"] = bool(values["unpriced"])
    return Budget(**values)
