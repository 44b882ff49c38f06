"""The traffic port: from a request to its recorded answer. Reads like a list; each step is a room of its own.

Laws:

- every request is a call with one row, but for the gateway's own pages (health, the redirect of a browser) and a
  browser's preflight;
- nothing but a whole body, or a streamed one of a method that needs no reading, goes upstream;
- whatever happens, the ticket is settled before the end of its answer leaves.
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qsl

from gemgate.core import fingerprint, routing
from gemgate.core.call import Outcome, Streaming, spell
from gemgate.core.errors import Refused
from gemgate.core.pursuit import Terms
from gemgate.core.routing import Plan
from gemgate.dialects.gemini import errors, methods, request
from gemgate.dialects.gemini.methods import Reading
from gemgate.gateway import access, attribution, doors, pages, portioned, wants
from gemgate.gateway.body import Body, read_whole, too_large
from gemgate.gateway.desk import Desk
from gemgate.gateway.doors import OpenAIDoor
from gemgate.gateway.exchange import ClientGone, Exchange, Message, Receive, Send
from gemgate.gateway.listed import applies, listed
from gemgate.gateway.pursue import pursue
from gemgate.gateway.relay import marked, relay, stream_error
from gemgate.gateway.settle import settle
from gemgate.gateway.ticket import Ticket
from gemgate.gateway.watch import Vigil

log = logging.getLogger("gemgate.gateway")


class Surface:
    """The ASGI application of the traffic port."""

    def __init__(self, desk: Desk, console_url: pages.ConsoleUrl) -> None:
        self.desk = desk
        self.console_url = console_url

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        exchange = Exchange(scope, receive, send)
        if pages.ours(exchange):
            await pages.answer(exchange, self.desk, self.console_url)
        else:
            await self.call(exchange)

    async def call(self, exchange: Exchange) -> None:
        """One call: guard, read, plan, pursue, relay; and the row, whatever came of it."""
        desk = self.desk
        call_id, received_at = desk.mint()
        vigil = Vigil(desk.watch, exchange.receive, asyncio.get_running_loop())
        ticket = Ticket(call_id, exchange, desk.snapshot, vigil, received_at)
        desk.under_way += 1
        try:
            await self.serve(ticket)
        except Refused as refused:
            await self._refuse(ticket, refused)
        except ClientGone:
            ticket.abandon(Outcome.CANCELLED, 499, "client_left")
            await self._settle_quietly(ticket)
        except asyncio.CancelledError:
            if vigil.gone:
                ticket.abandon(Outcome.CANCELLED, 499, "client_left")
                await self._settle_quietly(ticket)
            else:
                # The drain is over. Nobody waits for this task, so it may end in order.
                ticket.abandon(Outcome.INTERRUPTED, ticket.exchange.status or SHUTDOWN.status, "shutdown")
                await self._refuse(ticket, SHUTDOWN)
        except Exception:
            log.exception("call %s met a fault of gemgate", spell(call_id))
            await self._refuse(
                ticket, Refused(500, "INTERNAL", "gemgate met a fault of its own; the log has it.")
            )
        finally:
            vigil.disarm()
            if ticket.entry is not None:
                desk.brakes.leave(ticket)  # nothing, for a call that was recorded
            if ticket.capture is not None:
                desk.payloads.hand_over(ticket)
            ticket.body.close()
            desk.under_way -= 1

    async def serve(self, ticket: Ticket) -> None:
        """The steps of a call that goes well."""
        exchange, desk = ticket.exchange, self.desk
        ticket.door = door = doors.at(exchange, ticket.call_id, ticket.received_at)
        if not isinstance(door, OpenAIDoor):
            ticket.match = methods.match(exchange.verb, exchange.raw_path)
        ticket.client = program(exchange.fields.get(b"user-agent", b""))
        ticket.snapshot.guard.check(exchange.fields)
        await access.enter(ticket, desk)
        if desk.payloads.rules:
            desk.payloads.begin(ticket)
        if isinstance(door, OpenAIDoor):
            await self._translate(ticket, door)
        else:
            _not_live(ticket)
            access.allow(ticket)
            await self._read(ticket)
            attribution.attribute(ticket)
        routed = ticket.snapshot.routed
        # Also where nothing is routed: a thing of another tenant does not exist.
        pins = await desk.affinity.pins(ticket, desk.clock.now()) if routed or ticket.tenant else ()
        if not routed:
            plan, terms = _straight(ticket), ONCE
        else:
            plan = ticket.snapshot.routes.plan(wants.wants(ticket, pins), desk.board.chance.random())
            terms = wants.terms(ticket, plan)
            wants.follow(plan, ticket)
        plan = access.within(plan, ticket)
        if desk.brakes.apply(ticket):
            await desk.brakes.enter(ticket, plan, terms.patience if routed else wants.patience(ticket, plan))
            terms = wants.rest(terms, ticket)
        if applies(plan, ticket):
            answer = await listed(plan, terms, ticket, desk)
        elif portioned.applies(ticket):
            answer = await portioned.pursue_all(plan, terms, ticket, desk)
        else:
            answer = await pursue(plan, terms, ticket, desk)
        await relay(answer, ticket, desk)

    async def _translate(self, ticket: Ticket, door: OpenAIDoor) -> None:
        """Read a request at OpenAI's door, and make it one of Google's."""
        exchange, desk, settings = ticket.exchange, self.desk, ticket.snapshot.settings
        if exchange.header(b"content-encoding").lower() not in ("", "identity"):
            raise _encoded()
        limits = settings.gateway
        if exchange.length is not None and exchange.length > limits.max_body:
            raise too_large(limits.max_body)
        came = await read_whole(exchange, limits.max_body, limits.spool_above)
        try:
            access.still(ticket, desk)
            whole = bytes(came.view)
            if ticket.capture is not None:
                ticket.capture.asked(whole)
            read = door.read(fields(exchange.query), whole, settings.openai.parameters)
        finally:
            came.close()
        ticket.vigil.arm()
        key = ticket.key.id if ticket.key is not None else 0
        signatures = await desk.signatures.find(key, read.call_ids)
        pivot = door.pivot(signatures, access.routes(ticket), access.shown(ticket))
        ticket.body = Body(pivot.body, len(pivot.body))
        ticket.whole = True
        exchange.become(pivot.verb, pivot.path, pivot.query)
        ticket.match = match = methods.match(pivot.verb, pivot.path)
        if match is None:
            raise _no_model(read.model)
        access.allow(ticket)
        if match.inspected:
            ticket.asked = request.read(match, fields(pivot.query), pivot.body, {})
        attribution.attribute(ticket, read.user)
        if read.dropped:
            ticket.marks.append((b"x-gemgate-dropped", ", ".join(read.dropped).encode("ascii", "replace")))

    async def _read(self, ticket: Ticket) -> None:
        """Read the body when the method's body is inspected, or it is small; else leave it to stream through."""
        exchange, match = ticket.exchange, ticket.match
        limits = ticket.snapshot.settings.gateway
        length = exchange.length
        if match is not None and match.inspected:
            if length is not None and length > limits.max_body:
                raise too_large(limits.max_body)
            ticket.body = await read_whole(exchange, limits.max_body, limits.spool_above)
            access.still(ticket, self.desk)
            ticket.vigil.arm()
            coding = {"content-encoding": exchange.header(b"content-encoding")}
            # A body in a file reads like bytes; nothing of it is kept.
            view = cast(bytes, ticket.body.view)
            ticket.asked = request.read(match, fields(exchange.query), view, coding)
        elif not exchange.has_body:
            await exchange.piece()
            ticket.vigil.arm()

    async def _refuse(self, ticket: Ticket, refused: Refused) -> None:
        """Record and show what gemgate refuses; inside a stream in the form of the stream."""
        refused = ticket.door.meant(refused)
        ticket.refuse(refused)
        ticket.marks += ticket.door.again(refused.retryable, ticket.match)
        headers, body = ticket.door.error(errors.from_refused(refused), ticket.call_id, ticket.match)
        exchange = ticket.exchange
        ticket.response_bytes = exchange.sent + len(body)
        await self._settle_quietly(ticket)
        if not exchange.started:
            verdict = ticket.trial.verdict if ticket.trial is not None else None
            await exchange.answer(refused.status, marked(headers, ticket, verdict, refused.retry_after), body)
        elif not exchange.completed and ticket.streaming is not Streaming.NONE:
            await exchange.write(stream_error(ticket, body), more=False)
        # else: what was begun has no place for an error; it stays incomplete, which every client notices.

    async def _settle_quietly(self, ticket: Ticket) -> None:
        """Settle a call that has no answer to lose; a record that cannot be kept shows in health and the log."""
        try:
            await settle(ticket, self.desk)
        except Refused as refused:
            log.error("call %s could not be recorded: %s", spell(ticket.call_id), refused.message)


