"""One HTTP exchange with a client: what was asked, and the few ways to answer.

A thin face over ASGI's scope, receive and send. It counts bytes and notes when the first one left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from time import perf_counter_ns
from typing import Any

from gemgate.gateway.headers import Headers, scrub

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


# Answers that have no body: a length would be about another answer (RFC 9110, 8.6).
BODILESS = (204, 304)


class ClientGone(Exception):
    """The client closed its connection before its request was complete."""


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_receive",
        "_send",
        "client",
        "client_key",
        "completed",
        "fields",
        "first_byte_at",
        "headers",
        "left",
        "path",
        "query",
        "raw_path",
        "received",
        "scheme",
        "sent",
        "started",
        "status",
        "verb",
    )

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.verb: str = scope["method"]
        self.path: str = scope["path"]
        raw: bytes = scope.get("raw_path") or self.path.encode()
        self.raw_path = raw.decode("latin-1")
        self.scheme: str = scope["scheme"]
        self.headers: Headers = scope["headers"]
        self.fields: dict[bytes, bytes] = dict(self.headers)
        self.query, self.client_key = scrub(scope["query_string"])
        self.client: str = (scope.get("client") or ("", 0))[0]  # the client's address
        self.status = 0  # what the client was told, once the head has left
        self.started = False
        self.completed = False
        self.left = False
        self.received = 0
        self.sent = 0
        self.first_byte_at = 0

    def become(self, verb: str, raw_path: str, query: str) -> None:
        """Go on as another request: what came at OpenAI's door goes to Google as a call of Google's."""
        self.verb, self.raw_path, self.query = verb, raw_path, query

    def header(self, name: bytes) -> str:
        """A request header's value, empty when absent."""
        return self.fields.get(name, b"").decode("latin-1")

    @property
    def length(self) -> int | None:
        """The announced Content-Length; None when there is none (chunked, or no body)."""
        text = self.fields.get(b"content-length", b"")
        return int(text) if text.isdigit() else None

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return b"transfer-encoding" in self.fields or bool(self.length)

    @property
    def own_url(self) -> str:
        """Scheme and host under which the client reached us."""
        return f"{self.scheme}://{self.header(b'host') or 'localhost'}"

    async def receive(self) -> Message:
        """ASGI's receive; after the body it waits for the client's hang-up."""
        return await self._receive()

    async def piece(self) -> tuple[bytes, bool]:
        """The next piece of the request's body, and whether more is to come. Raises ClientGone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
            raise ClientGone
        body: bytes = message.get("body", b"")
        self.received += len(body)
        return body, message.get("more_body", False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The request's body as it arrives. Raises ClientGone when the client leaves in the middle."""
        more = True
        while more:
            body, more = await self.piece()
            if body:
                yield body

    def show(self, message: Callable[[Message], None]) -> None:
        """Show every message of the answer to ``message``, right before it is sent."""
        send = self._send

        async def both(sent: Message) -> None:
            """First shown, then sent."""
            message(sent)
            await send(sent)

        self._send = both

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.started = True
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, more: bool = True) -> None:
        """Send a piece of the body; waits while the client is slow."""
        if data and not self.sent:
            self.first_byte_at = perf_counter_ns()
        self.sent += len(data)
        self.completed = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        bare = status in BODILESS or self.verb == "HEAD"
        await self.start(status, headers if bare else [*headers, (b"content-length", b"%d" % len(body))])
        await self.write(b"" if bare else body, more=False)
