"""Turns a ticket into the record, prices it, and has it committed: exactly once.

Laws:

- ``settle`` is called for every ticket, after it was concluded, refused or abandoned, and before the end of its
  answer leaves;
- tokens of a try that did not end well count as last seen, or as the input estimate when nothing was seen and
  Google may have billed it; both are marked ``estimated``;
- nothing but the writer's own deadline ends the waiting: a call whose client has left is still recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from typing import cast

import msgspec

from gemgate.core import fingerprint, pricing
from gemgate.core.call import Attempt, Charge, Cost, Intent, Outcome, Record, Shape
from gemgate.core.spending import UNMETERED
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini.methods import GENERATING, METHODS, Reading
from gemgate.gateway.desk import Desk
from gemgate.gateway.doors import OpenAIDoor
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.store import ledger

FREE = Cost()
# Something was done that may cost, in units that the answer does not count.
UNPRICED = Cost(charges=(Charge("unmetered", 1, None),), total=None, billed=None)
NOBODY = Verdict(kind=Kind.CANCELLED, reason="interrupted", billed=True)
MOST_TOKENS = 10**12  # more than any answer can mean


async def settle(ticket: Ticket, desk: Desk) -> None:
    """Commit the ticket's row. Raises Refused when the record cannot be kept."""
    if ticket.settled:
        return
    ticket.vigil.disarm()
    if ticket.outcome is None:
        ticket.abandon(Outcome.INTERRUPTED, 0, "interrupted")
    row = record(ticket, desk)
    ticket.settled = True
    # From here on only a shutdown cancels; the writer then still commits what it was handed.
    await desk.db.write(ledger.settle, row)


def record(ticket: Ticket, desk: Desk) -> Record:
    """The call's row with its attempts. What a fault of ours kept from being learned is not tried again."""
    match, asked, exchange = ticket.match, ticket.asked, ticket.exchange
    attempts = [attempt_row(trial, ticket) for trial in ticket.trials]
    shape = _shape(ticket, desk)
    if ticket.entry is not None and not ticket.entry.over:
        ticket.charged = desk.brakes.settle(ticket, attempts, shape.request_hash)
    if not ticket.learned:
        ticket.learned = True
        _learn(ticket, attempts, desk)
    winner = ticket.trial
    meter = winner.meter if winner is not None else None
    if meter is None:
        meter = next((trial.meter for trial in reversed(ticket.trials) if trial.meter is not None), None)
    duration = (perf_counter_ns() - ticket.started) // 1000
    first = (exchange.first_byte_at - ticket.started) // 1000 if exchange.first_byte_at else None
    if first is None and ticket.outcome not in (Outcome.CANCELLED, Outcome.INTERRUPTED):
        first = duration
    return Record(
        call_id=ticket.call_id,
        boot=desk.boot,
        received_at=ticket.received_at,
        first_byte=first,
        duration=duration,
        method=match.method if match is not None else "unknown",
        version=match.version if match is not None else "",
        model=asked.model if asked is not None else (match.model if match is not None else ""),
        client=ticket.client,
        outcome=ticket.outcome or Outcome.INTERRUPTED,
        status=ticket.status,
        reason=ticket.reason,
        finish=meter.finish if meter is not None else "",
        block=meter.block if meter is not None else "",
        streaming=ticket.streaming,
        tier=asked.tier if asked is not None else "",
        request_bytes=max(exchange.received, ticket.body.size),
        response_bytes=ticket.response_bytes,
        shape=shape,
        attempts=attempts,
        waited=ticket.waited,
        route=ticket.route,
        made=ticket.made,
        answered=winner.number if winner is not None else 0,
        key=_key(ticket),
        user=ticket.user,
        door=ticket.door.name,
        tags=ticket.tags,
        charged=ticket.charged,
        kept=ticket.kept,
        events=ticket.events,
    )


def _learn(ticket: Ticket, attempts: Sequence[Attempt], desk: Desk) -> None:
    """Teach quota, health, estimates and owners what the call has shown."""
    now = desk.clock.now()
    if ticket.trial is not None:
        desk.affinity.learn_stream(ticket, ticket.trial, now)
    for trial, row in zip(ticket.trials, attempts, strict=True):
        desk.board.settled(trial, ticket, row.usage, row.cost)
    if isinstance(ticket.door, OpenAIDoor) and (fresh := ticket.door.kept):
        ticket.kept = desk.signatures.keep(_key(ticket), fresh, now)


