"""One try: intent committed, request sent, answer read until it can be judged.

Laws:

- a try comes with its room taken, so that no other call takes it meanwhile; one that did not leave gives it back;
- the intent of a try is committed before its first byte goes to Google, together with the end of the try before;
- whatever ends a try, the board learns of it, and a try that returns no answer has closed its reply.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from gemgate.core.call import Intent
from gemgate.core.routing import Target
from gemgate.core.verdict import Scope
from gemgate.gateway import judging, wiring
from gemgate.gateway.desk import Desk
from gemgate.gateway.exchange import ClientGone
from gemgate.gateway.judging import Answer
from gemgate.gateway.settle import attempt_row
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.watch import Vigil
from gemgate.store import ledger
from gemgate.upstream.client import Reply, TransportFault, Wire


async def attempt(trial: Trial, ticket: Ticket, desk: Desk, vigil: Vigil) -> Answer:
    """Make this try. ``vigil`` bounds its waiting for upstream; in a race it is not the ticket's own."""
    wire = await _prepared(trial, ticket, desk)
    reply: Reply | None = None
    times = ticket.timeouts
    vigil.expire(times.total)
    if vigil is not ticket.vigil:
        ticket.vigil.expire(times.total)  # what wins a race goes on under the ticket's own
    try:
        with vigil.limit("first_byte_timeout", times.first_byte):
            reply = await desk.upstream.send(ticket.snapshot.base, wire)
            ticket.vigil.arm()  # the body is through, or its rest is of no use
            answer = await judging.read(reply, trial, ticket, vigil)
    except TransportFault as fault:
        if reply is not None:
            reply.close()
        if ticket.exchange.left:
            desk.board.left(trial)
            raise ClientGone from None  # the break was the client's own
        answer = Answer(judging.uncommitted(fault.verdict), 0, [], b"")
    except BaseException:
        if reply is not None:
            reply.close()
        desk.board.left(trial)
        raise
    if answer.reply is None:
        trial.end(answer.verdict)
        if answer.verdict.ok and trial.meter is None:
            body = judging.decoded(answer.headers, answer.body)
            desk.affinity.read(ticket, trial, answer.headers, body, trial.sent_at)
    if answer.verdict.scope is Scope.KEY:
        ticket.denied += (trial.credential,)
    desk.board.met(trial, answer.verdict)
    return answer


async def _prepared(trial: Trial, ticket: Ticket, desk: Desk) -> Wire:
    """The request, once the intent to send it is on record. What was taken for it comes back when that fails."""
    try:
        wire, trial.credential = wiring.wire(trial.target, ticket, desk)
        trial.request_bytes = wire.length or 0
        if ticket.entry is not None:
            trial.held = desk.brakes.more(ticket, trial)
        if ticket.asked is None and wire.body is not None and not isinstance(wire.body, bytes):
            wire.body = _lively(wire.body, ticket.vigil)
        ticket.trials.append(trial)
        await _open(trial, ticket, desk)
    except BaseException:
        if trial in ticket.trials:
            ticket.trials.remove(trial)
        desk.board.unsent(trial)
        raise
    return wire


async def _open(trial: Trial, ticket: Ticket, desk: Desk) -> None:
    intent = _intent(trial, ticket, desk.boot)
    for before in ticket.trials:
        if before.verdict is not None and not before.kept:
            before.kept = True
            await desk.db.write(ledger.next_try, ledger.NextTry(attempt_row(before, ticket), intent))
            return
    await desk.db.write(ledger.open_tries, intent)


async def _lively(body: AsyncIterator[bytes], vigil: Vigil) -> AsyncIterator[bytes]:
    """A body that streams through: while it still comes, upstream owes no answer."""
    async for piece in body:
        vigil.beat()
        yield piece


def new_trial(target: Target, ticket: Ticket, desk: Desk) -> Trial:
    """The next try of this call."""
    number = max((trial.number for trial in ticket.trials), default=0) + 1
    trial = Trial(number, target, desk.clock.now())
    trial.routed = ticket.snapshot.routed
    trial.input_estimate = ticket.input_estimate
    return trial


def _intent(trial: Trial, ticket: Ticket, boot: bytes) -> Intent:
    match, asked = ticket.match, ticket.asked
    return Intent(
        call_id=ticket.call_id,
        attempt=trial.number,
        boot=boot,
        received_at=ticket.received_at,
        sent_at=trial.sent_at,
        method=match.method if match else "unknown",
        version=match.version if match else "",
        model=trial.target.model,
        project=trial.target.project,
        credential=trial.credential,
        client=ticket.client,
        streaming=ticket.streaming,
        request_bytes=trial.request_bytes,
        input_estimate=trial.input_estimate,
        output_estimate=trial.output_estimate,
        tier=asked.tier if asked else "",
        route=ticket.route,
        why=trial.why,
        waited=trial.waited,
        hedge=trial.hedge,
        key=ticket.key.id if ticket.key is not None else 0,
        user=ticket.user,
        door=ticket.door.name,
        tags=ticket.tags,
        held=trial.held,
    )
