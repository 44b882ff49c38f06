"""A raw server that plays what a test wrote, connection by connection, over plain TCP or TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType


class Guest:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head and body. Raises IncompleteReadError when the client ended the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
            return head, body
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head, await self.reader.readexactly(int(length or 0))

    async def say(self, data: bytes) -> None:
        """Bytes for the client."""
        self.writer.write(data)
        await self.writer.drain()

    async def ok(self, body: bytes, headers: bytes = b"") -> None:
        """A whole answer."""
        await self.say(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body))

    async def gone(self) -> None:
        """Wait until the client has ended the connection, whichever way."""
        try:
            while await self.reader.read(65_536):
                pass
        except OSError:
            return

    def reset(self) -> None:
        """End the connection with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Play = Callable[[Guest], Awaitable[None]]


class Server:
    """Use as ``async with Server(play) as server``; ``seen`` counts connections, ``open`` those not yet closed."""

    def __init__(self, play: Play, folder: Path | None = None) -> None:
        self._play = play
        self._folder = folder
        self._guests: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()
        self.seen = 0
        self.open = 0
        self.most = 0

    async def __aenter__(self) -> Server:
        context = None
        if self._folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._folder / "cert.pem", self._folder / "key.pem")
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, backlog=512)
        self.port: int = self._server.sockets[0].getsockname()[1]
        scheme, host = ("https", "localhost") if context else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for guest in self._guests:
            guest.cancel()
        if self._guests:
            await asyncio.wait(self._guests)

    async def empty(self) -> None:
        """Wait until no connection is open."""
        while self.open:
            self._change.clear()
            await self._change.wait()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The server's own tasks."""
        return self._guests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._guests.add(task)
        task.add_done_callback(self._guests.discard)
        self.seen += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await self._play(Guest(reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client's end, or the test's
        finally:
            self.open -= 1
            self._change.set()
            writer.transport.abort()


async def echo(guest: Guest) -> None:
    """Answers each request with its own body, on and on."""
    while True:
        _, body = await guest.request()
        await guest.ok(body)
