"""The two ways to the same simulator: straight, and through the gateway; and what was said on each.

Both simulators start with one seed and a clock that stands still, and both see the same credential, so that whatever
differs between the two sides was made by the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
from google import genai
from google.genai import types
from pydantic import BaseModel

from tests.gateway.launch import DEMO_KEY, Gateway
from tests.simulator.launch import Simulator

# What clients hand to the gateway; it opens nothing and must never arrive at the upstream.
CLIENT_KEY = "AIzaTheClientsOwnKeyWhichStaysHere00000"
CLOCK = ("--instant", "--seed", "7", "--now", "2026-11-23T12:00:00+00:00", "--speed", "0")
# Headers that belong to one connection or to one address, and those that gemgate adds.
OWN_HEADERS = frozenset(
    {
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "x-goog-upload-url",
        "x-goog-upload-control-url",
    }
)
# Request headers that belong to a connection, that a proxy has to choose for itself, or that must end at it.
OWN_REQUEST_HEADERS = frozenset(
    {
        "connection",
        "host",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "x-goog-api-key",
        "authorization",
        "cookie",
        "sec-fetch-mode",
    }
)


@dataclass
class Spoken:
    """One answer as it came over the wire. ``whole`` says that its body ended well."""

    verb: str
    place: str
    status: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False

    @property
    def call_id(self) -> str:
        """The gateway's id of the call; empty on the straight side."""
        return self.headers.get("x-gemgate-call", "")

    def shown(self) -> dict[str, Any]:
        """What must be the same on both sides: every header of Google's, and every byte of the body."""
        kept = {
            name: value
            for name, value in self.headers.items()
            if name not in OWN_HEADERS and not name.startswith("x-gemgate-")
        }
        return {
            "asked": (self.verb, self.place),
            "status": self.status,
            "headers": kept,
            "body": bytes(self.body),
            "whole": self.whole,
        }


