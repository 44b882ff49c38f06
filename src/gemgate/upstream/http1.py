"""One HTTP/1.1 connection to an upstream: a request goes out, its answer comes back in pieces.

Laws:

- a connection carries one exchange at a time and is free again only when both directions are complete, the
  server keeps it alive and nothing unexpected has arrived;
- nothing is sent twice: a connection that breaks fails its exchange;
- at most ``HIGH`` bytes of an answer wait here: beyond that the socket is not read, so a slow client slows
  the upstream and not our memory;
- an answer that ends by closing the connection is whole only when it named no length and no chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import httptools

HIGH = 256 * 1024
MAX_HEAD = 256 * 1024
WITHOUT_BODY = frozenset({204, 304})


class Broken(Exception):
    """The exchange failed. ``began``: after its head had arrived. ``garbage``: what arrived was no HTTP."""

    def __init__(self, *, began: bool, garbage: bool = False) -> None:
        super().__init__()
        self.began = began
        self.garbage = garbage


class Answer:
    """The answer of one exchange. Outlives its connection's interest in it: unread pieces stay here."""

    __slots__ = (
        "_connection",
        "_loop",
        "_waiter",
        "ended",
        "fault",
        "headed",
        "headers",
        "pieces",
        "status",
        "waiting",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.headed = False
        self.ended = False
        self.fault: Broken | None = None
        self.pieces: list[bytes] = []
        self.waiting = 0

    async def head(self) -> None:
        """Wait for the head. Raises Broken."""
        while not self.headed:
            await self.change()

    async def read(self) -> bytes:
        """What has arrived of the body; empty at its end. Raises Broken."""
        while not self.pieces:
            if self.ended:
                return b""
            await self.change()
        pieces = self.pieces
        self.pieces = []
        self.waiting = 0
        self._connection.resume(self)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """End the exchange. One that is not complete takes its connection with it."""
        self._connection.leave(self)

    async def change(self) -> None:
        """Wait until something has happened. Raises Broken when that is a fault."""
        if self.fault is not None:
            raise self.fault
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """A connection. ``free`` is called when it may carry the next exchange, ``gone`` when it never will."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        free: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._free = free
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False
        self._sent = True
        self._reusable = True
        self._framed = False
        self._paused = False
        self._head_only = False
        self._head_size = 0

    @property
    def usable(self) -> bool:
        """Whether a new exchange may begin."""
        transport = self._transport
        return not (self._lost or self._answer is not None or transport is None or transport.is_closing())

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, head: bytes, body: bytes | AsyncIterator[bytes] | None) -> Answer:
        """Send a request and wait for the head of its answer. Raises Broken, or what the body itself raises."""
        assert self._transport is not None
        answer = self._answer = Answer(self, self._loop)
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head.startswith(b"HEAD ")
        self._sent = self._reusable = True
        self._framed = False
        self._head_size = 0
        try:
            if body is None or isinstance(body, bytes):
                self._transport.write(head + body if body else head)
                await answer.head()
            else:
                self._transport.write(head)
                await self._stream(answer, body, b"transfer-encoding: chunked\r\n" in head)
        except BaseException:
            self.leave(answer)
            raise
        return answer

    async def _stream(self, answer: Answer, body: AsyncIterator[bytes], chunked: bool) -> None:
        """Send a body piece by piece while the answer's head is waited for, which may come first."""
        self._sent = False
        sending = self._loop.create_task(self._send(body, chunked))
        sending.add_done_callback(lambda _: answer.wake())
        sending.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            while not answer.headed:
                if sending.done():
                    sending.result()
                await answer.change()
        finally:
            if not sending.done():
                # Refused before it was whole, or nobody waits any more: the rest is not sent.
                sending.cancel()
                self._sent, self._reusable = True, False
                self._finish()

    async def _send(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        transport = self._transport
        assert transport is not None
        async for piece in body:
            await self._writable.wait()
            if self._lost:
                return
            transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            transport.write(b"0\r\n\r\n")
        self._sent = True
        self._finish()

    def resume(self, answer: Answer) -> None:
        """Its reader has taken what was there: read on."""
        if self._paused and self._answer is answer and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def leave(self, answer: Answer) -> None:
        """Nobody waits for this answer any more."""
        if self._answer is answer:
            self._answer = None
            self.abort()

    def _fail(self, *, garbage: bool = False) -> None:
        answer = self._answer
        if answer is not None:
            self._answer = None
            answer.fault = Broken(began=answer.headed, garbage=garbage)
            answer.wake()
        self.abort()

    def _finish(self) -> None:
        """When both directions are complete the connection is free, if it lives on."""
        answer, transport, parser = self._answer, self._transport, self._parser
        if answer is None or not answer.ended or not self._sent or transport is None or parser is None:
            return
        self._answer = None
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if self._reusable and self._framed and not self._head_only and parser.should_keep_alive():
            self._free(self)
        else:
            transport.close()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; an answer that named no length ends here in order."""
        self._lost = True
        self._writable.set()
        answer = self._answer
        if answer is not None and answer.headed and not self._framed and error is None:
            self._answer = None
            answer.ended = True
            answer.wake()
        self._fail()
        self._gone(self)

    def pause_writing(self) -> None:
        """The upstream is slow in taking the body."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It takes more."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; any that nobody asked for end the connection."""
        answer, parser = self._answer, self._parser
        if answer is None or answer.ended or parser is None:
            self.abort()
            return
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(garbage=True)
            return
        if answer.headed:
            answer.wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The beginning of an answer; one that nobody asked for ends the connection."""
        if self._answer is None or self._answer.ended:
            self._reusable = False
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line. Raises ValueError, which fails the exchange, when the head has no end."""
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            raise ValueError("the answer's head is too large")
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        if self._answer is not None:
            self._answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one (1xx) only announces another."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None:
            return
        answer.status = parser.get_status_code()
        if answer.status < 200:
            return
        answer.headed = True
        if answer.status in WITHOUT_BODY:
            self._framed = True
        if self._head_only:
            answer.ended = True
            self._finish()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        answer = self._answer
        if answer is None or answer.ended:
            return
        answer.pieces.append(data)
        answer.waiting += len(data)
        if answer.waiting > HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole, or was an interim one."""
        answer = self._answer
        if answer is None or answer.ended:
            return
        if answer.status < 200:
            answer.headers.clear()
            self._framed = False
            return
        answer.ended = True
        self._finish()
