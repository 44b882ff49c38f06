"""Sums that are exported long after they were asked for."""

from __future__ import annotations

import random

import msgspec
from sampled import START, identity
from summed import calls

from gemgate.insight.cubes import MINUTES_KEPT, SETS
from gemgate.store import exports, ledger, rollups
from gemgate.store.connection import Connection
from gemgate.store.exports import Sums

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def test_minutes_that_were_trimmed_while_an_export_waited_are_counted_call_by_call(conn: Connection) -> None:
    asked = START // HOUR * HOUR + 100 * HOUR
    first = asked - MINUTES_KEPT + HOUR + 15 * MINUTE
    made = [
        msgspec.structs.replace(one, received_at=first + place * 10_000_000)
        for place, one in enumerate(calls(random.Random(1), 48, identity()))
    ]
    ledger.settle(conn, made)
    conn.keep()
    sums = Sums(bounds=tuple(first + place * MINUTE for place in range(9)), now=asked)
    folder = rollups.Folder(conn, quick=True)
    for now in (asked, asked + 3 * HOUR):
        while folder.round(tuple(SETS), now):
            pass
        folder.advance("thin", now)
        place = [column.name for column in exports.columns("usage")].index("calls")
        found = exports.sums(conn, "usage", sums, lambda now=now: now)  # type: ignore[misc]
        assert [sum(row[place] for row in chunk.rows) for chunk in found] == [6] * 8
    minutes = "SELECT count(*) FROM rollups WHERE cube = 0 AND grain = 60 AND slot < ?"
    assert conn.execute(minutes, (first + 8 * MINUTE,)).fetchone() == (0,)
