"""What a list of calls may be narrowed by, in SQL.

A term is a condition on one row of ``calls AS t``; a source is a SELECT of ``seq`` alone that an index answers, by
which the same rows can be found instead. A name that nobody knows makes no condition: nothing can match.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from gemgate.store.columns import NAME_LENGTH
from gemgate.store.names import clean

NAMES: Final[dict[str, tuple[str, str]]] = {
    "model_asked": ("model_id", "models"),
    "model_served": ("model_served_id", "models"),
    "route": ("route_id", "routes"),
    "key": ("key_id", "virtual_keys"),
    "user": ("user_id", "users"),
    "project": ("project_id", "projects"),
    "method": ("method_id", "methods"),
    "outcome": ("outcome_id", "outcomes"),
    "reason": ("reason_id", "reasons"),
    "client": ("client_id", "clients"),
    "door": ("door_id", "doors"),
    "finish": ("finish_id", "finish_reasons"),
}
"""Filters that compare a name, with the column and the dimension it stands in."""

TOKENS: Final = "(t.input + t.output + t.thoughts + t.tool)"
AMOUNTS: Final[dict[str, str]] = {
    "input": "t.input",
    "output": "(t.output + t.thoughts)",
    "tokens": TOKENS,
    "billed": "t.billed_nano",
    "list": "t.list_nano",
    "duration": "t.duration",
    "first_byte": "t.first_byte",
}
"""What may be held between two bounds. An amount that is not known (unpriced, no first byte) is in no range."""

# Each has an index whose rows come without a sort. A common name has too many for that, and then time leads.
_INDEXED: Final = frozenset({"model_asked", "route", "key", "user", "project", "outcome", "reason"})
# The try whose target is the call's: the one that answered, else the last.
_FINAL: Final = "CASE t.answered WHEN 0 THEN t.attempts ELSE t.answered END"


class Range(msgspec.Struct, frozen=True):
    """``low <= amount <= high``, None for open. ``of`` is one of ``AMOUNTS``."""

    of: str
    low: int | None = None
    high: int | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls are listed. Everything given must hold.

    ``[start, until)`` bounds ``received_at`` (UTC µs, None for open). ``names`` has for a filter of ``NAMES``,
    ``model`` (of the target that answered, else the last one tried) or ``tag`` the names of which one must be it;
    ``""`` is none. ``status`` are HTTP statuses as ``(low, high)``. ``call`` is the beginning of a call's id, in
    hexadecimal digits alone, ``response`` an id of an answer as the upstream gave it: either of both, if both.
    """

    start: int | None = None
    until: int | None = None
    names: dict[str, tuple[str, ...]] = {}
    status: tuple[tuple[int, int], ...] = ()
    ranges: tuple[Range, ...] = ()
    call: str = ""
    response: str = ""
    unpriced: bool | None = None
    estimated: bool | None = None
    switched: bool | None = None


class Term(msgspec.Struct):
    """One condition with its values. ``source`` finds its rows by an index (empty: none does); ``heavy`` is one that
    looks at other tables for each row."""

    sql: str
    values: tuple[Any, ...] = ()
    source: str = ""
    heavy: bool = False


def terms(conn: sqlite3.Connection, wanted: Wanted) -> list[Term] | None:
    """The conditions of what is wanted, but for its span; None where nothing can match."""
    found: list[Term] = []
    for name, names in wanted.names.items():
        term = _named(conn, name, names)
        if term is None:
            return None
        found.append(term)
    if wanted.status:
        found.append(_status(wanted.status))
    for one in wanted.ranges:
        found += _range(one)
    if wanted.call or wanted.response:
        found.append(_text(wanted.call, wanted.response))
    for flag, sql, heavy in (
        (wanted.unpriced, "t.list_nano IS NULL", False),
        (wanted.estimated, "t.estimated > 0", False),
        (wanted.switched, _SWITCHED, True),
    ):
        if flag is not None:
            found.append(Term(sql if flag else f"NOT ({sql})", heavy=heavy and flag))
    return found


