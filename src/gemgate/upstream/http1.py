"""One HTTP/1.1 connection to an upstream: a request goes out, its answer comes back in pieces.

Laws:

- a connection carries one exchange at a time and is free again only when both directions are complete, the
  server keeps it alive and nothing unexpected has arrived;
- nothing is sent twice: a connection that breaks fails its exchange;
- at most ``HIGH`` bytes of an answer wait here: beyond that the socket is not read, so a slow client slows
  the upstream and not our memory;
- an answer that ends by closing the connection is whole only when it named no length and no chunks, and when
  it was the server that ended it: in order, with TLS by its closing alert;
- a body goes out with exactly the length that its head announced, or the exchange fails;
- an answer that comes before the body is sent ends the sending, and takes the connection with it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import cast

import httptools

HIGH = 256 * 1024
MAX_HEAD = 256 * 1024
WITHOUT_BODY = frozenset({204, 304})


class Broken(Exception):
    """The exchange failed.

    ``began``: after its head had arrived. ``garbage``: what arrived was no HTTP. ``uneven``: its own body was
    shorter or longer than announced.
    """

    def __init__(self, *, began: bool, garbage: bool = False, uneven: bool = False) -> None:
        super().__init__()
        self.began = began
        self.garbage = garbage
        self.uneven = uneven


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
        """What has arrived of the body; empty at its end. Raises Broken. For one reader at a time."""
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
        # One parser for all answers of the connection: they are one stream of messages.
        self._parser: httptools.HttpResponseParser | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._over = False
        self._sent = True
        self._reusable = True
        self._framed = False
        self._paused = False
        self._head_only = False
        self._quiet = 0

    @property
    def usable(self) -> bool:
        """Whether a new exchange may begin."""
        transport = self._transport
        return not (self._over or self._answer is not None or transport is None or transport.is_closing())

    def abort(self) -> None:
        """Close at once, also when the connection is only about to be made."""
        # The transport's own word is not enough: over TLS it says for a moment that it is not closing.
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    async def exchange(
        self, head: bytes, body: bytes | AsyncIterator[bytes] | None, length: int | None = None
    ) -> Answer:
        """Send a request and wait for the head of its answer.

        ``length`` is what the head announces for a body that comes in pieces, None when it announces chunks.
        Raises Broken, or what the body itself raises.
        """
        assert self._transport is not None
        answer = self._answer = Answer(self, self._loop)
        self._head_only = head.startswith(b"HEAD ")
        self._sent = self._reusable = True
        self._framed = False
        self._quiet = 0
        try:
            if body is None or isinstance(body, bytes):
                self._transport.write(head + body if body else head)
                await answer.head()
            else:
                self._transport.write(head)
                await self._stream(answer, body, length)
        except BaseException:
            self.leave(answer)
            raise
        return answer

    async def _stream(self, answer: Answer, body: AsyncIterator[bytes], length: int | None) -> None:
        """Send a body piece by piece while the answer's head is waited for, which may come first."""
        self._sent = False
        sending = self._loop.create_task(self._send(answer, body, length))
        sending.add_done_callback(lambda _: answer.wake())
        sending.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            while not answer.headed:
                if sending.done():
                    sending.result()
                await answer.change()
        finally:
            sending.cancel()
            if self._answer is answer and not self._sent:
                # Refused before it was whole, or nobody waits any more: the rest is not sent.
                self._sent, self._reusable = True, False
                self._finish()

    async def _send(self, answer: Answer, body: AsyncIterator[bytes], length: int | None) -> None:
        left = length
        try:
            async for piece in body:
                if not piece:
                    continue  # as a chunk it would mean the end
                # The loop looks at the socket before the next piece: writing to a server that has answered
                # and closed would throw its answer away.
                await asyncio.sleep(0)
                await self._writable.wait()
                if self._answer is not answer or answer.headed:
                    return
                if left is None:
                    self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    continue
                left -= len(piece)
                if left < 0:
                    raise Broken(began=False, uneven=True)
                self._write(piece)
                if left == 0:
                    self._all_sent(answer)
        finally:
            if isinstance(body, AsyncGenerator):
                await body.aclose()
        if left:
            raise Broken(began=False, uneven=True)
        if left is None:
            if self._answer is not answer or answer.headed:
                return
            self._write(b"0\r\n\r\n")
        self._all_sent(answer)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._over:
            self._transport.write(data)

    def _all_sent(self, answer: Answer) -> None:
        if self._answer is answer:
            self._sent = True
            self._finish()

    def resume(self, answer: Answer) -> None:
        """Its reader has taken what was there: read on."""
        if self._paused and self._answer is answer and not self._over and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def leave(self, answer: Answer) -> None:
        """Nobody waits for this answer any more."""
        if self._answer is answer:
            self._fail()

    def _fail(self, *, garbage: bool = False) -> None:
        answer = self._answer
        if answer is not None:
            self._answer = None
            answer.fault = Broken(began=answer.headed, garbage=garbage)
            answer.wake()
        self.abort()

    def _finish(self) -> None:
        """When both directions are complete the connection is free, if it lives on."""
        answer, transport = self._answer, self._transport
        if answer is None or not answer.ended or not self._sent or transport is None:
            return
        self._answer = None
        # Bytes of ours that still wait mean that the server answered without having read its request.
        if not self._reusable or self._over or transport.get_write_buffer_size():
            self.abort()
            return
        if self._paused:
            self._paused = False
            transport.resume_reading()
        self._free(self)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        if self._over:
            self._transport.abort()

    def eof_received(self) -> None:
        """The server ended the connection in order; so does an answer that named no length."""
        answer = self._answer
        if answer is not None and answer.headed and not self._framed and self._in_order():
            self._answer = None
            answer.ended = True
            answer.wake()
        self._fail()

    def _in_order(self) -> bool:
        """Whether it was the server that ended the connection: over TLS anybody on the path can forge an end."""
        if self._over or self._transport is None:
            return False
        link = self._transport.get_extra_info("ssl_object")
        if link is None:
            return True
        try:
            return not link.read(1)  # nothing, and no error, is what it reads after the closing alert
        except ssl.SSLError as error:
            return isinstance(error, ssl.SSLZeroReturnError)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, and with it what was under way."""
        self._writable.set()
        self._fail()
        self._parser = None
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
        # Bytes since the last piece of a body: a head, a trailer or a chunk's extension that has no end.
        self._quiet += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(garbage=True)
        if self._quiet > MAX_HEAD and not answer.ended:
            self._fail(garbage=True)
        if answer.headed:
            answer.wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The beginning of an answer; one that nobody asked for ends the connection."""
        if self._answer is None or self._answer.ended:
            self._reusable = False
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line. Raises ValueError, which fails the exchange, for a coding that nobody asked for."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or answer.headed:
            return  # a line of the trailer is no header (RFC 9110 6.5.1)
        name = name.lower()
        if name == b"content-length":
            self._framed = True
        elif name == b"transfer-encoding":
            self._framed = True
            if value.strip().lower() != b"chunked":
                raise ValueError("a transfer coding that was not asked for")
            if parser.get_http_version() != "1.1":
                self._reusable = False  # RFC 9112 6.1: its framing cannot be trusted
        answer.headers.append((name, value.rstrip()))  # the parser leaves blanks at the end

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one (1xx) only announces another. Raises ValueError for a 101."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or answer.headed:
            return
        answer.status = parser.get_status_code()
        if answer.status < 200:
            if answer.status == 101:
                raise ValueError("a change of protocol that was not asked for")
            return
        answer.headed = True
        if answer.status in WITHOUT_BODY:
            self._framed = True
        if self._head_only:
            # The parser would wait for the body whose length is named but which never comes.
            answer.ended = True
            self._reusable = False
            self._finish()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._quiet = 0
        answer = self._answer
        if answer is None or answer.ended:
            return
        answer.pieces.append(data)
        answer.waiting += len(data)
        if answer.waiting > HIGH and not self._paused and not self._over and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole, or was an interim one."""
        answer, parser = self._answer, self._parser
        if answer is None or answer.ended or parser is None:
            return
        if answer.status < 200:
            answer.headers.clear()
            self._framed = False
            return
        answer.ended = True
        # The parser forgets this with the next byte, and the body may still be going out.
        if not parser.should_keep_alive():
            self._reusable = False
        self._finish()
