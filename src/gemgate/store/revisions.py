"""Numbers that go up whenever somebody changes what a gateway holds in memory, so that it notices."""

from __future__ import annotations

import sqlite3
from typing import Final

ACCESS: Final = "access"
"""Keys, their tokens, and budgets."""
ROUTING: Final = "routing"
"""What was stored of routes, limits and prices, and which projects are paused."""
PAYLOADS: Final = "payloads"
"""Whose bodies are kept."""


def number(conn: sqlite3.Connection, name: str) -> int:
    """How often ``name`` was changed."""
    row = conn.execute("SELECT number FROM revisions WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def bump(conn: sqlite3.Connection, name: str) -> int:
    """Say that ``name`` was changed; returns the new number. Needs the transaction that changes it."""
    row = conn.execute(
        "INSERT INTO revisions(name, number) VALUES(?, 1)"
        " ON CONFLICT(name) DO UPDATE SET number = number + 1 RETURNING number",
        (name,),
    ).fetchone()
    return int(row[0])
