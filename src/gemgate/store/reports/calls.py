"""What people ask of the record: the newest calls, those after a point, and one call with all that hangs on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gemgate.core.call import spell
from gemgate.core.usage import Detail


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Names stand as text, ``""`` where none; money in nano-dollars, None is unpriced; times in µs.

    ``answered`` is the number of the try whose answer the client got, 0 for the last one. ``key`` is the virtual
    key's name, ``door`` empty for Google's own paths.
    """

    seq: int
    call_id: str
    received_at: int
    first_byte: int | None
    duration: int
    waited: int
    method: str
    version: str
    model: str
    model_served: str
    project: str
    client: str
    outcome: str
    status: int
    reason: str
    finish: str
    block: str
    streaming: str
    tier: str
    tier_served: str
    request_bytes: int
    response_bytes: int
    attempts: int
    input: int
    cached: int
    output: int
    thoughts: int
    tool: int
    estimated: int
    list_nano: int | None
    billed_nano: int | None
    estimated_list_nano: int | None
    estimated_billed_nano: int | None
    tools: int
    turns: int
    media: int
    max_output: int | None
    thinking: str
    json_output: bool
    cached_content: bool
    route: str
    answered: int
    key: str
    user: str
    door: str
    tags: tuple[str, ...]


class ChargeRow(msgspec.Struct, frozen=True):
    """Money for a rare kind."""

    kind: str
    quantity: int
    nano: int | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a call. ``waited`` is what the call waited before it, in µs; ``hedge`` a race's second try."""

    number: int
    model: str
    project: str
    credential: str
    sent_at: int
    first_byte: int | None
    duration: int
    verdict: str
    status: int
    reason: str
    message: str
    quota: str
    retry_after: int
    model_served: str
    tier_served: str
    response: str
    request_bytes: int
    response_bytes: int
    seen: bool
    estimated: bool
    input: int
    cached: int
    output: int
    thoughts: int
    tool: int
    searches: int
    grounded: bool
    maps: int
    input_nano: int
    cached_nano: int
    output_nano: int
    thoughts_nano: int
    tool_nano: int
    list_nano: int | None
    billed_nano: int | None
    price: str
    why: str
    waited: int
    hedge: bool
    charges: tuple[ChargeRow, ...] = ()
    details: tuple[Detail, ...] = ()


_ATTEMPT_FIELDS: Final = AttemptRow.__struct_fields__[:-2]  # those of its own row


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls: by model asked for, project, outcome, HTTP status, the virtual key's name, tag, user of the
    caller's, and received at or after ``since`` (µs)."""

    model: str = ""
    project: str = ""
    outcome: str = ""
    status: int = 0
    since: int = 0
    key: str = ""
    tag: str = ""
    user: str = ""


# A struct's field, the column's owner and the dimension its name stands in.
_CALL_NAMES: Final = {
    "method": ("method_id", "methods"),
    "version": ("version_id", "versions"),
    "model": ("model_id", "models"),
    "model_served": ("model_served_id", "models"),
    "project": ("project_id", "projects"),
    "client": ("client_id", "clients"),
    "outcome": ("outcome_id", "outcomes"),
    "reason": ("reason_id", "reasons"),
    "finish": ("finish_id", "finish_reasons"),
    "block": ("block_id", "block_reasons"),
    "streaming": ("streaming_id", "streamings"),
    "tier": ("tier_id", "tiers"),
    "tier_served": ("tier_served_id", "tiers"),
    "thinking": ("thinking_id", "thinkings"),
    "route": ("route_id", "routes"),
    "key": ("key_id", "virtual_keys"),
    "user": ("user_id", "users"),
    "door": ("door_id", "doors"),
}
_ATTEMPT_NAMES: Final = {
    "model": ("model_id", "models"),
    "project": ("project_id", "projects"),
    "credential": ("credential_id", "credentials"),
    "verdict": ("verdict_id", "verdicts"),
    "reason": ("reason_id", "reasons"),
    "quota": ("quota_id", "quotas"),
    "model_served": ("model_served_id", "models"),
    "tier_served": ("tier_served_id", "tiers"),
    "price": ("price_id", "prices"),
    "why": ("why_id", "whys"),
}
_TEXTS: Final = ("message", "response")
# No name holds a control character.
_TAGS: Final = (
    "ifnull((SELECT group_concat(n.name, char(31)) FROM call_tags AS l JOIN tags AS n ON n.id = l.tag_id"
    " WHERE l.call_seq = t.seq), '')"
)


def _select(fields: tuple[str, ...], names: dict[str, tuple[str, str]], table: str, first: str = "") -> str:
    """A SELECT of the struct's fields in order; a name is looked up row by row, so LIMIT bounds that too."""
    parts = [first] if first else []
    for field in fields:
        if field in names:
            column, dimension = names[field]
            parts.append(f"ifnull((SELECT name FROM {dimension} WHERE id = t.{column}), '')")  # noqa: S608
        elif field in _TEXTS:
            parts.append(f"ifnull(t.{field}, '')")
        elif field == "tags":
            parts.append(_TAGS)
        else:
            parts.append(f"t.{field}")
    return f"SELECT {', '.join(parts)} FROM {table} AS t"  # noqa: S608 - our own names


def select_tries(first: str) -> str:
    """A SELECT of tries ``t``: the columns ``first``, then ``AttemptRow``'s without charges and details."""
    return _select(_ATTEMPT_FIELDS, _ATTEMPT_NAMES, "attempts", first)


