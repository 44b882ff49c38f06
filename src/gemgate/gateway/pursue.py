"""Drives ``core.pursuit``: each move becomes a try at the upstream, each try a verdict.

Laws:

- the intent of a try is committed before its first byte goes to Google;
- no answer is committed to the client here; a stream's first event is judged before ``pursue`` returns;
- a try that is not the one returned has been closed.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter_ns, time_ns
from urllib.parse import parse_qsl

import msgspec

from gemgate.core import pacific, pursuit
from gemgate.core.call import Intent, Streaming
from gemgate.core.meter import Meter
from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.dialects.gemini import observe, verdict
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.stream import Tap
from gemgate.dialects.sse import TooLong
from gemgate.gateway import wiring
from gemgate.gateway.desk import Desk
from gemgate.gateway.exchange import ClientGone
from gemgate.gateway.headers import Headers, downward
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.watch import Vigil
from gemgate.store import ledger
from gemgate.upstream.client import Reply, TransportFault

# Answers of calls that are judged are read whole up to this size; other answers stream from the smaller one on.
JUDGED_CAP = 64 << 20
PASSED_CAP = 1 << 20
EVENTS = b"text/event-stream"
MOST_SECONDS = 366 * 86_400.0  # no delay is longer


@dataclass(slots=True)
class Answer:
    """An answer that may be given to the client. With ``reply`` more of the body is to come after ``body``."""

    verdict: Verdict
    status: int
    headers: Headers
    body: bytes
    reply: Reply | None = None
    tap: Tap | None = None


async def pursue(plan: Plan, ticket: Ticket, desk: Desk) -> Answer:
    """Follow the plan until a try ends it. Returns the last answer, good or bad."""
    moves = pursuit.once(plan)
    move = next(moves)
    while True:
        answer = await attempt(move.target, ticket, desk)
        try:
            move = moves.send(answer.verdict)
        except StopIteration:
            return answer
        if answer.reply is not None:
            answer.reply.close()


async def attempt(target: Target, ticket: Ticket, desk: Desk) -> Answer:
    """One try: intent, request, head, and as much of the body as judging takes."""
    wire, credential = wiring.wire(target, ticket, desk)
    trial = Trial(len(ticket.trials) + 1, target, credential)
    trial.request_bytes = wire.length or 0
    if ticket.asked is None and wire.body is not None and not isinstance(wire.body, bytes):
        wire.body = _lively(wire.body, ticket.vigil)
    await desk.db.write(ledger.open_tries, _intent(trial, ticket, desk))
    ticket.trials.append(trial)
    reply: Reply | None = None
    limits = ticket.snapshot.settings.upstream
    ticket.vigil.expire(limits.total_timeout)
    try:
        with ticket.vigil.limit("first_byte_timeout", limits.first_byte_timeout):
            reply = await desk.upstream.send(ticket.snapshot.base, wire)
            ticket.vigil.arm()  # the body is through, or its rest is of no use
            answer = await _read(reply, trial, ticket)
    except TransportFault as fault:
        if reply is not None:
            reply.close()
        if ticket.exchange.left:
            raise ClientGone from None  # the break was the client's own
        answer = Answer(_uncommitted(fault.verdict), 0, [], b"")
    except BaseException:
        if reply is not None:
            reply.close()
        raise
    if answer.reply is None:
        trial.end(answer.verdict)
    return answer


async def _lively(body: AsyncIterator[bytes], vigil: Vigil) -> AsyncIterator[bytes]:
    """A body that streams through: while it still comes, upstream owes no answer."""
    async for piece in body:
        vigil.beat()
        yield piece


def _uncommitted(found: Verdict) -> Verdict:
    """A cut before anything was given to the client is a failed try, not a cut answer."""
    if found.kind is not Kind.CUT:
        return found
    return msgspec.structs.replace(found, kind=Kind.BROKEN, status=found.status or 502, billed=True)


def sober(found: Verdict) -> Verdict:
    """The verdict without a status or a delay that no HTTP answer can carry, whatever upstream wrote."""
    if found.retry_after <= MOST_SECONDS and (not found.status or 100 <= found.status < 600):
        return found
    status = found.status if 100 <= found.status < 600 else 502
    return msgspec.structs.replace(found, status=status, retry_after=min(found.retry_after, MOST_SECONDS))


def _until_midnight(found: Verdict) -> Verdict:
    """A daily quota comes back at midnight in California; the delay that Google names for it is often wrong."""
    if found.reason != "quota_day" or found.retry_after:
        return found
    now = time_ns() // 1000
    return msgspec.structs.replace(found, retry_after=(pacific.next_midnight(now) - now) / 1_000_000)


def _intent(trial: Trial, ticket: Ticket, desk: Desk) -> Intent:
    match, asked = ticket.match, ticket.asked
    return Intent(
        call_id=ticket.call_id,
        attempt=trial.number,
        boot=desk.boot,
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
        input_estimate=asked.input_estimate if asked else 0,
        tier=asked.tier if asked else "",
    )


async def _read(reply: Reply, trial: Trial, ticket: Ticket) -> Answer:
    trial.first_byte = perf_counter_ns()
    for name, value in reply.headers:
        if name == b"x-gemini-service-tier":
            trial.tier = value.decode("latin-1")
    headers = downward(reply.headers, ticket.snapshot.base, ticket.exchange.own_url)
    judged = _judged(ticket)
    if reply.status < 400 and judged and ticket.streaming is not Streaming.NONE and wiring.streams(reply):
        return await _first_event(reply, headers, trial, ticket)
    ok = Verdict(kind=Kind.OK, status=reply.status, billed=True)
    if reply.status < 400 and wiring.media_type(reply) == EVENTS:
        # Not foreseen, or an interaction that is resumed: its tokens are on the row of the call that made it.
        ours = ticket.match is not None and ticket.match.reading is Reading.INTERACTION
        if (judged or ours) and not _coding(reply.headers):
            return await _first_event(reply, headers, trial, ticket, metered=judged)
        if not judged:
            return Answer(ok, reply.status, headers, b"", reply)
    if ticket.exchange.verb == "HEAD":
        headers = headers + _length(reply)
    parts: list[bytes] = []
    size = 0
    cap = JUDGED_CAP if judged or reply.status >= 400 else PASSED_CAP
    while chunk := await reply.read():
        parts.append(chunk)
        size += len(chunk)
        trial.response_bytes += len(chunk)
        ticket.vigil.beat()
        if size > cap:
            return Answer(ok, reply.status, headers + _length(reply), b"".join(parts), reply)
    reply.close()
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return Answer(_judge_whole(reply, body, trial, ticket), reply.status, headers, body)


def _judge_whole(reply: Reply, body: bytes, trial: Trial, ticket: Ticket) -> Verdict:
    plain = decoded(reply.headers, body)
    if reply.status >= 400:
        return _until_midnight(sober(verdict.judge_error(reply.status, plain)))
    match = ticket.match
    if match is not None and _judged(ticket):
        trial.meter = Meter()
        trial.meter.add(observe.observe(match.reading, plain, ""))
        trial.meter.done = trial.meter.done or partial(ticket)
        return _uncommitted(verdict.judge_answer(trial.meter, whole=True))
    if wiring.is_page(reply):
        return Verdict(
            kind=Kind.BROKEN,
            status=502,
            reason="garbage",
            message="The upstream answered with a web page instead of JSON.",
            scope=Scope.UPSTREAM,
        )
    return Verdict(kind=Kind.OK, status=reply.status)


async def _first_event(
    reply: Reply, headers: Headers, trial: Trial, ticket: Ticket, *, metered: bool = True
) -> Answer:
    """Read a stream until it has said something and judge that: nothing is committed before."""
    tap = wiring.tap(ticket)
    tap.partial = partial(ticket)
    if metered:
        trial.meter = tap.meter
    ready: list[bytes] = []
    try:
        while chunk := await reply.read():
            trial.response_bytes += len(chunk)
            ready.append(tap.feed(chunk))
            ticket.vigil.beat()
            if tap.broken:
                break
            if _has_begun(tap, ticket):
                ok = Verdict(kind=Kind.OK, status=reply.status, billed=True)
                return Answer(ok, reply.status, headers, b"".join(ready), reply, tap)
        else:
            tap.close()
    except TooLong:
        tap.meter.garbage = True
    reply.close()
    found = sober(verdict.judge_answer(tap.meter, whole=True))
    if found.ok:
        return Answer(found, reply.status, headers, b"".join(ready) + tap.held)
    body = tap.fault.raw if tap.fault is not None else b""
    return Answer(_uncommitted(found), found.status, wiring.JSON, body)


def _has_begun(tap: Tap, ticket: Ticket) -> bool:
    """Whether the stream has said something. An event that is an empty candidate says nothing yet, but any
    event of an interaction does: it names the interaction."""
    if ticket.match is not None and ticket.match.reading is Reading.GENERATE and not tap.partial:
        return not tap.meter.empty
    return tap.meter.events > 0


def partial(ticket: Ticket) -> bool:
    """Whether only some fields of the answer were asked for, so that its finish reason may be left out."""
    exchange = ticket.exchange
    return b"x-goog-fieldmask" in exchange.fields or bool(exchange.query and _masked(exchange.query))


def _judged(ticket: Ticket) -> bool:
    """Whether the answer costs tokens and comes in a form that we read (not protobuf, not a script)."""
    match, query = ticket.match, ticket.exchange.query
    if ticket.asked is None or match is None or not match.generating:
        return False
    return not query or query == "alt=sse" or _is_json(query)


@lru_cache(maxsize=256)
def _is_json(query: str) -> bool:
    named = dict(parse_qsl(query))
    alt = named.get("alt", named.get("$alt", "json"))
    return alt in ("json", "sse") and "callback" not in named and "$callback" not in named


@lru_cache(maxsize=256)
def _masked(query: str) -> bool:
    return any(name in ("fields", "$fields") for name, _ in parse_qsl(query))


def _length(reply: Reply) -> Headers:
    """The length that upstream announced for its body, which passes as it is."""
    return [(name, value) for name, value in reply.headers if name == b"content-length"]


def _coding(headers: Headers) -> bytes:
    """The content coding, empty for none."""
    coding = next((value.strip().lower() for name, value in headers if name == b"content-encoding"), b"")
    return b"" if coding == b"identity" else coding


def decoded(headers: Headers, body: bytes) -> bytes:
    """A readable copy of an encoded body; the body itself when its coding is none that we asked for."""
    coding = _coding(headers)
    if coding in (b"gzip", b"x-gzip", b"deflate") and body:
        try:
            # Bounded: a few kilobytes may unpack to gigabytes.
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, JUDGED_CAP)
        except zlib.error:
            return b""
    return body
