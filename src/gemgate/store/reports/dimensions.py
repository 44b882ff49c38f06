"""Names of dimensions to their integers and back. 0 is the empty name; a status stands for itself."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection
from typing import Final

HUNDRED: Final = re.compile(r"[1-9]xx")
"""How all statuses of one hundred are written."""
_TABLES: Final = {
    "model": "models",
    "route": "routes",
    "key": "virtual_keys",
    "project": "projects",
    "method": "methods",
    "client": "clients",
    "reason": "reasons",
    "tag": "tags",
    "charge": "charge_kinds",
    "verdict": "verdicts",
}


def numbers(conn: sqlite3.Connection, dimension: str, names: Collection[str]) -> frozenset[int]:
    """The integers of names; a name that was never seen has none. ``4xx`` means all statuses of that hundred."""
    if dimension == "status":
        whole = [name for name in names if name.isascii() and name.isdigit() and len(name) <= 4]
        hundreds = [100 * int(name[0]) for name in names if HUNDRED.fullmatch(name)]
        meant = {int(name) for name in whole}.union(*(range(one, one + 100) for one in hundreds))
        return frozenset(meant) | ({0} if "" in names else frozenset())
    found = conn.execute(
        f"SELECT id FROM {_TABLES[dimension]} WHERE name IN (SELECT value FROM json_each(?))",  # noqa: S608
        (json.dumps(sorted(names)),),
    )
    return frozenset(number for (number,) in found) | ({0} if "" in names else frozenset())


def names(conn: sqlite3.Connection, dimension: str, wanted: Collection[int]) -> dict[int, str]:
    """The names of integers."""
    if dimension == "status":
        return {number: str(number) if number else "" for number in wanted}
    found = conn.execute(
        f"SELECT id, name FROM {_TABLES[dimension]} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
        (json.dumps(sorted(wanted)),),
    )
    return {0: "", **dict(found)}
