"""What a dead process left open: closed as `interrupted`, with what is known of it.

A try under way when its process died may have been answered and charged for, so it counts as ``cut`` with the
estimates of its input and output, flagged estimated, and its budgets are charged with what it held. Finished
tries of the call stay as they were, and charge what they have spent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from gemgate.core.call import Attempt, Charged, Cost, Intent, Outcome, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store.connection import Connection
from gemgate.store.ledger import settle

_INTENT: Final = (
    *("call_id", "attempt", "boot", "received_at", "sent_at", "method", "version", "model", "project"),
    *("credential", "client", "streaming", "tier", "request_bytes", "input_estimate"),
    *("route", "why", "waited", "hedge", "key", "user", "door", "output_estimate"),
)
_attempt_decoder = msgspec.msgpack.Decoder(Attempt)
_tags_decoder = msgspec.msgpack.Decoder(tuple[str, ...])
_held_decoder = msgspec.msgpack.Decoder(tuple[Charged, ...])

Price = Callable[[Intent, Usage], Cost | None]
"""What a try that was never seen to end may have cost, from its intent and the tokens assumed."""

_Try = tuple[Intent, Attempt | None]
"""A try that is on record as open, and how it ended where the call has gone on to another."""


def close_dead(conn: Connection, dead: Mapping[bytes, int], price: Price) -> int:
    """Settle what dead processes left open as `interrupted`. Returns the number of calls closed.

    ``dead`` maps a boot to the time (UTC µs) of its last sign of life, which ends the call's duration. A try
    under way counts as ``cut`` with reason ``interrupted``: Google may have answered it and charged for it,
    so it carries the estimates of its input and output, flagged estimated. Finished tries stay as they were.
    """
    open_tries_of: dict[bytes, list[_Try]] = {}
    for boot in dead:
        for one in _left_open(conn, "WHERE b.boot = ?", (boot,)):
            open_tries_of.setdefault(one[0].call_id, []).append(one)
    units = dict(conn.execute("SELECT id, unit FROM budgets"))
    records = [_interrupted(tries, dead[tries[0][0].boot], price, units) for tries in open_tries_of.values()]
    settle(conn, records)
    conn.executemany(
        "UPDATE boots SET ended = max(started, ?) WHERE boot = ? AND ended IS NULL",
        [(seen, boot) for boot, seen in dead.items()],
    )
    return len(records)


def holds(conn: sqlite3.Connection) -> list[Charged]:
    """What calls under way hold of budgets, in the slots of the calls: what a crash now would charge."""
    units = dict(conn.execute("SELECT id, unit FROM budgets"))
    return list(_charged(_left_open(conn, "WHERE o.held IS NOT NULL"), units))


def held(conn: sqlite3.Connection) -> dict[int, int]:
    """The same in all, by the budget's id."""
    sums: dict[int, int] = {}
    for one in holds(conn):
        sums[one.budget] = sums.get(one.budget, 0) + one.amount
    return sums