_SELECT_CALLS: Final = _select(CallRow.__struct_fields__, _CALL_NAMES, "calls")
# In the order of the tag's index, so that nothing is sorted.
_SELECT_TAGGED: Final = _SELECT_CALLS.removesuffix("calls AS t") + (
    "tags AS n CROSS JOIN call_tags AS l ON l.tag_id = n.id CROSS JOIN calls AS t ON t.seq = l.call_seq"
)
_SELECT_ATTEMPTS: Final = select_tries("t.seq")


def newest(conn: sqlite3.Connection, which: Filter, limit: int = 50, before: int = 0) -> list[CallRow]:
    """The newest calls first; the next page is ``before`` the last one's ``seq``."""
    where, values = _where(which)
    place = _place(which)
    if before:
        where.append(f"{place} < ?")
        values.append(before)
    return _calls(conn, where, values, f"ORDER BY {place} DESC LIMIT {int(limit)}", tagged=bool(which.tag))


def after(conn: sqlite3.Connection, which: Filter, seq: int, limit: int = 500) -> list[CallRow]:
    """Calls committed after the one with ``seq``, oldest first: how to follow the record without gaps."""
    where, values = _where(which)
    place = _place(which)
    where.append(f"{place} > ?")
    values.append(seq)
    return _calls(conn, where, values, f"ORDER BY {place} LIMIT {int(limit)}", tagged=bool(which.tag))


def latest(conn: sqlite3.Connection) -> int:
    """The newest call's ``seq``, 0 when there is none."""
    found: int = conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0]
    return found


def by_seq(conn: sqlite3.Connection, seqs: Sequence[int]) -> list[CallRow]:
    """The calls of these ``seq``, in the order given; up to some thousands."""
    if not seqs:
        return []
    where = f"t.seq IN ({', '.join('?' * len(seqs))})"
    found = {row.seq: row for row in _calls(conn, [where], list(seqs), "")}
    return [found[seq] for seq in seqs if seq in found]


def find(conn: sqlite3.Connection, text: str, limit: int = 10) -> list[CallRow]:
    """The calls whose id begins with ``text`` (dashes do not count). Raises ValueError when it is no id."""
    digits = text.replace("-", "").strip().lower()
    if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"a call id, or its beginning, has up to 32 hexadecimal digits: {text!r}")
    low = bytes.fromhex(digits.ljust(32, "0"))
    high = bytes.fromhex(digits.ljust(32, "f"))
    return _calls(
        conn, ["t.call_id BETWEEN ? AND ?"], [low, high], f"ORDER BY t.call_id DESC LIMIT {int(limit)}"
    )


def attempts(conn: sqlite3.Connection, seq: int) -> list[AttemptRow]:
    """The tries of a call, in order, each with its charges and modality details."""
    found = []
    for number, *values in conn.execute(f"{_SELECT_ATTEMPTS} WHERE t.call_seq = ? ORDER BY t.number", (seq,)):
        raw: dict[str, Any] = dict(zip(_ATTEMPT_FIELDS, values, strict=True))
        charges = conn.execute(
            "SELECT k.name, c.quantity, c.nano FROM charges AS c JOIN charge_kinds AS k ON k.id = c.kind_id"
            " WHERE c.attempt_seq = ? ORDER BY c.position",
            (number,),
        )
        details = conn.execute(
            "SELECT s.name, m.name, d.tokens FROM details AS d JOIN sides AS s ON s.id = d.side_id"
            " JOIN modalities AS m ON m.id = d.modality_id WHERE d.attempt_seq = ? ORDER BY d.position",
            (number,),
        )
        for flag in ("seen", "estimated", "grounded", "hedge"):
            raw[flag] = bool(raw[flag])
        row = AttemptRow(
            **raw,
            charges=tuple(ChargeRow(*charge) for charge in charges),
            details=tuple(Detail(*detail) for detail in details),
        )
        found.append(row)
    return found


def _where(which: Filter) -> tuple[list[str], list[Any]]:
    """The conditions of a filter. An unknown name equals nothing, so it finds nothing."""
    where: list[str] = []
    values: list[Any] = []
    for name, column, dimension in (
        (which.model, "model_id", "models"),
        (which.project, "project_id", "projects"),
        (which.outcome, "outcome_id", "outcomes"),
        (which.key, "key_id", "virtual_keys"),
        (which.user, "user_id", "users"),
    ):
        if name:
            where.append(f"t.{column} = (SELECT id FROM {dimension} WHERE name = ?)")  # noqa: S608
            values.append(name)
    if which.tag:
        where.append("n.name = ?")
        values.append(which.tag)
    if which.status:
        # The second half lets SQLite see that the index of all but 200 will do.
        where.append("t.status = ?" if which.status == 200 else "t.status = ? AND t.status <> 200")
        values.append(which.status)
    if which.since:
        where.append("t.received_at >= ?")
        values.append(which.since)
    return where, values


def _place(which: Filter) -> str:
    """The column of the calls' order."""
    return "l.call_seq" if which.tag else "t.seq"


def _calls(
    conn: sqlite3.Connection, where: list[str], values: list[Any], tail: str, *, tagged: bool = False
) -> list[CallRow]:
    condition = f"WHERE {' AND '.join(where)}" if where else ""
    select = _SELECT_TAGGED if tagged else _SELECT_CALLS
    found = []
    for row in conn.execute(f"{select} {condition} {tail}", values):
        raw: dict[str, Any] = dict(zip(CallRow.__struct_fields__, row, strict=True))
        raw["call_id"] = spell(raw["call_id"])
        raw["json_output"] = bool(raw["json_output"])
        raw["cached_content"] = bool(raw["cached_content"])
        raw["tags"] = tuple(sorted(raw["tags"].split("\x1f"))) if raw["tags"] else ()
        found.append(CallRow(**raw))
    return found
