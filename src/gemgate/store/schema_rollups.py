"""The tables of sums: what reports read instead of millions of calls.

Laws:

- every row here can be made anew from calls and attempts (``gemgate rollup rebuild``), and ``gemgate verify``
  compares them;
- ``marks`` says for each set of cubes (``insight.cubes.SETS``) up to which call it is summed;
- 0 stands for none in ``a`` and ``b`` and the columns of ``cells``; slots are UTC µs.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, Table, UniqueConstraint

from gemgate.insight.facts import FACTS
from gemgate.store.tables import Key, big, metadata, whole

_CELL = ("model", "route", "key", "project", "method", "status", "client", "reason")


def _place() -> list[Column[int]]:
    """The columns that say which sum a row is."""
    return [
        Column("cube", SmallInteger, primary_key=True, autoincrement=False),
        Column("grain", Integer, primary_key=True, autoincrement=False),
        Column("slot", BigInteger, primary_key=True, autoincrement=False),
        Column("a", Integer, primary_key=True, autoincrement=False),
        Column("b", Integer, primary_key=True, autoincrement=False),
    ]


rollups = Table("rollups", metadata, *_place(), *(big(name) for name in FACTS), sqlite_with_rowid=False)

# Hundreds of bytes each: beside the key, not in its tree.
sketches = Table(
    "sketches",
    metadata,
    Column("id", Key, primary_key=True),
    Column("cube", SmallInteger, nullable=False),
    Column("grain", Integer, nullable=False),
    big("slot"),
    whole("a"),
    whole("b"),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("cube", "grain", "slot", "a", "b"),
)

rollup_charges = Table(
    "rollup_charges",
    metadata,
    *_place(),
    Column("kind_id", Integer, primary_key=True, autoincrement=False),
    big("quantity"),
    big("nano"),
    whole("unpriced"),
    sqlite_with_rowid=False,
)

cells = Table(
    "cells",
    metadata,
    Column("id", Integer, primary_key=True),
    *(whole(name) for name in _CELL),
    UniqueConstraint(*_CELL),
)

# Tries that did not answer, and where their calls went next.
failures = Table(
    "failures",
    metadata,
    *(
        Column(name, BigInteger if name == "slot" else Integer, primary_key=True, autoincrement=False)
        for name in (
            "grain",
            "slot",
            "model",
            "project",
            "verdict",
            "reason",
            "status",
            "next_model",
            "next_project",
        )
    ),
    big("tries"),
    big("list_nano"),
    big("billed_nano"),
    sqlite_with_rowid=False,
)

# µs that calls were under way in each minute.
busy_minutes = Table(
    "busy_minutes",
    metadata,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    big("busy"),
    sqlite_with_rowid=False,
)

findings = Table(
    "findings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    big("as_of"),
    Index(None, "as_of"),
)
