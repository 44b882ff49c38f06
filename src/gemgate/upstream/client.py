"""The HTTP client towards Google, behind one small interface.

Laws:

- one request in, one request out: aiohttp's own retry of idempotent methods is off, redirects are not followed,
  cookies are not kept, bodies are not decompressed, no header is added that the caller did not give;
- the host comes from configuration, never from a caller: ``Wire.target`` is a path and begins with ``/``;
- every transport fault leaves this module as a ``TransportFault`` that carries a ``Verdict``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from gemgate.core.verdict import Kind, Scope, Verdict

SKIP_AUTO = (hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)
# Bodies up to this size are handed over whole; aiohttp writes them in one piece.
WHOLE = 1 << 20


class Wire(msgspec.Struct):
    """One request as it goes upstream. ``target`` is the raw path with query, ``length`` None for no body."""

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


class AioReply:
    """A ``Reply`` over aiohttp."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.raw_headers]

    async def read(self) -> bytes:
        """The next piece of the body as it came in; empty at its end. Raises TransportFault."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, EOFError) as error:
            raise TransportFault(verdict_of(error, began=True)) from None

    def close(self) -> None:
        """Hand the connection back when the body was read to its end, close it otherwise."""
        if self._response.content.at_eof() and self._response.content.exception() is None:
            self._response.release()
        else:
            self._response.close()


class AioUpstream:
    """An ``Upstream`` over aiohttp."""

    def __init__(self, connect_timeout: float, max_connections: int = 0, ca_file: Path | None = None) -> None:
        connector = aiohttp.TCPConnector(
            limit=max_connections,
            ttl_dns_cache=60,
            keepalive_timeout=55,
            ssl=ssl.create_default_context(cafile=str(ca_file)) if ca_file else True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=SKIP_AUTO,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            trust_env=False,
            max_line_size=16384,
            max_field_size=32768,
        )
        # A request that may have been billed is never sent twice behind our back.
        self._session._retry_connection = False

    async def send(self, base: str, wire: Wire) -> Reply:
        """Send and wait for the head. Raises TransportFault."""
        headers = CIMultiDict(wire.headers)
        if wire.length is not None and not isinstance(wire.body, bytes):
            headers[hdrs.CONTENT_LENGTH] = str(wire.length)
        try:
            response = await self._session.request(
                wire.verb,
                _url(base, wire.target),
                data=wire.body,
                headers=headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportFault(verdict_of(error, began=False)) from None
        return AioReply(response)

    async def close(self) -> None:
        """Close the session and its connections."""
        await self._session.close()


@lru_cache(maxsize=1024)
def _url(base: str, target: str) -> URL:
    return URL(base + target, encoded=True)


def verdict_of(error: Exception, *, began: bool) -> Verdict:
    """The one place that turns transport exceptions into verdicts. No text of the exception is kept: it may
    hold a URL."""
    if began:
        return Verdict(
            kind=Kind.CUT,
            status=502,
            reason="cut",
            message="The upstream connection broke in the middle of the answer.",
            scope=Scope.UPSTREAM,
            billed=True,
        )
    reason, message, billed = "disconnected", "The upstream closed the connection without an answer.", True
    if isinstance(error, aiohttp.ConnectionTimeoutError | asyncio.TimeoutError):
        reason, message, billed = "connect_timeout", "The upstream could not be reached in time.", False
    elif isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        reason, message, billed = "tls", "The upstream's TLS certificate or handshake was refused.", False
    elif isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        reason, message, billed = "connect", "No connection to the upstream could be made.", False
    elif isinstance(error, aiohttp.ClientResponseError):
        reason, message = "garbage", "The upstream's answer was no HTTP."
    return Verdict(
        kind=Kind.BROKEN, status=502, reason=reason, message=message, scope=Scope.UPSTREAM, billed=billed
    )
