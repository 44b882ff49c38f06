"""What virtual keys have spent this day and this month (UTC), as the record has it now."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from gemgate.core import periods
from gemgate.insight.facts import INDEX
from gemgate.insight.plan import TooMuch
from gemgate.store.reports.facts import Query, collect

_DAY: Final = 86_400_000_000


class Spent(NamedTuple):
    """Nano-dollars billed for calls of this day and of this month; calls without a known price add nothing."""

    day: int = 0
    month: int = 0


def spent(conn: sqlite3.Connection, now: int, key: str = "") -> dict[str, Spent] | None:
    """What keys have spent, by name; ``key``: of this one alone. ``now`` is UTC µs.

    None while the sums are so far behind that too many calls would have to be read one by one.
    """
    month, day = (periods.span(period, "UTC", now)[0] for period in ("month", "day"))
    until = now + _DAY  # clocks of several gateways may differ
    query = Query(
        start=month,
        until=until,
        now=now,
        bounds=(month, day, until) if month < day else (month, until),
        dimensions=("key",),
        filters={"key": (key,)} if key else {},
        facts=("billed_nano",),
    )
    try:
        found = collect(conn, query)
    except TooMuch:
        return None
    sums: dict[str, Spent] = {}
    last = len(query.bounds) - 2
    for (bucket, (name,)), facts in found.facts.items():
        have, nano = sums.get(name, Spent()), facts[INDEX["billed_nano"]]
        sums[name] = Spent(have.day + (nano if bucket == last else 0), have.month + nano)
    return sums
