"""The listening side: uvicorn, configured for a proxy, with the bound that its HTTP parser lacks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gemgate.config import Settings
from gemgate.dialects.gemini import errors

KEEP_ALIVE = 75
BACKLOG = 4096
_TOO_LARGE = errors.render(
    errors.Complaint(
        status=431,
        code="HEAD_TOO_LARGE",
        message="The head of the request is too large.",
        hint="Send fewer or shorter headers, or raise gateway.max_header.",
    )
)
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
    b"content-type: application/json; charset=UTF-8\r\ncontent-length: %d\r\n\r\n%b"
) % (len(_TOO_LARGE), _TOO_LARGE)
OFFER = re.compile(rb"\r\nupgrade:(?=[ \t]*h2c)", re.IGNORECASE)


class Joined:
    """A transport that sends the head of an answer together with what follows it: one packet, one system call.

    Everything else goes to the transport itself.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send; a head waits for the next piece, or for the end of this turn of the loop."""
        if self._head:
            data = self._head + data
            self._head = b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bound on the size of a request's head, which httptools lacks.

    An offer of HTTP/2 (Java makes one on every plain connection) is hidden from the parser, which would take
    the request's body for the first bytes of another protocol and lose it.
    """

    max_head = 64 * 1024
    _heading = True  # between requests, or within the head of one
    _seen = 0  # bytes that came since

    def data_received(self, data: bytes) -> None:
        """Bytes of a client; a head that does not end is cut off, also one without a line break."""
        if self._heading:
            if b"h2c" in data:
                end = data.find(b"\r\n\r\n") + 2
                end = end if end > 1 else len(data)
                data = OFFER.sub(b"\r\nx-gemgate-offer:", data[:end]) + data[end:]
            self._seen += len(data)
        super().data_received(data)
        if self._heading and self._seen > self.max_head and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._heading = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole; what follows is the next one's head."""
        self._heading = True
        self._seen = 0
        super().on_message_complete()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))

    def on_message_begin(self) -> None:
        """A new head begins."""
        super().on_message_begin()
        self._head = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count, and drop the connection of a client whose head has no end."""
        self._head += len(name) + len(value) + 4
        if self._head > self.max_head:
            self.transport.write(TOO_LARGE)
            self.transport.close()
            raise ValueError("request head too large")
        super().on_header(name, value)


class Server(uvicorn.Server):
    """uvicorn's server without its own signal handling: ours drains and reloads."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by the process."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, not listening yet. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.setblocking(False)
    return sock


def server(settings: Settings, app: Any) -> Server:
    """The server for an ASGI application."""
    gateway = settings.gateway
    Protocol.max_head = gateway.max_header
    return Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            loop="uvloop",
            interface="asgi3",
            server_header=False,
            date_header=False,
            access_log=False,
            log_config=None,
            proxy_headers=bool(gateway.trusted_proxies),
            forwarded_allow_ips=list(gateway.trusted_proxies) or None,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=max(1, round(gateway.drain)),
            backlog=BACKLOG,
            ssl_certfile=gateway.tls_cert,
            ssl_keyfile=str(gateway.tls_key) if gateway.tls_key else None,
        )
    )
