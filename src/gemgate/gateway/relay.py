"""Gives an answer to the client, and holds its end until the row is committed.

Laws:

- what upstream sent is what the client gets, byte for byte;
- a whole answer leaves after the row is committed; of a stream everything before its end leaves at once;
- an answer that broke ends in an error of its own form, or in a closed connection where the form has none:
  never in a clean end;
- we read on only as fast as the client takes the bytes.
"""

from __future__ import annotations

from math import isinf

from gemgate.core.call import spell
from gemgate.core.routing import Target
from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.dialects.gemini import errors, verdict
from gemgate.dialects.gemini.array import ArrayFeed
from gemgate.dialects.gemini.stream import Tap
from gemgate.dialects.sse import TooLong
from gemgate.gateway.desk import Desk
from gemgate.gateway.headers import Headers, retry_after
from gemgate.gateway.judging import EVENTS, Answer, decoded, sober
from gemgate.gateway.settle import settle
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.wiring import media_type
from gemgate.upstream.client import TransportFault

MOST_TRIES = 12  # named in a header
NOTICEABLE = 1_000  # µs: less is no waiting
MOST_NAME = 200  # a longer name of a model is none that a header should carry


async def relay(answer: Answer, ticket: Ticket, desk: Desk) -> None:
    """Give the answer to the client and record the call."""
    if answer.reply is None:
        await _whole(answer, ticket, desk)
        return
    try:
        if answer.tap is not None:
            await _stream(answer, answer.tap, ticket, desk)
        else:
            await _through(answer, ticket, desk)
    finally:
        answer.reply.close()


async def _whole(answer: Answer, ticket: Ticket, desk: Desk) -> None:
    found = answer.verdict
    status, body, headers = answer.status, answer.body, answer.headers
    if not found.ok and (status < 400 or not body):
        # Upstream gave no error of its own to pass on: a page, nothing, half an answer, or no answer at all.
        status = found.status if found.status >= 400 else 502
        headers, body = ticket.door.error(errors.from_verdict(found), ticket.call_id, ticket.match)
    elif ticket.door.translates:
        status, headers, body = ticket.door.whole(status, headers, decoded(headers, body))
    if not found.ok:
        ticket.marks += ticket.door.again(found.kind in (Kind.BUSY, Kind.BROKEN), ticket.match)
    ticket.conclude(found, status)
    ticket.response_bytes = len(body)
    await settle(ticket, desk)
    await ticket.exchange.answer(status, marked(headers, ticket, found), body)


async def _through(answer: Answer, ticket: Ticket, desk: Desk) -> None:
    """An answer that is not judged passes piece by piece; the last piece waits for the row.

    Nobody can tell the last of unknown events before the body ends: of these only the body's end waits.
    """
    reply = answer.reply
    assert reply is not None
    exchange, trial = ticket.exchange, ticket.trial
    assert trial is not None
    await exchange.start(answer.status, marked(answer.headers, ticket, answer.verdict))
    last = answer.body
    lively = media_type(reply) == EVENTS
    stall = ticket.timeouts.stall
    found = answer.verdict
    try:
        with ticket.vigil.limit("stall_timeout", stall) as vigil:
            while chunk := await reply.read():
                vigil.pause()
                trial.response_bytes += len(chunk)
                await exchange.write(chunk if lively else last)
                last = b"" if lively else chunk
                vigil.beat()
    except TransportFault as fault:
        found = _cut(fault.verdict)
    ticket.response_bytes = exchange.sent + len(last)
    ticket.conclude(found, answer.status)
    await settle(ticket, desk)
    if found.ok:
        await exchange.write(last, more=False)
    # else: the answer stays incomplete and the server closes the connection, which every client notices.


async def _stream(answer: Answer, tap: Tap, ticket: Ticket, desk: Desk) -> None:
    reply = answer.reply
    assert reply is not None
    exchange, trial = ticket.exchange, ticket.trial
    assert trial is not None
    door = ticket.door
    await exchange.start(answer.status, marked(door.head(answer.headers), ticket, answer.verdict))
    if answer.body and (ready := door.feed(answer.body)):
        await exchange.write(ready)
    found: Verdict | None = None
    try:
        with ticket.vigil.limit("stall_timeout", ticket.timeouts.stall) as vigil:
            while chunk := await reply.read():
                trial.response_bytes += len(chunk)
                ready = tap.feed(chunk)
                if ready and (ready := door.feed(ready)):
                    vigil.pause()
                    await exchange.write(ready)
                if tap.broken:
                    break
                vigil.beat()
        tap.close()
    except TransportFault as fault:
        found = _cut(fault.verdict)
    except TooLong:
        tap.meter.garbage = True
    if found is None or tap.meter.ended:
        found = sober(verdict.judge_answer(tap.meter, whole=True))
    if not found.ok and found.kind is not Kind.CUT:
        found = _cut(found)
    if found.ok and isinstance(tap.splitter, ArrayFeed) and not tap.splitter.closed:
        found = _cut(Verdict(kind=Kind.CUT, status=502, reason="cut", message="The array was not closed."))
    if found.ok and tap.open:
        found = _cut(
            Verdict(kind=Kind.CUT, status=502, reason="cut", message="A candidate has no finish reason.")
        )
    tail = door.end(tap.held) if found.ok else _error_tail(found, tap, ticket)
    ticket.response_bytes = exchange.sent + len(tail)
    ticket.conclude(found, answer.status)
    await settle(ticket, desk)
    await exchange.write(tail, more=False)