def _left_open(conn: sqlite3.Connection, which: str, values: Sequence[bytes] = ()) -> list[_Try]:
    """The open tries of a condition, in order, each with what is known of its end."""
    rows = conn.execute(
        f"""
        SELECT o.call_id, o.attempt, b.boot, o.received_at, o.sent_at,
               methods.name, versions.name, models.name, projects.name,
               credentials.name, clients.name, streamings.name, tiers.name,
               o.request_bytes, o.input_estimate, routes.name, whys.name, o.waited, o.hedge,
               ifnull(o.key_id, 0), users.name, doors.name, o.output_estimate, o.tags, o.held, o.finished
        FROM boots AS b
        JOIN open_calls AS o ON o.boot_id = b.id
        LEFT JOIN methods ON methods.id = o.method_id
        LEFT JOIN versions ON versions.id = o.version_id
        LEFT JOIN models ON models.id = o.model_id
        LEFT JOIN projects ON projects.id = o.project_id
        LEFT JOIN credentials ON credentials.id = o.credential_id
        LEFT JOIN clients ON clients.id = o.client_id
        LEFT JOIN streamings ON streamings.id = o.streaming_id
        LEFT JOIN tiers ON tiers.id = o.tier_id
        LEFT JOIN routes ON routes.id = o.route_id
        LEFT JOIN whys ON whys.id = o.why_id
        LEFT JOIN users ON users.id = o.user_id
        LEFT JOIN doors ON doors.id = o.door_id
        {which} ORDER BY o.call_id, o.attempt
        """,  # noqa: S608 - our own condition
        values,
    )
    found = []
    for *texts, tags, holds, finished in rows:
        raw = {key: "" if value is None else value for key, value in zip(_INTENT, texts, strict=True)}
        intent = msgspec.convert(raw, Intent, strict=False)
        intent.tags = () if tags is None else _tags_decoder.decode(tags)
        intent.held = () if holds is None else _held_decoder.decode(holds)
        found.append((intent, None if finished is None else _attempt_decoder.decode(finished)))
    return found


def _charged(tries: Sequence[_Try], units: Mapping[int, str]) -> tuple[Charged, ...]:
    """What these tries have spent: those under way all that they hold, finished ones what they came to."""
    sums: dict[tuple[int, int], int] = {}
    for intent, finished in tries:
        for one in intent.held:
            amount = one.amount if finished is None else _spent(finished, units.get(one.budget, ""), one)
            sums[one.budget, one.slot] = sums.get((one.budget, one.slot), 0) + amount
    return tuple(Charged(*place, amount) for place, amount in sums.items() if amount)


def _spent(finished: Attempt, unit: str, one: Charged) -> int:
    """What a finished try has spent in a budget's unit; what it held where that is not known."""
    if unit == "tokens":
        return 0 if finished.usage is None else finished.usage.total
    if unit == "money" and finished.cost is not None and finished.cost.billed is not None:
        return finished.cost.billed
    return 0 if finished.usage is None or finished.usage == Usage() else one.amount


def _interrupted(tries: Sequence[_Try], seen: int, price: Price, units: Mapping[int, str]) -> Record:
    """The record of a call whose process died."""
    attempts = [
        finished if finished is not None else _lost(intent, seen, price) for intent, finished in tries
    ]
    intent = tries[0][0]
    return Record(
        call_id=intent.call_id,
        boot=intent.boot,
        received_at=intent.received_at,
        first_byte=None,
        duration=max(0, seen - intent.received_at),
        waited=sum(one.waited for one, _ in tries),
        method=intent.method,
        version=intent.version,
        model=intent.model,
        client=intent.client,
        outcome=Outcome.INTERRUPTED,
        status=0,
        reason="interrupted",
        streaming=intent.streaming,
        tier=intent.tier,
        request_bytes=intent.request_bytes,
        attempts=attempts,
        route=intent.route,
        key=intent.key,
        user=intent.user,
        door=intent.door,
        tags=intent.tags,
        charged=_charged(tries, units),
    )


def _lost(intent: Intent, seen: int, price: Price) -> Attempt:
    """A try of which nothing is known but that it may have been sent."""
    usage = Usage(input=intent.input_estimate, output=intent.output_estimate)
    cost = price(intent, usage)
    # A method that is free of charge (a list, a count) used no tokens that anybody pays for.
    free = cost is not None and cost.total == 0 and not cost.price
    return Attempt(
        number=intent.attempt,
        model=intent.model,
        project=intent.project,
        credential=intent.credential,
        sent_at=intent.sent_at,
        first_byte=None,
        duration=max(0, seen - intent.sent_at),
        verdict=Kind.CUT,
        status=0,
        reason="interrupted",
        message="gemgate stopped while this try was under way.",
        request_bytes=intent.request_bytes,
        usage=None if free else usage,
        estimated=not free,
        cost=cost,
        why=intent.why,
        waited=intent.waited,
        hedge=intent.hedge,
    )
