"""One random record twice, with and without sums, and questions of every shape about it."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import NamedTuple

import reported
from hypothesis import strategies as st
from reported import DAY, END, SECOND

from gemgate.core.call import Record
from gemgate.insight.cubes import DIMENSIONS, SETS
from gemgate.store import connection, rollups
from gemgate.store.database import FILE
from gemgate.store.reports.asked import Ask

NOW = END + 20 * SECOND
ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")


class Stage(NamedTuple):
    """Connections to the record without sums and to the one with sums that are some calls behind, its calls, and
    what counts of them."""

    conns: list[sqlite3.Connection]
    made: list[Record]
    rows: list[reported.Row]

    def __repr__(self) -> str:
        """Short, for hypothesis shows it."""
        return "stage"


def build(blank: Path, folder: Path, count: int) -> Stage:
    """Make both."""
    made: list[Record] = []
    conns = []
    for name in ("bare", "summed"):
        path = folder / f"{name}.{FILE}"
        path.write_bytes(blank.read_bytes())
        with contextlib.closing(connection.writer(path)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            numbers = reported.keys(conn)
            made = made or reported.records(random.Random(11), count, numbers, days=20)
            reported.fill(conn, made[:-9])
            conn.keep()
            if name == "summed":
                with contextlib.closing(connection.visitor(path)) as visitor:
                    sums = rollups.Folder(visitor, rest=lambda _: None, quick=True)
                    while sums.round(tuple(SETS), NOW):
                        pass
            conn.execute("BEGIN IMMEDIATE")
            reported.fill(conn, made[-9:])
            conn.keep()
        conns.append(sqlite3.connect(path, isolation_level=None))
    return Stage(conns, made, reported.told(made, numbers))


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """Questions of every shape that can be answered."""
    start, until = sorted(
        draw(st.lists(st.integers(END - 21 * DAY, NOW), min_size=2, max_size=2, unique=True))
    )
    named = draw(st.sampled_from(((), (), ("model",), ("reason",), ("key",))))
    known = {"model": ("gemini-other", ""), "reason": ("", "overloaded"), "key": ("alpha",)}
    return Ask(
        start=start,
        until=until if draw(st.booleans()) else NOW,
        now=NOW,
        zone=draw(st.sampled_from(ZONES)),
        step=draw(st.sampled_from(("none", "auto", "day", "week"))),
        group=tuple(draw(st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=2))),
        filters={name: known[name] for name in named},
        compare=draw(st.booleans()),
        top=draw(st.integers(1, 4)),
    )
