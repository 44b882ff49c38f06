"""Keys and budgets as administrators would make them."""

from __future__ import annotations

from typing import Any

import msgspec
from sampled import START

from gemgate.core import access
from gemgate.core.access import Key, Token
from gemgate.core.budget import Budget
from gemgate.store import budgets, keys
from gemgate.store.connection import Connection


def token(name: str, **changes: Any) -> Token:
    """A token of a secret that the name gives."""
    secret = access.mint(access.digest(name))
    return Token(digest=access.digest(secret), key=0, hint=access.hint(secret), **changes)


def key(conn: Connection, name: str = "alpha", **fields: Any) -> Key:
    """A key on record."""
    return keys.create(conn, Key(id=0, name=name, created_at=START, **fields), token(name))


def budget(conn: Connection, name: str = "whole", **changes: Any) -> Budget:
    """A budget of money on record, of all and by the day unless told otherwise."""
    made = Budget(id=0, name=name, scope="all", unit="money", amount=10**9, period="day")
    return budgets.create(conn, msgspec.structs.replace(made, **changes), START)
