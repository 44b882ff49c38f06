"""The HTTP client towards Google, behind one small interface.

Laws:

- one request in, one request out: nothing is retried, redirects are not followed, cookies are not kept, bodies
  are not decompressed, no header is added but ``Host`` and the body's length;
- the host comes from configuration, never from a caller: ``Wire.target`` is a path and begins with ``/``;
- every transport fault leaves this module as a ``TransportFault`` that carries a ``Verdict``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohappyeyeballs
import msgspec

from gemgate.core.errors import Refused
from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.upstream.http1 import Answer, Broken, Connection

# Google keeps idle connections for minutes; we let go of ours before a middlebox may have done so unseen.
IDLE = 55.0
STAGGER = 0.25  # seconds before the next address of a host is tried beside the first (RFC 8305)


class Wire(msgspec.Struct):
    """One request as it goes upstream. ``target`` is the raw path with query, ``length`` None when unknown."""

    verb: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] | None = None
    length: int | None = None


class TransportFault(Exception):
    """No answer, or half of one. ``verdict`` says what happened."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class Reply(Protocol):
    """An answer whose head has arrived."""

    status: int
    headers: list[tuple[bytes, bytes]]

    async def read(self) -> bytes:
        """The next piece of the body as it arrives; empty at its end. Raises TransportFault when it breaks."""
        ...

    def close(self) -> None:
        """End the exchange; an unread rest closes the connection."""
        ...


class Upstream(Protocol):
    """What the gateway needs of an HTTP client."""

    async def send(self, base: str, wire: Wire) -> Reply:
        """Send and wait for the head. Raises TransportFault."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class HttpReply:
    """A ``Reply`` over one connection, which may serve another exchange once this one is complete."""

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers

    async def read(self) -> bytes:
        """The next piece of the body as it came in; empty at its end. Raises TransportFault."""
        try:
            return await self._answer.read()
        except Broken as broken:
            raise TransportFault(_of(broken)) from None

    def close(self) -> None:
        """End the exchange; an unread rest closes the connection."""
        self._answer.close()


class HttpUpstream:
    """An ``Upstream`` over pooled HTTP/1.1 connections. Belongs to the running event loop."""

    def __init__(self, connect_timeout: float, max_connections: int = 0, ca_file: Path | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = connect_timeout
        self._ca_file = ca_file
        self._limit = max_connections
        self._idle: dict[str, list[tuple[float, Connection]]] = {}
        self._open: dict[Connection, str] = {}
        self._queue: deque[asyncio.Future[None]] = deque()

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def send(self, base: str, wire: Wire) -> Reply:
        """Send and wait for the head. Raises TransportFault."""
        place = _place(base)
        head = _head(place, wire)
        connection = self._pooled(base)
        while connection is None and self._limit and len(self._open) >= self._limit:
            await self._turn()
            connection = self._pooled(base)
        if connection is None:
            connection = await self._connect(base, place)
        try:
            return HttpReply(await connection.exchange(head, wire.body))
        except Broken as broken:
            raise TransportFault(_of(broken)) from None

    async def _turn(self) -> None:
        """Wait until a connection is free or gone."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _pooled(self, base: str) -> Connection | None:
        """The connection used last, so that those not needed grow old and close."""
        idle = self._idle.get(base)
        if not idle:
            return None
        oldest = self._loop.time() - IDLE
        while idle and idle[0][0] < oldest:
            idle.pop(0)[1].abort()
        while idle:
            _, connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self, base: str, place: Place) -> Connection:
        connection = Connection(self._loop, self._freed, self._lost)
        self._open[connection] = base
        sock: socket.socket | None = None
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
                sock = await aiohappyeyeballs.start_connection(
                    found, happy_eyeballs_delay=STAGGER, interleave=1, loop=self._loop
                )
                await self._loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._trust if place.tls else None,
                    server_hostname=place.host if place.tls else None,
                )
        except BaseException as error:
            connection.abort()
            if sock is not None:
                sock.close()
            self._lost(connection)
            if isinstance(error, OSError | TimeoutError):
                raise TransportFault(_unreached(error)) from None
            raise
        return connection

    def _freed(self, connection: Connection) -> None:
        base = self._open.get(connection)
        if base is not None:
            self._idle.setdefault(base, []).append((self._loop.time(), connection))
            self._next()

    def _lost(self, connection: Connection) -> None:
        if self._open.pop(connection, None) is not None:
            self._next()

    async def close(self) -> None:
        """Close all connections."""
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()


class Place(msgspec.Struct, frozen=True):
    """Where a base URL leads."""

    host: str
    port: int
    tls: bool
    name: str  # the Host header
    path: str


@lru_cache(maxsize=64)
def _place(base: str) -> Place:
    parts = urlsplit(base)
    tls = parts.scheme == "https"
    return Place(parts.hostname or "", parts.port or (443 if tls else 80), tls, parts.netloc, parts.path)


def _head(place: Place, wire: Wire) -> bytes:
    """The request's head. Raises Refused when a line break stands where none may."""
    lines = [f"{wire.verb} {place.path}{wire.target} HTTP/1.1", f"host: {place.name}"]
    lines += [f"{name}: {value}" for name, value in wire.headers]
    if wire.length is not None:
        lines.append(f"content-length: {wire.length}")
    elif wire.body is not None:
        lines.append("transfer-encoding: chunked")
    elif wire.verb in ("POST", "PUT", "PATCH"):
        lines.append("content-length: 0")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise Refused(400, "BAD_HEADER", "A header or the path holds a line break.")
    return head.encode("latin-1") + b"\r\n\r\n"


def _of(broken: Broken) -> Verdict:
    """The verdict on an exchange that failed. Google may have counted its tokens."""
    kind, reason = Kind.BROKEN, "disconnected"
    message = "The upstream closed the connection without an answer."
    if broken.began:
        kind, reason = Kind.CUT, "cut"
        message = "The upstream connection broke in the middle of the answer."
    elif broken.garbage:
        reason, message = "garbage", "The upstream's answer was no HTTP."
    return Verdict(kind=kind, status=502, reason=reason, message=message, scope=Scope.UPSTREAM, billed=True)


def _unreached(error: Exception) -> Verdict:
    """The verdict on a connection that did not come about. No text of the exception is kept."""
    reason, message = "connect", "No connection to the upstream could be made."
    if isinstance(error, TimeoutError):
        reason, message = "connect_timeout", "The upstream could not be reached in time."
    elif isinstance(error, ssl.SSLError):
        reason, message = "tls", "The upstream's TLS certificate or handshake was refused."
    return Verdict(kind=Kind.BROKEN, status=502, reason=reason, message=message, scope=Scope.UPSTREAM)
