"""The gateway process: ``python -m gemgate.gateway.process``. Builds the desk, listens, drains, ends.

It says ``{"ready": true, "port": N}`` on stdout once it listens. It ends when its stdin closes (its supervisor
died) or on SIGTERM, after a drain; SIGHUP takes over a changed configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import time_ns
from typing import Literal, cast

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gemgate import __version__
from gemgate.config import ConfigError, Project, Secret, Settings, load
from gemgate.config.book import load_book
from gemgate.config.installation import installation_secret
from gemgate.config.running import url_of
from gemgate.core.call import mint
from gemgate.core.errors import Refused
from gemgate.gateway.desk import Desk
from gemgate.gateway.settle import charge
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.surface import Surface
from gemgate.store import boots
from gemgate.store.database import FILE, Database
from gemgate.store.database import Settings as Keeping
from gemgate.upstream.client import AioUpstream

log = logging.getLogger("gemgate.gateway")

# The simulator takes any key that looks like Google's; this one opens nothing else.
DEMO = Project("demo", "tier1", (Secret("AIzaSimulatorDemoKey000000000000000000"),))
KEEP_ALIVE = 75
BACKLOG = 4096


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bound on the size of a request's head, which httptools lacks."""

    max_head = 64 * 1024

    def on_message_begin(self) -> None:
        """A new head begins."""
        super().on_message_begin()
        self._head = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count, and drop the connection of a client whose head has no end."""
        self._head += len(name) + len(value) + 4
        if self._head > self.max_head:
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()
            raise ValueError("request head too large")
        super().on_header(name, value)


class Server(uvicorn.Server):
    """uvicorn's server without its own signal handling: ours drains and reloads."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by ``_run``."""
        yield


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gemgate.gateway.process", description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--upstream", default="", help="base URL instead of the configured one")
    parser.add_argument("--demo-key", action="store_true", help="use the simulator's key")
    return parser.parse_args(argv)


def _settings(arguments: argparse.Namespace) -> Settings:
    overrides: dict[str, object] = {}
    if arguments.data is not None:
        overrides["data"] = arguments.data
    if arguments.port is not None:
        overrides["gateway.port"] = arguments.port
    return load(arguments.config, os.environ, overrides)


def _snapshot(arguments: argparse.Namespace, settings: Settings) -> Snapshot:
    demo = DEMO if arguments.demo_key else None
    return Snapshot(settings, load_book(settings.prices.file), arguments.upstream, demo)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.setblocking(False)
    return sock


async def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    sock = _listen(settings.gateway.host, settings.gateway.port)
    snapshot = _snapshot(arguments, settings)
    boot = boots.begin(settings.data, mint(time_ns() // 1000, os.urandom(8)))
    keeping = Keeping(
        cast(Literal["process", "power"], settings.record.durability),
        cast(Literal["serve", "refuse"], settings.record.when_down),
        __version__,
    )
    db = await Database.open(settings.data / FILE, boot, keeping)
    limits = settings.upstream
    upstream = AioUpstream(limits.connect_timeout, limits.max_connections, limits.ca_file)
    desk = Desk(snapshot, db, upstream, boot.id, installation_secret(settings.data))
    desk.watch.start()
    sweeping = loop.create_task(_sweep(desk))
    server = Server(_uvicorn(settings, Surface(desk, lambda: url_of(settings.data, "console"))))

    def stop() -> None:
        server.should_exit = True

    def reload() -> None:
        try:
            desk.snapshot = _snapshot(arguments, _settings(arguments))
            log.info("the configuration was reloaded")
        except (ConfigError, OSError, ValueError) as error:
            log.error("the changed configuration is not used: %s", error)

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    _stop_with_parent(loop, stop)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sock.listen(BACKLOG)
    print(json.dumps({"ready": True, "port": sock.getsockname()[1]}), flush=True)
    try:
        await server.serve(sockets=[sock])
    finally:
        desk.watch.stop()
        sweeping.cancel()
        await upstream.close()
        await db.close()


async def _sweep(desk: Desk) -> None:
    """Close the calls that a dead process left open, as soon as the store can be written."""
    while True:
        try:
            closed = await desk.db.sweep(lambda intent, usage: charge(desk.snapshot, intent, usage))
        except Refused:
            await asyncio.sleep(1.0)
            continue
        if closed:
            log.warning("%d calls that an earlier process left open are closed as interrupted", closed)
        return


def _uvicorn(settings: Settings, app: Surface) -> uvicorn.Config:
    gateway = settings.gateway
    Protocol.max_head = gateway.max_header
    return uvicorn.Config(
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


def _stop_with_parent(loop: asyncio.AbstractEventLoop, stop: object) -> None:
    """The supervisor holds the other end of our stdin: when it closes, the supervisor is gone."""
    if sys.stdin is None or sys.stdin.isatty():
        return
    with contextlib.suppress(OSError, ValueError):
        handle = sys.stdin.fileno()

        def closed() -> None:
            if not os.read(handle, 4096):
                loop.remove_reader(handle)
                assert callable(stop)
                stop()

        loop.add_reader(handle, closed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop. 2 for a configuration that does not hold."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    arguments = _arguments(argv)
    try:
        settings = _settings(arguments)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        uvloop.run(_run(arguments, settings))
    except (OSError, ValueError) as error:
        print(f"The gateway cannot run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
