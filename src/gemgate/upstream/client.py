"""The HTTP client towards Google, behind one small interface.

Laws:

- one request in, one request out: nothing is retried, redirects are not followed, cookies are not kept, bodies
  are not decompressed, no header is added but ``Host`` and the body's length, no proxy of the environment is
  used;
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
    """One request as it goes upstream.

    ``target`` is the raw path with query; it follows the base's own path. ``length`` is that of a body that comes
    in pieces, None when unknown (it then goes in chunks). ``headers`` name neither host nor length.
    """

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
    """An ``Upstream`` over pooled HTTP/1.1 connections. Belongs to the running event loop.

    ``connect_timeout`` and ``idle`` (how long an unused connection is kept) are in seconds. At most
    ``max_connections`` are open at once, 0 sets no limit; beyond it requests wait their turn, first come first
    served. ``ca_file`` replaces the system's certificate authorities.
    """

    def __init__(
        self,
        connect_timeout: float,
        max_connections: int = 0,
        ca_file: Path | None = None,
        idle: float = IDLE,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = connect_timeout
        self._ca_file = ca_file
        self._limit = max_connections
        self._keep = idle
        # Unused connections by base, each with the time since when, the longest unused first.
        self._idle: dict[str, dict[Connection, float]] = {}
        self._open: dict[Connection, str] = {}
        self._connecting: set[asyncio.Timeout] = set()
        # Under a limit: exchanges (or connections about to be made) that hold one of its places.
        self._busy = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        """How many connections are open or about to be made."""
        return len(self._open)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def send(self, base: str, wire: Wire) -> Reply:
        """Send and wait for the head. Raises TransportFault, Refused, or what the body itself raises."""
        place = _place(base)
        head = _head(place, wire)
        if self._limit:
            await self._turn()
        connection = self._pooled(base)
        if connection is None:
            connection = await self._connect(base, place)
        try:
            return HttpReply(await connection.exchange(head, wire.body, wire.length))
        except Broken as broken:
            raise TransportFault(_of(broken)) from None

    async def _turn(self) -> None:
        """Wait for one of the limit's places. It is given back when the connection is free or gone."""
        if self._busy < self._limit:
            self._busy += 1
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._queue.remove(turn)
            else:
                self._give_back()
            raise

    def _give_back(self) -> None:
        """A place is free: it goes to the one that waits longest, so that nobody can overtake."""
        if not self._limit:
            return
        while self._queue:
            turn = self._queue.popleft()
            if turn.done():
                continue
            turn.set_result(None)
            return
        self._busy -= 1

    def _pooled(self, base: str) -> Connection | None:
        """The connection used last, so that those not needed grow old and close."""
        idle = self._idle.get(base)
        while idle:
            connection, since = idle.popitem()
            if connection.usable and since > self._loop.time() - self._keep:
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: Connection) -> None:
        """Close a connection that is unused, and no longer listed as such."""
        del self._open[connection]
        connection.abort()

    async def _connect(self, base: str, place: Place) -> Connection:
        if self._limit and len(self._open) >= self._limit:
            self._make_room()
        connection = Connection(self._loop, self._freed, self._lost)
        self._open[connection] = base
        sock: socket.socket | None = None
        timeout = asyncio.timeout(self._timeout)
        self._connecting.add(timeout)
        try:
            async with timeout:
                if self._closed is not None:
                    raise ConnectionAbortedError
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
                if not connection.usable:
                    raise ConnectionResetError
        except BaseException as error:
            connection.abort()
            if sock is not None:
                sock.close()
            self._lost(connection)
            # A host that is no name at all is a UnicodeError of the resolver's.
            if isinstance(error, OSError | TimeoutError | UnicodeError):
                raise TransportFault(_unreached(error)) from None
            raise
        finally:
            self._connecting.discard(timeout)
        return connection

    def _make_room(self) -> None:
        """Close the unused connection of another base, which would keep this one from ever getting a place."""
        for idle in self._idle.values():
            for connection in idle:
                del idle[connection]
                self._drop(connection)
                return

    def _freed(self, connection: Connection) -> None:
        base = self._open.get(connection)
        if base is None:
            connection.abort()
            return
        self._idle.setdefault(base, {})[connection] = self._loop.time()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._keep, self._sweep)
        self._give_back()

    def _lost(self, connection: Connection) -> None:
        base = self._open.pop(connection, None)
        if base is None:
            return
        idle = self._idle.get(base)
        if idle is None or idle.pop(connection, None) is None:
            self._give_back()
        if self._closed is not None and not self._open and not self._closed.done():
            self._closed.set_result(None)

    def _sweep(self) -> None:
        """Close what has been unused for too long."""
        latest = self._loop.time() - self._keep
        for idle in self._idle.values():
            for connection in [one for one, since in idle.items() if since <= latest]:
                del idle[connection]
                self._drop(connection)
        self._sweeper = None
        if any(self._idle.values()):
            self._sweeper = self._loop.call_later(self._keep, self._sweep)

    async def close(self) -> None:
        """Close all connections. What is under way fails, and so does what comes after."""
        self._closed = self._loop.create_future()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for timeout in self._connecting:
            if not timeout.expired():
                timeout.reschedule(self._loop.time())
        for connection in list(self._open):
            connection.abort()
        if self._open:
            await self._closed


class Place(msgspec.Struct, frozen=True):
    """Where a base URL leads."""

    host: str
    port: int
    tls: bool
    name: str  # the Host header
    path: str


@lru_cache(maxsize=64)
def _place(base: str) -> Place:
    """Where a base URL leads. A user or a password in it stays out of the Host header."""
    parts = urlsplit(base)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    usual = 443 if tls else 80
    port = parts.port or usual
    name = f"[{host.partition('%')[0]}]" if ":" in host else host
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    if port != usual:
        name += f":{port}"
    return Place(host, port, tls, name, parts.path.rstrip("/"))


def _head(place: Place, wire: Wire) -> bytes:
    """The request's head. Raises Refused when it would hold what no head may hold."""
    target, body = wire.target, wire.body
    lines = [f"{wire.verb} {place.path}{target} HTTP/1.1", f"host: {place.name}"]
    lines += [f"{name}: {value}" for name, value in wire.headers]
    if body is None:
        if wire.length is not None or wire.verb in ("POST", "PUT", "PATCH"):
            lines.append("content-length: 0")
    elif isinstance(body, bytes):
        lines.append(f"content-length: {len(body)}")
    elif wire.length is not None:
        lines.append(f"content-length: {wire.length}")
    else:
        lines.append("transfer-encoding: chunked")
    head = "\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head or " " in target:
        raise Refused(400, "BAD_HEADER", "A header or the path holds a line break or another forbidden mark.")
    try:
        return head.encode("latin-1") + b"\r\n\r\n"
    except UnicodeEncodeError:
        raise Refused(
            400, "BAD_HEADER", "A header or the path holds a letter that HTTP cannot carry."
        ) from None


def _of(broken: Broken) -> Verdict:
    """The verdict on an exchange that failed. Google may have counted its tokens."""
    if broken.uneven:
        message = "The request's body was shorter or longer than announced."
        return Verdict(
            kind=Kind.REFUSED, status=400, reason="body_length", message=message, scope=Scope.CALLER
        )
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
