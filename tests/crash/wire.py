"""A client that knows exactly how much of an answer it got: bytes on a bare socket, nothing in between.

An answer is *whole* when its end was received as HTTP defines it: all bytes of its Content-Length, or the last
chunk of a chunked body. A connection that ends earlier leaves it unfinished, whatever the bytes so far look like.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.gateway.keyed import token

LINE = b"\r\n"


@dataclass(frozen=True, slots=True)
class Question:
    """One call to make. ``number`` names it within its round; ``leave`` is when the client hangs up, in seconds.

    ``key`` is the name of a virtual key.
    """

    number: int
    form: str
    verb: str
    path: str
    simulate: str = ""
    body: bytes = b""
    leave: float | None = None
    key: str = ""


@dataclass(slots=True)
class Seen:
    """What the client has received so far of one answer.

    ``asked`` and ``ended`` are moments of the load's own order of things: who ended before another was asked has
    the lower number.
    """

    question: Question
    status: int = 0
    call_id: str = ""
    tries: int = 0
    whole: bool = False
    left: bool = False
    body: bytearray = field(default_factory=bytearray)
    asked: int = 0
    ended: int = 0


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(question: Question, agent: str) -> bytes:
    """The bytes that ask this question; ``agent`` marks them all the way to the upstream's log."""
    head = [
        f"{question.verb} {question.path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"User-Agent: {agent}",
        "x-goog-api-key: client-key-of-no-account",
    ]
    if question.key:
        head.append(f"x-gemgate-key: {token(question.key)}")
    if question.simulate:
        head.append(f"x-simulate: {question.simulate}")
    if question.body:
        head += ["Content-Type: application/json", f"Content-Length: {len(question.body)}"]
    return "\r\n".join([*head, "", ""]).encode() + question.body


async def ask(connection: Connection, data: bytes, seen: Seen) -> bool:
    """Send and receive; ``seen`` grows on the way. True when the connection may be used again.

    Raises OSError or asyncio.IncompleteReadError when it breaks.
    """
    reader, writer = connection
    writer.write(data)
    await writer.drain()
    head = await reader.readuntil(LINE + LINE)
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    seen.status = int(first.split(" ", 2)[1])
    seen.call_id = fields.get("x-gemgate-call", "")
    seen.tries = int(fields.get("x-gemgate-attempts", "0"))
    if "content-length" in fields:
        await _counted(reader, seen, int(fields["content-length"]))
    elif fields.get("transfer-encoding", "").lower() == "chunked":
        await _chunked(reader, seen)
    else:
        seen.body += await reader.read()
        return False
    return fields.get("connection", "").lower() != "close"


async def _counted(reader: asyncio.StreamReader, seen: Seen, length: int) -> None:
    while len(seen.body) < length:
        data = await reader.read(length - len(seen.body))
        if not data:
            raise asyncio.IncompleteReadError(bytes(seen.body), length)
        seen.body += data
    seen.whole = True


async def _chunked(reader: asyncio.StreamReader, seen: Seen) -> None:
    while size := int((await reader.readuntil(LINE)).split(b";")[0], 16):
        seen.body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(LINE)
    seen.whole = True