def _cut(found: Verdict) -> Verdict:
    """What a fault is called once the answer has begun."""
    return Verdict(
        kind=Kind.CUT,
        status=found.status or 502,
        reason=found.reason or "cut",
        message=found.message or "The upstream ended the answer without a finish reason.",
        scope=found.scope or Scope.UPSTREAM,
        retry_after=found.retry_after,
        quota=found.quota,
        billed=True,
    )


def _error_tail(found: Verdict, tap: Tap, ticket: Ticket) -> bytes:
    """The error in the form of this stream: upstream's own object when it sent one, else ours."""
    fault = tap.fault
    _, body = ticket.door.error(errors.from_verdict(found), ticket.call_id, ticket.match)
    if fault is not None and fault.raw:
        body = ticket.door.wording(found.status, fault.raw)
    return stream_error(ticket, body)


def stream_error(ticket: Ticket, body: bytes) -> bytes:
    """An error body as the last event of the call's stream, of which whole events were forwarded so far."""
    return ticket.door.broken(body, ticket.streaming, ticket.match, ticket.exchange.sent)


def _detour(ticket: Ticket, trial: Trial | None) -> Headers:
    """How the answer came about, where that was not by one try at the first target."""
    out: Headers = []
    if len(ticket.trials) > 1:
        tries = [
            f"{_name(each.target)}={each.verdict.reason or each.verdict.kind if each.verdict is not None else 'ok'}"
            for each in ticket.trials[:MOST_TRIES]
        ]
        out.append((b"x-gemgate-tries", ", ".join(tries).encode("ascii", "replace")))
    if trial is not None and trial.passed:
        passed = [f"{_name(target)}={why}" for target, why in trial.passed[:MOST_TRIES]]
        out.append((b"x-gemgate-passed", ", ".join(passed).encode("ascii", "replace")))
    if ticket.waited >= NOTICEABLE:
        out.append((b"x-gemgate-waited", f"{ticket.waited / 1_000_000:.3f}".encode()))
    if ticket.route:
        out.append((b"x-gemgate-route", ticket.route.encode("ascii", "replace")))
    if trial is not None and trial.target.changes:
        out.append((b"x-gemgate-adapted", ", ".join(trial.target.changes).encode()))
    return out


def _name(target: Target) -> str:
    """The target's name as a header can carry it: its model may be whatever the caller wrote."""
    name = target.name[:MOST_NAME]
    return name if name.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in name)


def _heals(found: Verdict) -> bool:
    """Whether a client may be told when to come again: a bad key, an unknown model or an empty account are asked
    again by us in a while, but only somebody who mends them makes that any use."""
    return not found.ok and found.kind is not Kind.REFUSED and found.reason not in ("prepaid", "quota_zero")


def marked(headers: Headers, ticket: Ticket, found: Verdict | None, wait: float = 0.0) -> Headers:
    """The headers with our marks: call id, number of tries, the model that served, how it came about where there
    was more than one try, and Retry-After."""
    out = [
        *headers,
        (b"x-gemgate-call", spell(ticket.call_id).encode()),
        (b"x-gemgate-attempts", str(len(ticket.trials)).encode()),
        *ticket.marks,
    ]
    trial = ticket.trial
    if trial is not None:
        served = (trial.meter.model if trial.meter is not None else "") or trial.target.model
        if served and len(served) < MOST_NAME and served.isascii() and served.isprintable():
            out.append((b"x-gemgate-model", served.encode()))
    if (
        len(ticket.trials) > 1
        or ticket.waited >= NOTICEABLE
        or ticket.route
        or (trial is not None and (trial.target.changes or trial.passed))
    ):
        out += _detour(ticket, trial)
    if not wait and found is not None and _heals(found):
        wait = found.retry_after if ticket.retry_after is None else ticket.retry_after
    if wait > 0 and not isinf(wait) and not any(name == b"retry-after" for name, _ in headers):
        out.append(retry_after(wait))
    origin = ticket.exchange.header(b"origin")
    if origin and ticket.snapshot.guard.allows(origin):
        out.append((b"access-control-allow-origin", origin.encode("latin-1")))
        out.append((b"access-control-expose-headers", b"*"))
        out.append((b"vary", b"Origin"))
    return out
