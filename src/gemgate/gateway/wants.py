"""From a ticket to what its call wants of routing, and to the terms of its pursuit."""

from __future__ import annotations

from math import inf

import msgspec

from gemgate.core.errors import Refused
from gemgate.core.pursuit import Terms
from gemgate.core.quota import Bucket
from gemgate.core.routing import Pin, Plan, Wants
from gemgate.dialects.gemini.methods import Match
from gemgate.gateway.ticket import Ticket
from gemgate.gateway.timeouts import Timeouts

FORBIDDEN = frozenset({"off", "no", "false", "0", "none"})
ALLOWED = frozenset({"", "on", "yes", "true", "1"})


def wants(ticket: Ticket, pins: tuple[Pin, ...]) -> Wants:
    """What the call wants. Raises Refused 400 for a header of ours that says nothing we know."""
    match, asked, exchange = ticket.match, ticket.asked, ticket.exchange
    fallback = exchange.header(b"x-gemgate-fallback").strip().lower()
    if fallback not in FORBIDDEN and fallback not in ALLOWED:
        raise Refused(400, "BAD_HEADER", "x-gemgate-fallback is neither on nor off.", hint="Send on or off.")
    method = match.method if match is not None else "unknown"
    reading = match.reading if match is not None else ""
    project = exchange.header(b"x-gemgate-project")
    if asked is None:
        return Wants(
            match.model if match is not None else "",
            method,
            reading,
            forbids=True,
            project=project,
            pins=pins,
            names_model=_place(match),
        )
    return Wants(
        asked.model,
        method,
        reading,
        asked.input_estimate,
        asked.shape.tools > 0,
        asked.media,
        asked.shape.thinking,
        asked.penalties,
        fallback in FORBIDDEN,
        project,
        pins,
        bool(asked.signatures),
        _place(match),
    )


def _place(match: Match | None) -> str:
    if match is None:
        return ""
    return "path" if match.model else "body"


def terms(ticket: Ticket, plan: Plan) -> Terms:
    """How long and how often the call may be tried. Raises Refused 400 for a patience that is no number."""
    routing = ticket.snapshot.settings.routing
    match = ticket.match
    whole = ticket.asked is not None or not ticket.exchange.has_body
    return Terms(
        patience=patience(ticket, plan),
        repeats=routing.repeats if whole else 0,
        hedge=_hedged(ticket, plan),
        retryable=whole and match is not None and match.retryable,
        seek=plan.seek,
    )


def patience(ticket: Ticket, plan: Plan) -> float:
    """The seconds that the call may wait for whatever bars it. Raises Refused 400 where it says no number."""
    routing = ticket.snapshot.settings.routing
    longest = routing.patience if plan.patience is None else plan.patience
    asked = ticket.exchange.fields.get(b"x-gemgate-patience")
    if asked is not None:
        longest = min(_seconds(asked), routing.max_patience)
    server = ticket.exchange.fields.get(b"x-server-timeout")
    if server is not None and server.isdigit():
        # Google's SDKs say with it how long they wait: an answer after that is paid for and read by nobody.
        longest = min(longest, float(server))
    return longest


def rest(terms: Terms, ticket: Ticket) -> Terms:
    """The terms after a wait before the first target was looked at: the patience is the call's."""
    if not ticket.waited:
        return terms
    return msgspec.structs.replace(terms, patience=max(0.0, terms.patience - ticket.waited / 1_000_000))


def _hedged(ticket: Ticket, plan: Plan) -> bool:
    match = ticket.match
    if match is None or not match.generating or not match.retryable or ticket.asked is None:
        return False
    return ticket.snapshot.settings.routing.hedge if plan.hedge is None else plan.hedge


def _seconds(text: bytes) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < inf:
        raise Refused(
            400,
            "BAD_HEADER",
            "x-gemgate-patience is no number of seconds.",
            hint="Send the seconds that the call may wait for room, such as 10.",
        )
    return seconds


def follow(plan: Plan, ticket: Ticket) -> None:
    """Put the route's settings on the ticket."""
    ticket.route = plan.route
    if plan.limits is not None:
        ticket.route_bucket = Bucket("", plan.route)
    ticket.hold_back = plan.hold_back
    if (plan.first_byte_timeout, plan.stall_timeout, plan.total_timeout) != (None, None, None):
        default = ticket.timeouts
        ticket.timeouts = Timeouts(
            plan.first_byte_timeout or default.first_byte,
            plan.stall_timeout or default.stall,
            plan.total_timeout or default.total,
        )
