"""The simulator as a raw ASGI application: who asks, for what, and how the answer goes out."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from gemini_simulator import access, catalog, control, faults, wire
from gemini_simulator.asked import DOOR, Door
from gemini_simulator.handlers import HANDLERS
from gemini_simulator.http import ApiError, Reply, Request, StreamReply
from gemini_simulator.journal import Entry, note_name
from gemini_simulator.quota import refusal
from gemini_simulator.resources.uploads import owner
from gemini_simulator.routes import BODY_NAMES_MODEL, SOCKETS, Match, kind_of, match, named_in
from gemini_simulator.world import Project, World, invalid_key

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PROTOCOL = control.PROTOCOL


@lru_cache(maxsize=4)
def spoken_date(second: int) -> str:
    """A moment as HTTP's Date tells it."""
    return formatdate(second, usegmt=True)


class ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


class Body:
    """The request's body, read once, noted in the log as it comes."""

    def __init__(self, receive: Receive, entry: Entry) -> None:
        self._receive = receive
        self._entry = entry
        self.complete = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces as they arrive. Raises ClientGoneError when they stop coming."""
        while not self.complete.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            if message.get("body"):
                self._entry.read(message["body"])
            if not message.get("more_body", False):
                self._entry.whole()
                self.complete.set()
            if message.get("body"):
                yield message["body"]

    async def drain(self) -> None:
        """Read what the handler left."""
        async for _ in self.chunks():
            pass


class Exchange:
    """One request and its answer."""

    def __init__(self, world: World, scope: Scope, receive: Receive, send: Send) -> None:
        self.world = world
        self.scope = scope
        self.receive = receive
        self._send = send
        self.verb: str = scope["method"]
        self.path: str = (scope.get("raw_path") or scope["path"].encode()).decode()
        self.query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self.entry = Entry(world, self.verb, self.path)
        self.body = Body(receive, self.entry)
        self.faults: dict[str, str] = {}
        self.openai = "/openai/" in self.path
        self.began = world.clock.now()

    async def run(self) -> None:
        """Answer, and notice when the client leaves meanwhile."""
        if not {"content-length", "transfer-encoding"} & self.headers.keys():
            await self.body.drain()
        work = asyncio.create_task(self.answer())
        watch = asyncio.create_task(self.watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.entry.line["aborted"] = True
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def watch(self) -> None:
        """Return when the client has hung up."""
        await self.body.complete.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def answer(self) -> None:
        """The whole way of a request, every refusal in Google's shape."""
        try:
            reply = await self.in_time(self.reply())
            await self.body.drain()
            await self.deliver(reply)
        except ClientGoneError:
            self.entry.line["aborted"] = True
        except wire.Cut:
            self.hang_up(reset="reset" in self.faults)
        except ApiError as error:
            await self.refuse(error)

    async def in_time(self, work: Awaitable[Reply | StreamReply]) -> Reply | StreamReply:
        """The handler's answer within X-Server-Timeout (simulated seconds). Raises ApiError 504 after it."""
        text, clock = self.headers.get("x-server-timeout", ""), self.world.clock
        if not text.replace(".", "", 1).isdigit() or clock.timeless:
            return await work
        try:
            return await asyncio.wait_for(work, float(text) / clock.speed)
        except TimeoutError:
            raise ApiError(504, "Deadline expired before operation could complete.") from None

    async def refuse(self, error: ApiError) -> None:
        """Send an error; the OpenAI layer wraps its errors in an array of one."""
        try:
            await self.body.drain()
        except ClientGoneError:
            self.entry.line["aborted"] = True
            return
        payload: Any = [error.payload()] if self.openai else error.payload()
        await self.send_whole(Reply(payload, error.status))

    async def reply(self) -> Reply | StreamReply:
        """Find the method, the project and the faults; then let the handler answer."""
        found = access.credentials(self.query, self.headers)
        self.entry.ask(self.query, self.headers, found)
        route = match(self.verb, self.path)
        if route is None:
            known = any(f".{name}" in self.path for name in SOCKETS)
            if known:
                if "live_ws_quota_close" in faults.parse(self.headers.get("x-simulate", "")):
                    raise refusal(faults.QUOTAS["live_ws_quota_close"][0], "gemini-3.8-live")
                raise ApiError(400, "This method is served over WebSocket only.", "FAILED_PRECONDITION")
            raise ApiError(404, f"Method not found: {self.verb} {self.path}")
        self.entry.line["method"] = route.id
        key, project = self.opened(found)
        self.entry.line["project"] = project.name
        model = await self.model_of(route)
        header = self.headers.get("x-simulate", "")
        names = catalog.names_of(self.world, model)
        self.faults = faults.active(self.world, project, key, (route.id, names), header)
        await self.strike(route.id, route.version, model)
        DOOR.set(Door(route.version, faults=self.faults, metered=not route.id.startswith("batches.")))
        handler = HANDLERS.get(route.id)
        if handler is None:
            raise ApiError(501, f"Method {route.id} is not served.", "UNIMPLEMENTED")
        base = f"{self.scope['scheme']}://{self.headers.get('host', 'localhost')}"
        return await handler(
            Request(
                self.world, project, route.id, self.verb, route.version, self.path, base, route.params, self.query,
                self.headers, self.body.chunks(), self.faults,
            )
        )  # fmt: skip

    async def model_of(self, route: Match) -> str:
        """The model that the request names; a body is read for it only where a fault rule must know."""
        for kind, name in route.params.items():
            if kind != "model":
                note_name(f"{kind_of(route.id, kind)}/{name}")
        model = route.params.get("model", "")
        if route.id in BODY_NAMES_MODEL and faults.name_models(self.world):
            whole = [chunk async for chunk in self.body.chunks()]
            self.body = Replay(self.receive, self.entry, whole)
            model = named_in(b"".join(whole))
        if route.id.startswith("tunedModels."):
            model = f"tunedModels/{route.params.get('tunedModel', '')}"
        if model:
            plain = model.removeprefix("models/")
            card = self.world.catalog.get(plain)
            self.entry.line["model"] = card.id if card else plain
        return model

    def opened(self, found: list[str]) -> tuple[str, Project]:
        """The key and the project it opens; the later legs of an upload need no key, their URL is secret enough."""
        begun = owner(self.world, self.query["upload_id"]) if "upload_id" in self.query else None
        if begun is not None and not found:
            return "", begun
        key = access.single(found, self.openai, self.headers)
        return key, self.world.project_of(key)

    async def strike(self, method: str, version: str, model: str) -> None:
        """The faults that need no handler: errors, broken connections, a slow first byte."""
        struck = self.faults
        if not struck:
            return
        if "api_key_invalid" in struck:
            raise invalid_key()
        if "api_key_auth_key_rejected" in struck:
            raise access.unsupported_token()
        known = self.world.catalog.get(model)
        family = known.family if known else model or "gemini-3.8-flash"
        words = {"model": model or "gemini-9-flash", "family": family, "version": version}
        error = faults.error(struck, words | {"method": method.rpartition(".")[2]})
        seconds = float(struck.get("slow_first_byte") or 0) + float(struck.get("slow") or 0)
        if seconds or error or {"reset", "half_headers"} & struck.keys():
            whole = [chunk async for chunk in self.body.chunks()]
            self.body = Replay(self.receive, self.entry, whole)
        await self.world.clock.sleep(seconds)
        if "reset" in struck:
            raise wire.Cut
        if "half_headers" in struck:
            self.transport().write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nVary: Ori"
            )
            raise wire.Cut
        if error:
            raise error

    async def deliver(self, reply: Reply | StreamReply) -> None:
        """Send an answer, spoilt as the faults say."""
        if isinstance(reply, StreamReply):
            await self.send_stream(reply)
            return
        if self.faults.get("cut_after") == "0":
            raise wire.Cut
        if "garbage" in self.faults:
            reply = Reply(raw=wire.GARBAGE_PAGE, content_type="text/html; charset=UTF-8")
        await self.send_whole(reply)

    async def send_whole(self, reply: Reply) -> None:
        """An answer in one piece with its length."""
        data = reply.raw
        if data is None:
            compact = self.query.get("prettyPrint") == "false" or self.openai
            data = wire.line(reply.payload) if compact else wire.pretty(reply.payload)
        headers = dict(reply.headers)
        if self.gzipped():
            data = gzip.compress(data, mtime=0)
            headers["content-encoding"] = "gzip"
        if "truncated_json" in self.faults:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {reply.content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
            with contextlib.suppress(RuntimeError):  # the client has gone already
                self.transport().write(head.encode() + data[: len(data) // 2])
            raise wire.Cut
        headers["content-length"] = str(len(data))
        await self.start(reply.status, headers, reply.content_type)
        await self._send({"type": "http.response.body", "body": b"" if self.verb == "HEAD" else data})

    async def send_stream(self, reply: StreamReply) -> None:
        """An answer in events; its head goes out with the first, so that a refusal before it has its own status."""
        array = reply.content_type.startswith("application/json")
        media = reply.headers.get("content-length") is not None or not (
            array or "event-stream" in reply.content_type
        )
        named = "/interactions" in self.path
        chunks = reply.chunks if media else wire.damaged(reply.chunks, self.faults, array, named)
        packer = zlib.compressobj(wbits=31) if self.gzipped() else None
        begun = False
        async for chunk in chunks:
            if not begun:
                extra = {"content-encoding": "gzip"} if packer else {}
                await self.start(reply.status, {**reply.headers, **extra}, reply.content_type)
                begun = True
            data = packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH) if packer else chunk
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self.entry.line["events"] += 1
        if not begun:
            await self.start(reply.status, dict(reply.headers), reply.content_type)
        await self._send({"type": "http.response.body", "body": packer.flush() if packer else b""})

    async def start(self, status: int, headers: dict[str, str], content_type: str) -> None:
        """The status and the headers that Google sends."""
        self.entry.line["status"] = status
        spent = (self.world.clock.now() - self.began) * 1000
        fixed = {
            "content-type": content_type,
            "vary": "Origin, X-Origin, Referer",
            "date": spoken_date(int(self.world.clock.now())),
            "server": "scaffolding on HTTPServer2",
            "x-xss-protection": "0",
            "x-frame-options": "SAMEORIGIN",
            "x-content-type-options": "nosniff",
            "server-timing": f"gfet4t7; dur={spent:.0f}",
        }
        fixed |= {name.lower(): value for name, value in headers.items()}
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fixed.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    def gzipped(self) -> bool:
        """Whether the answer is to be packed."""
        return "gzip" in self.faults and "gzip" in self.headers.get("accept-encoding", "")

    def transport(self) -> asyncio.Transport:
        """The bare connection, for faults that no server would let through."""
        transport: asyncio.Transport = self.scope[PROTOCOL].transport
        return transport

    def hang_up(self, reset: bool = False) -> None:
        """Break the connection; the server is told that nobody is there, so that it does not complain."""
        self.scope[PROTOCOL].cycle.disconnected = True
        if reset:
            wire.reset(self.transport())
        else:
            self.transport().close()


class Replay(Body):
    """A body that has been read already and is told again."""

    def __init__(self, receive: Receive, entry: Entry, whole: list[bytes]) -> None:
        super().__init__(receive, entry)
        self._whole = whole
        self.complete.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces, without waiting and without noting them twice."""
        while self._whole:
            yield self._whole.pop(0)


class Simulator:
    """The ASGI application; ``log_file`` gets each finished line of the log as JSON.

    Until ``shut_until`` (on the monotonic clock) the server resets new connections; ``outage`` is how it is told to.
    """

    def __init__(self, world: World, log_file: Path | None = None) -> None:
        self.world = world
        self.log_file = log_file
        self.shut_until = 0.0
        self.outage: control.Outage | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of the ASGI protocol."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/simulator/"):
            await control.serve(self.world, self.outage, scope, receive, send)
        elif scope["type"] == "http":
            exchange = Exchange(self.world, scope, receive, send)
            try:
                await exchange.run()
            finally:
                exchange.entry.finish(self.log_file)


async def lifespan(receive: Receive, send: Send) -> None:
    """Say yes to start and stop."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
