"""From a ticket to the request that goes upstream, and the few questions asked of a reply's head."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from gemgate.core import fingerprint
from gemgate.core.access import PREFIX
from gemgate.core.call import Streaming
from gemgate.core.errors import Refused
from gemgate.core.routing import Target
from gemgate.dialects.gemini import adapt
from gemgate.dialects.gemini.array import ArrayFeed
from gemgate.dialects.gemini.observe import observe
from gemgate.dialects.gemini.stream import Tap
from gemgate.dialects.sse import Feed
from gemgate.gateway.body import Body
from gemgate.gateway.desk import Desk
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.headers import translated, upward
from gemgate.gateway.ticket import Ticket
from gemgate.upstream.client import Reply, Wire


def wire(target: Target, ticket: Ticket, desk: Desk) -> tuple[Wire, str]:
    """The request for this target, with exactly one credential, and the name of that credential.

    A target that is not what was asked for says by its ``changes`` what must be rewritten; without any, path and
    body go out as they came. Raises Refused when there is no credential to send.
    """
    exchange = ticket.exchange
    asked = ticket.asked
    identity = asked is not None and asked.streaming is not Streaming.NONE
    judged = ticket.match is not None and ticket.match.generating
    if ticket.door.translates:
        headers = translated(exchange.headers)
    else:
        headers = upward(exchange.headers, identity, "gzip" if judged else "")
    name, value, label = _credential(target, ticket, desk)
    if name:
        headers.append((name, value))
    path = exchange.raw_path
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if target.changes and ticket.match is not None and ticket.match.model:
        path = adapt.path(path, ticket.match.model, target.model)
    request = Wire(
        verb=exchange.verb,
        target=f"{path}?{exchange.query}" if exchange.query else path,
        headers=headers,
    )
    if asked is not None:
        if target.changes and ticket.match is not None:
            # A body in a file reads like bytes; the rewritten one is small beside what it may cost to lose the call.
            view = bytes(ticket.body.view)
            request.body = adapt.adapt(ticket.match, view, target.model, target.changes)
            request.length = len(request.body)
        else:
            _give_body(request, ticket.body)
    elif exchange.has_body and not ticket.door.translates:
        request.body = _passed_on(ticket)
        request.length = exchange.length
    return request, label


async def _passed_on(ticket: Ticket) -> AsyncIterator[bytes]:
    """A body that streams through; once it is through, the client's hang-up is watched for."""
    async for chunk in ticket.exchange.chunks():
        if ticket.capture is not None:
            ticket.capture.asked(chunk)
        yield chunk
    ticket.vigil.arm()


def _give_body(request: Wire, body: Body) -> None:
    if body.small is not None:
        request.body = body.small or None
    else:
        request.body = body.pieces()
    request.length = body.size


def _credential(target: Target, ticket: Ticket, desk: Desk) -> tuple[str, str, str]:
    """Header name, header value, and what the record calls it."""
    bearer = ticket.match is not None and ticket.match.method.startswith("openai.")
    if not ticket.snapshot.passthrough:
        key, label = ticket.snapshot.key(target.project, desk.board.health, desk.clock.now(), ticket.denied)
    else:
        key, scheme = _google_credential(ticket.exchange)
        if (
            not key
            and ticket.match is not None
            and ticket.match.upload
            and "upload_id=" in ticket.exchange.query
        ):
            return "", "", ""  # SDKs send the data legs of an upload without one: its id is the authority
        if not key:
            raise Refused(
                401,
                "NO_CREDENTIAL",
                "The request carries no Google API key, and this gateway passes the client's own key on.",
                hint='Send your Gemini API key as x-goog-api-key, or set upstream.credentials = "own".',
            )
        label = fingerprint.credential(desk.secret, key)
        if scheme and not key.startswith(("AIza", "AQ.")):
            return "authorization", f"{scheme} {key}", label
    if bearer:
        return "authorization", f"Bearer {key}", label
    return "x-goog-api-key", key, label


def client_credential(exchange: Exchange) -> str:
    """The credential that the client sent, wherever it put it; empty when none."""
    return exchange.header(b"x-goog-api-key").strip() or _bearer(exchange)[0] or exchange.client_key


def _google_credential(exchange: Exchange) -> tuple[str, str]:
    """The client's own key for Google, and the scheme of ``Authorization`` where it stands there.

    A virtual key is none, wherever it stands.
    """
    for key, scheme in (
        (exchange.header(b"x-goog-api-key").strip(), ""),
        _bearer(exchange),
        (exchange.client_key, ""),
    ):
        if key and PREFIX not in key:
            return key, scheme
    return "", ""


def _bearer(exchange: Exchange) -> tuple[str, str]:
    """The token in ``Authorization`` and its scheme; both empty when there is none."""
    scheme, _, token = exchange.header(b"authorization").partition(" ")
    token = token.strip()
    return (token, scheme) if token and scheme.lower() in ("bearer", "token") else ("", "")


def tap(ticket: Ticket) -> Tap:
    """A tap for the stream that this call gets."""
    assert ticket.match is not None
    feed = ArrayFeed() if ticket.streaming is Streaming.ARRAY else Feed()
    return Tap(feed, partial(observe, ticket.match.reading), count=ticket.hold_back > 0)


def media_type(reply: Reply) -> bytes:
    """The reply's media type without parameters, in lower case."""
    found = next((value for name, value in reply.headers if name == b"content-type"), b"")
    return found.partition(b";")[0].strip().lower()


def streams(reply: Reply) -> bool:
    """Whether the reply may be a stream of events at all (a web page or a picture is none)."""
    return media_type(reply) in (b"text/event-stream", b"application/json", b"")


def is_page(reply: Reply) -> bool:
    """Whether the reply is a web page, which no method of the API answers with."""
    return media_type(reply) == b"text/html"