def _key(ticket: Ticket) -> int:
    """The number of the call's virtual key, 0 for none."""
    return ticket.key.id if ticket.key is not None else 0


def _shape(ticket: Ticket, desk: Desk) -> Shape:
    asked = ticket.asked
    if asked is None:
        return Shape()
    view = cast(bytes, ticket.body.view)
    return msgspec.structs.replace(
        asked.shape,
        request_hash=fingerprint.request_hash(desk.secret, view),
        prefix_hashes=fingerprint.prefix_hashes(desk.secret, view),
    )


def attempt_row(trial: Trial, ticket: Ticket) -> Attempt:
    """A try as the record keeps it."""
    found = trial.verdict or NOBODY
    meter = trial.meter
    usage = meter.usage if meter is not None else None
    if usage is not None and not _possible(usage):
        usage = None
    estimated = False
    billed = ticket.match is not None and ticket.match.generating
    # Embeddings may be answered without a count, though they are billed by it.
    uncounted = (
        found.ok and usage is None and ticket.match is not None and ticket.match.reading is Reading.EMBED
    )
    if billed and (uncounted or (not found.ok and (usage is not None or found.billed))):
        estimated = True
        if usage is None:
            usage = Usage(input=trial.input_estimate)
    served = (meter.model if meter is not None else "") or ""
    tier = (meter.tier if meter is not None else "") or trial.tier
    ended = trial.ended or perf_counter_ns()
    return Attempt(
        number=trial.number,
        model=trial.target.model,
        project=trial.target.project,
        credential=trial.credential,
        sent_at=trial.sent_at,
        first_byte=(trial.first_byte - trial.started) // 1000 if trial.first_byte else None,
        duration=(ended - trial.started) // 1000,
        verdict=found.kind,
        status=found.status,
        reason=found.reason,
        message=fingerprint.redact(found.message)[:500] if found.message else "",
        quota=found.quota,
        retry_after=int(found.retry_after * 1_000_000),
        model_served=served,
        tier_served=tier,
        response=meter.response if meter is not None else "",
        request_bytes=trial.request_bytes,
        response_bytes=trial.response_bytes,
        usage=usage,
        estimated=estimated,
        cost=_cost(trial, ticket, usage, served, tier),
        why=trial.why,
        waited=trial.waited,
        hedge=trial.hedge,
    )


def _possible(usage: Usage) -> bool:
    """Whether an answer can have these counts: none is negative, none beyond all measure."""
    if not (
        0 <= usage.input <= MOST_TOKENS
        and 0 <= usage.cached <= MOST_TOKENS
        and 0 <= usage.output <= MOST_TOKENS
        and 0 <= usage.thoughts <= MOST_TOKENS
        and 0 <= usage.tool <= MOST_TOKENS
        and 0 <= usage.searches <= MOST_TOKENS
        and 0 <= usage.maps <= MOST_TOKENS
    ):
        return False
    return not usage.details or all(0 <= row.tokens <= MOST_TOKENS for row in usage.details)


def _cost(trial: Trial, ticket: Ticket, usage: Usage | None, served: str, tier: str) -> Cost:
    """Priced by the model that answered, at the date on which the try began."""
    match = ticket.match
    if usage is None and trial.verdict is not None and not trial.verdict.ok and not trial.verdict.billed:
        return FREE
    if match is None or match.method in UNMETERED:
        return UNPRICED
    if not match.generating:
        return FREE
    if usage is None:
        return UNPRICED
    snapshot = ticket.snapshot
    model = served or snapshot.book.routed(trial.target.model, trial.sent_at)
    price = snapshot.book.price(model, tier, trial.sent_at)
    return pricing.cost(price, usage, free=snapshot.free(trial.target.project))


def charge(snapshot: Snapshot, intent: Intent, usage: Usage) -> Cost:
    """What a try that nobody saw end may have cost, for the tokens assumed."""
    if intent.method not in METHODS or intent.method in UNMETERED:
        return UNPRICED
    if intent.method not in GENERATING:
        return FREE
    model = snapshot.book.routed(intent.model, intent.sent_at)
    price = snapshot.book.price(model, intent.tier, intent.sent_at)
    return pricing.cost(price, usage, free=snapshot.free(intent.project))
