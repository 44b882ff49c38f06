"""What was spent of each budget, by slot: added with the row of the call that spent it.

Laws:

- ``add`` runs in the transaction that inserts the row, for rows that are new only: a record told again adds
  nothing, a rollback takes both back;
- sums stay within 63 bits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from gemgate.core.budget import Budget
from gemgate.core.budget import since as first_slot
from gemgate.core.call import Charged
from gemgate.store.columns import ADD_SPENDS

MOST: Final = 2**63 - 1


def add(conn: sqlite3.Connection, charged: Sequence[Iterable[Charged]]) -> None:
    """Add what calls have spent. Needs the caller's transaction."""
    if not charged:
        return
    sums: dict[tuple[int, int], int] = {}
    for of_call in charged:
        for one in of_call:
            if one.amount > 0:
                place = (one.budget, one.slot)
                sums[place] = sums.get(place, 0) + one.amount
    ADD_SPENDS.rows(conn, [(*place, min(amount, MOST)) for place, amount in sums.items()])


def since(conn: sqlite3.Connection, slot: int = 0) -> list[Charged]:
    """What was spent in slots that begin at ``slot`` (UTC µs) or later."""
    rows = conn.execute("SELECT budget_id, slot, spent FROM budget_spends WHERE slot >= ?", (slot,))
    return [Charged(*row) for row in rows]


def counting(conn: sqlite3.Connection, budgets: Iterable[Budget], now: int) -> list[Charged]:
    """What was spent in the slots that count at ``now`` (UTC µs), of those of the budgets that are in force.

    Short however old the record is: 61 slots of a budget at most.
    """
    found: list[Charged] = []
    for one in budgets:
        if not one.disabled_at:
            place = one.id, first_slot(one, now)
            rows = conn.execute(
                "SELECT slot, spent FROM budget_spends WHERE budget_id = ? AND slot >= ?", place
            )
            found += [Charged(one.id, slot, spent) for slot, spent in rows]
    return found