class Taped(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is written down while the SDK reads it."""

    def __init__(self, stream: Any, spoken: Spoken) -> None:
        self._stream = stream
        self._spoken = spoken

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._spoken.body += chunk
            yield chunk
        self._spoken.whole = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._spoken.body += chunk
            yield chunk
        self._spoken.whole = True

    def close(self) -> None:
        """Close the connection's stream."""
        self._stream.close()

    async def aclose(self) -> None:
        """The same, for the asynchronous client."""
        await self._stream.aclose()


def _taped(request: httpx2.Request, response: httpx2.Response, wire: list[Spoken]) -> httpx2.Response:
    place = request.url.raw_path.decode()
    spoken = Spoken(request.method, place, response.status_code, dict(response.headers))
    wire.append(spoken)
    return httpx2.Response(
        response.status_code,
        headers=response.headers,
        stream=Taped(response.stream, spoken),
        extensions=response.extensions,
    )


class Wiretap(httpx2.BaseTransport):
    """The SDK's own transport, with every answer written down."""

    def __init__(self, wire: list[Spoken]) -> None:
        self._wire = wire
        self._inner = httpx2.HTTPTransport(verify=False)  # plain HTTP: no certificates to load

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        return _taped(request, self._inner.handle_request(request), self._wire)

    def close(self) -> None:
        """Close the pool."""
        self._inner.close()


class AsyncWiretap(httpx2.AsyncBaseTransport):
    """The same for the asynchronous client."""

    def __init__(self, wire: list[Spoken]) -> None:
        self._wire = wire
        self._inner = httpx2.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        return _taped(request, await self._inner.handle_async_request(request), self._wire)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._inner.aclose()


@dataclass
class Side:
    """One way to a simulator. ``gateway`` is None on the straight side."""

    url: str
    key: str
    simulator: Simulator
    gateway: Gateway | None = None
    wire: list[Spoken] = field(default_factory=list)
    _clients: dict[str, genai.Client] = field(default_factory=dict)

    def begin(self) -> None:
        """Forget what was said so far."""
        self.wire.clear()
        self.simulator.clear()

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def client(self, simulate: str = "", **options: Any) -> genai.Client:
        """A synchronous SDK client whose answers are written down; the same one for the same settings."""
        name = f"{simulate} {options}"
        if name in self._clients:
            return self._clients[name]
        headers = {"x-simulate": simulate} if simulate else {}
        http = types.HttpOptions(
            base_url=self.url, headers=headers, client_args={"transport": Wiretap(self.wire)}, **options
        )
        made = genai.Client(api_key=self.key, http_options=http)
        self._clients[name] = made
        return made

    def waiting(
        self, work: Callable[[Any], Awaitable[Any]], simulate: str = "", taped: bool = True, **options: Any
    ) -> Any:
        """Run ``work`` with an asynchronous client; one that is not taped uses the SDK's default transport."""

        async def whole() -> Any:
            extra: dict[str, Any] = (
                {"async_client_args": {"transport": AsyncWiretap(self.wire)}} if taped else {}
            )
            headers = {"x-simulate": simulate} if simulate else {}
            http = types.HttpOptions(base_url=self.url, headers=headers, **extra, **options)
            made = genai.Client(api_key=self.key, http_options=http)
            try:
                return await work(made.aio)
            finally:
                await made.aio.aclose()
                made.close()

        return asyncio.run(whole())

    def log(self) -> list[dict[str, Any]]:
        """The simulator's log once it has written every line to its end."""
        return self.simulator.wait_for(len(self.simulator.log()))

    def credentials(self) -> list[list[str]]:
        """The fingerprints of the credentials of each request that the simulator got."""
        return [line["credentials"] for line in self.log()]

    def asked(self) -> list[dict[str, Any]]:
        """What the simulator was asked, without what belongs to a connection."""
        lines = self.log()
        names = ("verb", "path", "method", "status", "query_names", "body_size", "body_sha256", "project")
        more = ("user_agent", "x_goog_api_client", "x_server_timeout", "x_simulate")
        return [
            {name: line[name] for name in (*names, *more) if name in line}
            | {"header_names": sorted(set(line["header_names"]) - OWN_REQUEST_HEADERS)}
            for line in lines
        ]


@dataclass
class Told:
    """All that one run of a scenario has to show."""

    result: Any
    wire: list[Spoken]
    asked: list[dict[str, Any]]
    credentials: list[list[str]]
    rows: list[dict[str, Any]]


def run(side: Side, scenario: Callable[[Side], Any]) -> Told:
    """Play ``scenario`` on one side."""
    side.begin()
    last = newest(side)
    result = plain(scenario(side))
    rows = (
        side.gateway.rows("SELECT * FROM call_log WHERE seq > ? ORDER BY seq", last) if side.gateway else []
    )
    return Told(result, list(side.wire), side.asked(), side.credentials(), rows)


def both(straight_side: Side, through_side: Side, scenario: Callable[[Side], Any]) -> tuple[Told, Told]:
    """Play ``scenario`` straight and through; both, whatever happens, so that the twins' ids stay in step."""
    try:
        there = run(straight_side, scenario)
    finally:
        here = run(through_side, scenario)
    return there, here


def newest(side: Side) -> int:
    """The number of the gateway's newest row, 0 when it has none."""
    if side.gateway is None:
        return 0
    (found,) = side.gateway.rows("SELECT coalesce(max(seq), 0) AS seq FROM call_log")
    return int(found["seq"])


def plain(value: Any) -> Any:
    """An SDK's result as plain values; the headers, which differ, are compared on the wire."""
    if isinstance(value, BaseModel):
        # Not by getattr: reading a deprecated field of the SDK warns.
        shown = plain({**vars(value), **(value.model_extra or {})})
        return {"is": type(value).__name__, **shown}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name != "sdk_http_response"}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    return value


def raw(verb: str, url: str, **settings: Any) -> httpx.Response:
    """One request without an SDK. No certificates are loaded, which takes most of the time of a client's making."""
    with httpx.Client(verify=False, timeout=30) as client:
        return client.request(verb, url, **settings)


def straight(simulator: Simulator) -> Side:
    """The side without a gateway, which speaks with the gateway's key."""
    return Side(simulator.url, DEMO_KEY, simulator)


def through(simulator: Simulator, gateway: Gateway) -> Side:
    """The side behind ``gateway``."""
    return Side(gateway.url, CLIENT_KEY, simulator, gateway)
