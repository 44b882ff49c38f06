"""Budgets as people see them: with what is spent, held and left of each, and when it begins anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from gemgate.config import Settings
from gemgate.core.budget import Budget, resets_at, since
from gemgate.store import budgets, keys, stored_routes


class BudgetView(msgspec.Struct, frozen=True):
    """A budget and how it stands. Times are UTC µs, 0 for never; sums are nano-dollars or tokens, by ``unit``.

    ``held`` is what calls under way may come to take, as the record shows it; ``left`` is what is neither spent nor
    held. ``resets_at`` is when its period ends; of a rolling span, when all that is spent now has left it.
    """

    name: str
    scope: str
    of: str
    unit: str
    amount: int
    period: str
    seconds: int
    zone: str
    soft: float
    unpriced: bool
    disabled_at: int
    spent: int
    held: int
    left: int
    resets_at: int


_COPIED: Final = BudgetView.__struct_fields__[:-4]


def views(conn: sqlite3.Connection, now: int) -> list[BudgetView]:
    """All budgets, removed ones too, in the order in which they were made. ``now`` is UTC µs."""
    return _views(conn, budgets.every(conn), now)


def view(conn: sqlite3.Connection, name: str, now: int) -> BudgetView | None:
    """The budget of that name. ``now`` is UTC µs."""
    found = budgets.find(conn, name)
    return None if found is None else _views(conn, [found], now)[0]


def names(conn: sqlite3.Connection, settings: Settings, scope: str) -> list[str] | None:
    """The names that a budget of this scope may be of: keys, routes (the file's and stored ones) or projects.

    None where any name does: tags are anybody's to invent.
    """
    if scope == "key":
        return [key.name for key in keys.every(conn)[0]]
    if scope == "route":
        stored = (one.name for one in stored_routes.every(conn))
        return list(dict.fromkeys((*(route.name for route in settings.routes), *stored)))
    if scope == "project":
        return [project.name for project in settings.projects] or (["demo"] if settings.simulated else [])
    return None


def _views(conn: sqlite3.Connection, found: Iterable[Budget], now: int) -> list[BudgetView]:
    chosen = list(found)
    first = {one.id: since(one, now) for one in chosen}
    spent = dict.fromkeys(first, 0)
    for row in budgets.spends(conn, min(first.values(), default=0)):
        if row.slot >= first.get(row.budget, row.slot + 1):
            spent[row.budget] += row.amount
    held = budgets.held(conn)
    return [_view(one, spent[one.id], held.get(one.id, 0), now) for one in chosen]


def _view(budget: Budget, spent: int, held: int, now: int) -> BudgetView:
    return BudgetView(
        **{name: getattr(budget, name) for name in _COPIED},
        spent=spent,
        held=held,
        left=max(0, budget.amount - spent - held),
        resets_at=resets_at(budget, now),
    )
