"""uvicorn's server and protocol, with what no server offers: to break its connections, and to be shut for a while."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gemini_simulator import wire
from gemini_simulator.app import PROTOCOL, Simulator


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol that also shows itself to the application, which may break the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and reset it at once while the server is shut."""
        super().connection_made(transport)
        app = self.config.app
        if isinstance(app, Simulator) and time.monotonic() < app.shut_until:
            wire.reset(transport)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[PROTOCOL] = self


class Server(uvicorn.Server):
    """uvicorn's server, which says where it listens once it does, and can be shut for a while."""

    def __init__(self, config: uvicorn.Config, app: Simulator) -> None:
        super().__init__(config)
        self._app = app
        self._reopening: asyncio.Task[None] | None = None
        app.outage = self.outage

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then print the address."""
        await super().startup(sockets=sockets)
        scheme = "https" if self.config.is_ssl else "http"
        for one in self.servers if self.started else ():
            for listener in one.sockets:
                host, port = listener.getsockname()[:2]
                print(f"listening on {scheme}://{host}:{port}", flush=True)

    def outage(self, seconds: float, how: str, spared: object) -> None:
        """Break every connection but ``spared``; for ``seconds`` real ones ``refuse`` new ones, or take and ``reset``
        them. An outage while there is one changes nothing but the end of the resets."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if connection is not spared and transport is not None:
                wire.reset(transport)
        if how == "reset":
            self._app.shut_until = time.monotonic() + seconds
        elif self._reopening is None or self._reopening.done():
            addresses = [listener.getsockname() for one in self.servers for listener in one.sockets]
            for one in self.servers:
                one.close()
            self.servers = []
            self._reopening = asyncio.ensure_future(self._reopen(seconds, addresses))

    async def _reopen(self, seconds: float, addresses: list[Any]) -> None:
        """Listen again on the same ports."""
        await asyncio.sleep(seconds)
        loop = asyncio.get_running_loop()
        for host, port, *_ in addresses:
            self.servers.append(
                await loop.create_server(
                    self.protocol, host, port, ssl=self.config.ssl, backlog=self.config.backlog
                )
            )

    def protocol(self) -> asyncio.Protocol:
        """The protocol of a connection that comes after an outage."""
        return Protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )


def stop_with_parent(server: uvicorn.Server) -> None:
    """Wait until standard input closes, which it does when the parent dies; then stop the server."""
    while sys.stdin.buffer.read(4096):
        pass
    server.should_exit = True
    server.force_exit = True