def _not_live(ticket: Ticket) -> None:
    """Raises Refused for a WebSocket."""
    match = ticket.match
    # Any other upgrade is an offer (Java offers HTTP/2), and an offer may be passed over.
    websocket = b"websocket" in ticket.exchange.fields.get(b"upgrade", b"").lower()
    if websocket or (match is not None and match.reading is Reading.LIVE):
        raise _live()


def _straight(ticket: Ticket) -> Plan:
    """One target, one try: routing is off, or the client's own key goes through."""
    match, asked = ticket.match, ticket.asked
    model = asked.model if asked is not None else (match.model if match is not None else "")
    return routing.plan_of_one(model, ticket.snapshot.names, ticket.exchange.header(b"x-gemgate-project"))


ONCE = Terms(patience=0.0, repeats=0, retryable=False)
SHUTDOWN = Refused(
    503,
    "SHUTDOWN",
    "gemgate was stopped before the answer was whole.",
    hint="Send the request again once it runs.",
    retry_after=1.0,
)


# What is raised is made anew: an exception that is raised again keeps the frames of every raising before.
def _encoded() -> Refused:
    return Refused(
        415,
        "ENCODED_BODY",
        "The body is compressed, which this path does not read.",
        hint="Send it without Content-Encoding.",
    )


def _no_model(name: str) -> Refused:
    return Refused(
        404,
        "MODEL_NOT_FOUND",
        f"There is no model {name!r}.",
        hint="GET /openai/v1/models lists those there are.",
    )


def _live() -> Refused:
    return Refused(
        501,
        "LIVE_NOT_SERVED",
        "The Live API (WebSocket) is not served by this version of gemgate.",
        hint="Use generateContent or interactions through the gateway, or connect to Google directly for Live.",
    )


@lru_cache(maxsize=256)
def fields(query: str) -> dict[str, str]:
    """The query's fields; of one that is repeated the last counts."""
    return dict(parse_qsl(query, keep_blank_values=True))


@lru_cache(maxsize=1024)
def program(user_agent: bytes) -> str:
    """The client program: the first product of its User-Agent, such as ``google-genai-sdk/3.4.0``."""
    text = user_agent.decode("latin-1").strip()
    return fingerprint.redact_name("".join(sign for sign in text.split(" ", 1)[0] if sign.isprintable()))[:80]
