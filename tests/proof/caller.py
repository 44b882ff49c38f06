"""A client for many calls at once: HTTP/1.1 by hand on asyncio streams, so that it costs little beside what it loads.

Laws:

- an answer is *whole* when its end was received as HTTP defines it; a connection that ends earlier leaves it
  unfinished, whatever the bytes so far look like;
- a call's time counts from when it was asked; ``first`` is the moment of the first byte of its body;
- nothing is retried. A kept connection that the server has closed meanwhile is not used again.

Moments are unix seconds of the system's clock.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

LINE: Final = b"\r\n"
PATIENCE: Final = 240.0  # seconds after which a call that does not end is given up


@dataclass(slots=True)
class Answer:
    """What came back. ``status`` 0 and ``fault`` say that nothing did."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    fault: str = ""
    asked: float = 0.0
    first: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """From the question to the last byte."""
        return self.ended - self.asked

    @property
    def wait(self) -> float:
        """From the question to the first byte of the body."""
        return self.first - self.asked

    @property
    def call(self) -> str:
        """The id under which the gateway keeps it."""
        return self.headers.get("x-gemgate-call", "")

    @property
    def tries(self) -> int:
        """How many tries the gateway says it took."""
        return int(self.headers.get("x-gemgate-attempts", "0"))

    @property
    def model(self) -> str:
        """The model that the gateway says has served."""
        return self.headers.get("x-gemgate-model", "")

    @property
    def sse(self) -> bool:
        """Whether it came as events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def parts(self) -> list[dict[str, Any]]:
        """The JSON objects of the body: the events of a stream, the elements of an array, or the one answer."""
        if self.sse:
            lines = (line for line in self.body.splitlines() if line.startswith(b"data: "))
            return [json.loads(line[6:]) for line in lines]
        found = json.loads(self.body)
        return found if isinstance(found, list) else [found]

    def error(self) -> dict[str, Any]:
        """The google.rpc.Status that it is, or ends in; empty when there is none."""
        parts = self.parts()
        found: dict[str, Any] = parts[-1].get("error", {}) if parts else {}
        return found

    def detail(self, kind: str) -> dict[str, Any]:
        """The error's detail of one kind (``RetryInfo``), empty when there is none."""
        for one in self.error().get("details", []):
            if one.get("@type", "").endswith(f".{kind}"):
                return dict(one)
        return {}

    @property
    def finished(self) -> bool:
        """Whether the last candidate or the prompt has an end that Google gives."""
        parts = self.parts()
        if not parts:
            return False
        if any(part.get("promptFeedback", {}).get("blockReason") for part in parts):
            return True
        return any(one.get("finishReason") for one in parts[-1].get("candidates", []))

    @property
    def good(self) -> bool:
        """Status 200, whole, and with a finish reason."""
        return self.status == 200 and self.whole and self.finished

    @property
    def retry_after(self) -> float:
        """Seconds that an error tells its client to wait: RetryInfo, or else the header; 0.0 for none."""
        told = self.detail("RetryInfo").get("retryDelay", "")
        return float(told.removesuffix("s")) if told else float(self.headers.get("retry-after", "0"))


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Caller:
    """Asks one server, over as many kept connections as calls are under way: ``async with Caller(url) as caller``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()

    async def ask(
        self, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = (), verb: str = "POST"
    ) -> Answer:
        """One call to its end. Broken connections are told in the answer, not raised."""
        head = [f"{verb} {path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        head += [f"{name}: {value}" for name, value in headers]
        if body or verb == "POST":
            head.append(f"Content-Length: {len(body)}")
            if not any(line.lower().startswith("content-type:") for line in head):
                head.append("Content-Type: application/json")
        answer = Answer(asked=time.time())
        connection: Connection | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = await self._connection()
                connection[1].writelines(("\r\n".join([*head, "", ""]).encode(), body))
                if await self._read(connection[0], answer):
                    self._idle.append(connection)
                    connection = None
        except (OSError, EOFError, TimeoutError) as error:
            answer.fault = f"{type(error).__name__}: {error}"
        finally:
            if connection is not None:
                connection[1].transport.abort()
        answer.ended = time.time()
        return answer

    async def _connection(self) -> Connection:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.transport.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(self._host, self._port, limit=2**22)

    async def _read(self, reader: asyncio.StreamReader, answer: Answer) -> bool:
        """Read the answer into ``answer``; whether the connection may be used again."""
        first, *lines = (await reader.readuntil(LINE + LINE))[:-4].decode("latin-1").split("\r\n")
        answer.status = int(first.split(" ", 2)[1])
        for line in lines:
            name, _, value = line.partition(":")
            answer.headers[name.lower()] = value.strip()
        length = answer.headers.get("content-length")
        try:
            if length is not None:
                answer.body = await reader.readexactly(int(length))
                answer.first = time.time()
            elif answer.headers.get("transfer-encoding", "").lower() == "chunked":
                await self._chunks(reader, answer)
            else:
                answer.body = await reader.read()
                answer.first = time.time()
                return False
        except asyncio.IncompleteReadError as error:
            answer.body += error.partial
            raise
        answer.whole = True
        return answer.headers.get("connection", "").lower() != "close"

    async def _chunks(self, reader: asyncio.StreamReader, answer: Answer) -> None:
        pieces: list[bytes] = []
        try:
            while size := int((await reader.readuntil(LINE)).split(b";")[0], 16):
                pieces.append((await reader.readexactly(size + 2))[:-2])
                answer.first = answer.first or time.time()
            await reader.readuntil(LINE)
        finally:
            answer.body = b"".join(pieces)
            answer.first = answer.first or time.time()


@dataclass(frozen=True, slots=True)
class Question:
    """A call to make ``at`` seconds after the start, on the clock of the play. ``body`` is made when it is needed."""

    at: float
    path: str
    body: Callable[[], bytes]
    headers: tuple[tuple[str, str], ...] = ()


async def play(caller: Caller, questions: Sequence[Question], start: float, speed: float) -> list[Answer]:
    """Ask every question when it is due, whatever became of those before it; their answers, in the same order.

    ``start`` is the unix second at which the play's second 0 is, ``speed`` its seconds in one of ours.
    """
    tasks: list[asyncio.Task[Answer]] = []
    for question in questions:
        pause = start + question.at / speed - time.time()
        if pause > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.ensure_future(caller.ask(question.path, question.body(), question.headers)))
        if pause <= 0:
            await asyncio.sleep(0)  # late: let those go out that are due already
    return list(await asyncio.gather(*tasks))


def run(url: str, work: Callable[[Caller], Awaitable[list[Answer]]]) -> list[Answer]:
    """Run ``work`` with a caller of ``url`` on a loop of its own."""

    async def inside() -> list[Answer]:
        async with Caller(url) as caller:
            return await work(caller)

    return uvloop.run(inside())


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that ``share`` of all do not exceed. Raises ValueError when there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def ask(url: str, path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    """One call, on a loop and a connection of its own."""

    async def work(caller: Caller) -> list[Answer]:
        return [await caller.ask(path, body, headers)]

    return run(url, work)[0]
