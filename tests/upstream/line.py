"""A transport in memory: what a connection writes is kept, what the server says is put in by the test."""

from __future__ import annotations

import asyncio

from gemgate.upstream.http1 import Answer, Broken, Connection


class Line(asyncio.Transport):
    """The transport's end; ``sent`` is what was written, ``unsent`` what it claims to hold back."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.sent = b""
        self.unsent = 0
        self.paused = False
        self.over = False
        self._wrote = asyncio.Event()

    def write(self, data: object) -> None:
        """Keep it."""
        assert isinstance(data, bytes)
        assert not self.over
        self.sent += data
        self._wrote.set()

    async def until_sent(self, end: bytes) -> None:
        """Wait until the last that was written is this."""
        while not self.sent.endswith(end):
            self._wrote.clear()
            await self._wrote.wait()

    def get_write_buffer_size(self) -> int:
        """What the network has not taken."""
        return self.unsent

    def pause_reading(self) -> None:
        """The connection wants no more for now."""
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        """It wants more."""
        assert self.paused
        self.paused = False

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.over

    def abort(self) -> None:
        """As real transports do it: the protocol hears of it in the next round of the loop."""
        self.close()

    def close(self) -> None:
        """The same, for there is nothing to flush."""
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)


class Talk:
    """A connection over a ``Line``, and how often it said that it is free or gone."""

    def __init__(self) -> None:
        self.free = 0
        self.gone = 0
        self.connection = Connection(asyncio.get_running_loop(), self._freed, self._lost)
        self.line = Line(self.connection)
        self.connection.connection_made(self.line)

    def _freed(self, connection: Connection) -> None:
        assert connection.usable
        self.free += 1

    def _lost(self, connection: Connection) -> None:
        assert not connection.usable
        self.gone += 1

    async def ask(self, packets: list[bytes], verb: str = "GET", eof: bool = False) -> Answer:
        """Ask, and let the server say these packets (then end the connection in order)."""
        head = f"{verb} / HTTP/1.1\r\n\r\n".encode()
        self.line.sent = b""
        asking = asyncio.ensure_future(self.connection.exchange(head, None))
        await self.line.until_sent(head)
        self.say(packets, eof)
        return await asking

    def say(self, packets: list[bytes], eof: bool = False) -> None:
        """What the network hands over, as long as the connection stands."""
        for packet in packets:
            if packet and not self.line.over:
                self.connection.data_received(packet)
        if eof and not self.line.over:
            self.connection.eof_received()
            self.line.close()


async def rest(answer: Answer) -> bytes:
    """The whole body. Raises Broken."""
    body = b""
    while piece := await answer.read():
        body += piece
    return body


async def outcome(
    talk: Talk, packets: list[bytes], verb: str = "GET", eof: bool = False
) -> tuple[object, ...]:
    """What came of an exchange, as a value: the answer, or how it broke."""
    try:
        answer = await talk.ask(packets, verb, eof)
        return answer.status, tuple(answer.headers), await rest(answer)
    except Broken as broken:
        return "broken", broken.began, broken.garbage
