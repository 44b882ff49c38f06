"""Reads what upstream answers until it can be judged: the head, a whole body, or a stream's first event.

Laws:

- nothing is committed to the client here; what was read stands in the ``Answer``, byte for byte;
- a stream is judged by its first event that says something, and by as many characters more as its route holds
  back: trouble before that is a failed try, which nobody has seen.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter_ns
from urllib.parse import parse_qsl

import msgspec

from gemgate.core import pacific
from gemgate.core.call import Streaming
from gemgate.core.meter import Meter
from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.dialects.gemini import observe, verdict
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.stream import Tap
from gemgate.dialects.sse import TooLong
from gemgate.gateway import wiring
from gemgate.gateway.headers import JSON, Headers, downward
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.watch import Vigil
from gemgate.upstream.client import Reply

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

    def close(self) -> None:
        """Nobody reads the rest."""
        if self.reply is not None:
            self.reply.close()


async def read(reply: Reply, trial: Trial, ticket: Ticket, vigil: Vigil) -> Answer:
    """The answer as far as judging takes. Raises TransportFault."""
    trial.first_byte = perf_counter_ns()
    for name, value in reply.headers:
        if name == b"x-gemini-service-tier":
            trial.tier = value.decode("latin-1")
    headers = downward(reply.headers, ticket.snapshot.base, ticket.exchange.own_url)
    judged = is_judged(ticket)
    if reply.status < 400 and judged and ticket.streaming is not Streaming.NONE and wiring.streams(reply):
        return await _first_event(reply, headers, trial, ticket, vigil)
    ok = Verdict(kind=Kind.OK, status=reply.status, billed=True)
    if reply.status < 400 and wiring.media_type(reply) == EVENTS:
        # Not foreseen, or an interaction that is resumed: its tokens are on the row of the call that made it.
        ours = ticket.match is not None and ticket.match.reading is Reading.INTERACTION
        if (judged or ours) and not _coding(reply.headers):
            trial.metered = judged
            return await _first_event(reply, headers, trial, ticket, vigil)
        if not judged:
            return Answer(ok, reply.status, headers, b"", reply)
    if ticket.exchange.verb == "HEAD":
        headers = headers + _length(reply)
    parts: list[bytes] = []
    size = 0
    cap = JUDGED_CAP if judged or reply.status >= 400 or ticket.whole else PASSED_CAP
    while chunk := await reply.read():
        parts.append(chunk)
        size += len(chunk)
        trial.response_bytes += len(chunk)
        vigil.beat()
        if size > cap:
            return Answer(ok, reply.status, headers + _length(reply), b"".join(parts), reply)
    reply.close()
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return Answer(_judge_whole(reply, body, trial, ticket), reply.status, headers, body)


def _judge_whole(reply: Reply, body: bytes, trial: Trial, ticket: Ticket) -> Verdict:
    plain = decoded(reply.headers, body)
    if reply.status >= 400:
        return _until_midnight(sober(verdict.judge_error(reply.status, plain)), trial.sent_at)
    match = ticket.match
    if match is not None and is_judged(ticket):
        trial.meter = Meter()
        trial.meter.add(observe.observe(match.reading, plain, ""))
        trial.meter.done = trial.meter.done or partial(ticket)
        return uncommitted(verdict.judge_answer(trial.meter, whole=True))
    if wiring.is_page(reply):
        return Verdict(
            kind=Kind.BROKEN,
            status=502,
            reason="garbage",
            message="The upstream answered with a web page instead of JSON.",
            scope=Scope.UPSTREAM,
        )
    return Verdict(kind=Kind.OK, status=reply.status)


async def _first_event(reply: Reply, headers: Headers, trial: Trial, ticket: Ticket, vigil: Vigil) -> Answer:
    """Read a stream until it has said something and judge that: nothing is committed before."""
    tap = wiring.tap(ticket)
    tap.partial = partial(ticket)
    if trial.metered:
        trial.meter = tap.meter
    ready: list[bytes] = []
    try:
        while chunk := await reply.read():
            trial.response_bytes += len(chunk)
            ready.append(tap.feed(chunk))
            vigil.beat()
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
    return Answer(uncommitted(found), found.status, JSON, body)


def _has_begun(tap: Tap, ticket: Ticket) -> bool:
    """Whether the stream has said enough. An event that is an empty candidate says nothing yet, but any
    event of an interaction does: it names the interaction."""
    if tap.partial:
        return tap.meter.events > 0  # the text may be what was not asked for
    if ticket.match is not None and ticket.match.reading is Reading.GENERATE and tap.meter.empty:
        return False
    return tap.meter.events > 0 and tap.chars >= ticket.hold_back


def uncommitted(found: Verdict) -> Verdict:
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


def _until_midnight(found: Verdict, now: int) -> Verdict:
    """A daily quota comes back at midnight in California; the delay that Google names for it is often wrong."""
    if found.reason != "quota_day" or found.retry_after:
        return found
    return msgspec.structs.replace(found, retry_after=(pacific.next_midnight(now) - now) / 1_000_000)


def partial(ticket: Ticket) -> bool:
    """Whether only some fields of the answer were asked for, so that its finish reason may be left out."""
    exchange = ticket.exchange
    return b"x-goog-fieldmask" in exchange.fields or bool(exchange.query and _masked(exchange.query))


def is_judged(ticket: Ticket) -> bool:
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