# A call of one try cannot have switched, and most have one: they are told apart without a look at the tries.
_SWITCHED: Final = f"""t.attempts > 1 AND EXISTS (
    SELECT 1 FROM attempts AS a JOIN attempts AS b ON b.call_seq = a.call_seq
    WHERE a.call_seq = t.seq AND a.number = 1 AND b.number = {_FINAL}
    AND (a.model_id IS NOT b.model_id OR a.project_id IS NOT b.project_id)
)"""  # noqa: S608 - our own words


def _named(conn: sqlite3.Connection, name: str, names: tuple[str, ...]) -> Term | None:
    dimension = {"model": "models", "tag": "tags"}.get(name) or NAMES[name][1]
    ids = _ids(conn, dimension, names)
    none = "" in names
    if not ids and not none:
        return None
    marks = ", ".join("?" * len(ids))
    if name == "tag":
        return _tagged(ids, marks, none)
    if name == "model":
        return _target(ids, marks, none)
    column = NAMES[name][0]
    parts = [f"t.{column} IN ({marks})"] if ids else []
    parts += [f"t.{column} IS NULL"] if none else []
    source = ""
    if name in _INDEXED and not none:
        source = f"SELECT seq FROM calls WHERE {column} IN ({marks})"  # noqa: S608
    return Term(" OR ".join(parts), tuple(ids), source)


def _ids(conn: sqlite3.Connection, dimension: str, names: tuple[str, ...]) -> list[int]:
    known = [clean(name, NAME_LENGTH) for name in names if name]
    marks = ", ".join("?" * len(known))
    rows = conn.execute(f"SELECT id FROM {dimension} WHERE name IN ({marks})", known)  # noqa: S608
    return [row[0] for row in rows]


def _tagged(ids: list[int], marks: str, none: bool) -> Term:
    has = "EXISTS (SELECT 1 FROM call_tags AS l WHERE l.call_seq = t.seq"
    parts = [f"{has} AND l.tag_id IN ({marks}))"] if ids else []
    parts += [f"NOT {has})"] if none else []
    source = "" if none else f"SELECT DISTINCT call_seq AS seq FROM call_tags WHERE tag_id IN ({marks})"  # noqa: S608
    return Term(" OR ".join(parts), tuple(ids), source, heavy=True)


def _target(ids: list[int], marks: str, none: bool) -> Term:
    found = "EXISTS (SELECT 1 FROM attempts AS a WHERE a.call_seq = t.seq"
    found += f" AND a.number = {_FINAL}"
    parts = [f"{found} AND a.model_id IN ({marks}))"] if ids else []
    parts += [f"NOT {found} AND a.model_id IS NOT NULL)"] if none else []
    return Term(" OR ".join(parts), tuple(ids), heavy=True)


def _status(spans: tuple[tuple[int, int], ...]) -> Term:
    values = tuple(bound for span in spans for bound in span)
    sql = " OR ".join("t.status BETWEEN ? AND ?" for _ in spans)
    indexed = not any(low <= 200 <= high for low, high in spans)
    # Said to SQLite, so that it may use the index of all but 200; and in one piece, for OR would not.
    source = ""
    if indexed and len(spans) == 1:
        source = "SELECT seq FROM calls WHERE status BETWEEN ? AND ? AND status <> 200"
    return Term(sql, values, source)


def _range(one: Range) -> list[Term]:
    amount = AMOUNTS[one.of]
    bounds = ((one.low, ">="), (one.high, "<="))
    return [Term(f"{amount} {sign} ?", (bound,)) for bound, sign in bounds if bound is not None]


def _text(call: str, response: str) -> Term:
    parts: list[str] = []
    values: list[Any] = []
    source = ""
    if call:
        parts.append("t.call_id BETWEEN ? AND ?")
        values += [bytes.fromhex(call.ljust(32, "0")), bytes.fromhex(call.ljust(32, "f"))]
        source = "SELECT seq FROM calls WHERE call_id BETWEEN ? AND ?"
    if response:
        parts.append("EXISTS (SELECT 1 FROM attempts AS a WHERE a.call_seq = t.seq AND a.response = ?)")
        values.append(clean(response, NAME_LENGTH))
        source = ""
    return Term(" OR ".join(parts), tuple(values), source, heavy=bool(response))
