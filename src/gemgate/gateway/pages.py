"""The gateway's own pages, which are no calls: health, the way to the console, a browser's preflight."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gemgate import __version__
from gemgate.core.errors import Refused
from gemgate.dialects.gemini import errors
from gemgate.gateway.desk import Desk
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.headers import JSON

ConsoleUrl = Callable[[], str]
OWN = frozenset({"/", "/healthz", "/favicon.ico"})


def ours(exchange: Exchange) -> bool:
    """Whether the request is for one of our own pages, and so no call."""
    return exchange.path in OWN or _is_preflight(exchange)


def _is_preflight(exchange: Exchange) -> bool:
    return exchange.verb == "OPTIONS" and b"access-control-request-method" in exchange.fields


async def answer(exchange: Exchange, desk: Desk, console_url: ConsoleUrl) -> None:
    """Answer one of our own pages."""
    async for _ in exchange.chunks():
        pass
    origin = exchange.header(b"origin")
    try:
        # A link on any page may lead here: only where the page itself reads the answer is its origin sent.
        desk.snapshot.guard.check({**exchange.fields, b"sec-fetch-site": b""})
    except Refused as refused:
        await exchange.answer(refused.status, JSON, errors.render(errors.from_refused(refused)))
        return
    if _is_preflight(exchange):
        await _preflight(exchange, origin)
    elif exchange.path == "/healthz":
        await _health(exchange, desk)
    elif exchange.path == "/" and "text/html" in exchange.header(b"accept") and (url := console_url()):
        await exchange.answer(302, [(b"location", url.encode())], b"")
    elif exchange.path == "/":
        await exchange.answer(
            200, JSON, msgspec.json.encode({"gemgate": __version__, "console": console_url()})
        )
    else:
        await exchange.answer(404, [], b"")


async def _preflight(exchange: Exchange, origin: str) -> None:
    asked = exchange.fields.get(b"access-control-request-headers", b"*")
    await exchange.answer(
        204,
        [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-methods", b"GET, POST, PATCH, PUT, DELETE"),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"600"),
            (b"vary", b"Origin"),
        ],
        b"",
    )


async def _health(exchange: Exchange, desk: Desk) -> None:
    """200 while calls are served, 503 when they are refused because they could not be recorded."""
    health = desk.db.health()
    serving = health.up or desk.snapshot.settings.record.when_down == "serve"
    state = "ok" if health.up and not health.spilled else "degraded" if serving else "down"
    body = msgspec.json.encode(
        {
            "status": state,
            "version": __version__,
            "calls_under_way": desk.under_way,
            "store": health._asdict(),
            "payloads": desk.payloads.shown(),
            "paused": sorted(desk.snapshot.paused),
            # What was stored of routes, limits and prices and cannot be meant; the log says why.
            "left_out": sorted(desk.snapshot.left_out),
            # How long ago keys and budgets were last read, and the state last kept.
            "seconds_since": {
                name: round((desk.clock.now() - at) / 1_000_000, 1) for name, at in desk.good.items()
            },
        }
    )
    await exchange.answer(200 if serving else 503, [*JSON, (b"cache-control", b"no-store")], body)
