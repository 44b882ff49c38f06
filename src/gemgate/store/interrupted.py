"""What a dead process left open: closed as `interrupted`, with what is known of it.

A try under way when its process died may have been answered and charged for, so it counts as ``cut`` with the
estimate of its input, flagged estimated. Finished tries of the call stay as they were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from gemgate.core.call import Attempt, Cost, Intent, Outcome, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store.connection import Connection
from gemgate.store.ledger import settle

_INTENT: Final = (
    *("call_id", "attempt", "boot", "received_at", "sent_at", "method", "version", "model", "project"),
    *("credential", "client", "streaming", "tier", "request_bytes", "input_estimate"),
    *("route", "why", "waited", "hedge"),
)
_attempt_decoder = msgspec.msgpack.Decoder(Attempt)

Price = Callable[[Intent, Usage], Cost | None]
"""What a try that was never seen to end may have cost, from its intent and the tokens assumed."""


def close_dead(conn: Connection, dead: Mapping[bytes, int], price: Price) -> int:
    """Settle what dead processes left open as `interrupted`. Returns the number of calls closed.

    ``dead`` maps a boot to the time (UTC µs) of its last sign of life, which ends the call's duration. A try
    under way counts as ``cut`` with reason ``interrupted``: Google may have answered it and charged for it,
    so it carries the estimate of its input, flagged estimated. Finished tries of the call stay as they were.
    """
    open_tries_of: dict[bytes, list[tuple[Intent, bytes | None]]] = {}
    for boot in dead:
        for intent, finished in _left_open(conn, boot):
            open_tries_of.setdefault(intent.call_id, []).append((intent, finished))
    records = [_interrupted(tries, dead[tries[0][0].boot], price) for tries in open_tries_of.values()]
    settle(conn, records)
    conn.executemany(
        "UPDATE boots SET ended = max(started, ?) WHERE boot = ? AND ended IS NULL",
        [(seen, boot) for boot, seen in dead.items()],
    )
    return len(records)


def _left_open(conn: sqlite3.Connection, boot: bytes) -> list[tuple[Intent, bytes | None]]:
    """The tries that a boot left open, in order, each with what is known of its end."""
    rows = conn.execute(
        """
        SELECT o.call_id, o.attempt, b.boot, o.received_at, o.sent_at,
               methods.name, versions.name, models.name, projects.name,
               credentials.name, clients.name, streamings.name, tiers.name,
               o.request_bytes, o.input_estimate, routes.name, whys.name, o.waited, o.hedge, o.finished
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
        WHERE b.boot = ? ORDER BY o.call_id, o.attempt
        """,
        (boot,),
    )
    found = []
    for *values, finished in rows:
        raw = {key: "" if value is None else value for key, value in zip(_INTENT, values, strict=True)}
        found.append((msgspec.convert(raw, Intent, strict=False), finished))
    return found


def _interrupted(tries: Sequence[tuple[Intent, bytes | None]], seen: int, price: Price) -> Record:
    """The record of a call whose process died."""
    attempts = [
        _attempt_decoder.decode(finished) if finished is not None else _lost(intent, seen, price)
        for intent, finished in tries
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
    )


def _lost(intent: Intent, seen: int, price: Price) -> Attempt:
    """A try of which nothing is known but that it may have been sent."""
    usage = Usage(input=intent.input_estimate)
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
