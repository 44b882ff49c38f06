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
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time_ns
from typing import Literal, cast

import uvloop

from gemgate import __version__
from gemgate.config import ConfigError, Settings, load
from gemgate.config.book import load_book
from gemgate.config.installation import installation_secret
from gemgate.config.running import url_of
from gemgate.core.call import mint
from gemgate.core.catalog import Catalog
from gemgate.core.errors import Refused
from gemgate.gateway import listener, state, stored
from gemgate.gateway.affinity import Affinity
from gemgate.gateway.board import Board
from gemgate.gateway.brakes import Brakes
from gemgate.gateway.clock import Clock
from gemgate.gateway.desk import Desk
from gemgate.gateway.inforce import NOTHING, InForce
from gemgate.gateway.settle import charge
from gemgate.gateway.signatures import Signatures
from gemgate.gateway.snapshot import DEMO, Snapshot
from gemgate.gateway.steady import Steady
from gemgate.gateway.stored import Configured, Stored
from gemgate.gateway.surface import Surface
from gemgate.gateway.waiting import Waiting
from gemgate.store import boots
from gemgate.store.connection import reader, reading
from gemgate.store.database import FILE, Database
from gemgate.store.database import Settings as Keeping
from gemgate.upstream.client import HttpUpstream

log = logging.getLogger("gemgate.gateway")

TIDY = 60.0  # seconds between looks for calls that dead processes left open
RETRY = 1.0
ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # what a strange row may bring
PATIENCE = 2.0  # seconds to wait for the store before listening; it is waited for longer meanwhile


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gemgate.gateway.process", description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--upstream", default="", help="base URL instead of the configured one")
    parser.add_argument("--demo-key", action="store_true", help="use the simulator's key")
    parser.add_argument(
        "--clock", type=Clock.read, default=Clock(), help="SPEED:EPOCH:START, a faster clock for tests"
    )
    return parser.parse_args(argv)


def _settings(arguments: argparse.Namespace) -> Settings:
    overrides: dict[str, object] = {}
    if arguments.data is not None:
        overrides["data"] = arguments.data
    if arguments.port is not None:
        overrides["gateway.port"] = arguments.port
    return load(arguments.config, os.environ, overrides)


def _configured(arguments: argparse.Namespace, settings: Settings, catalog: Catalog) -> Configured:
    """What the configuration says. Raises OSError, BadBook."""
    demo = DEMO if arguments.demo_key else None
    return Configured(settings, load_book(settings.prices.file), arguments.upstream, demo, catalog)


async def _desk(snapshot: Snapshot, clock: Clock) -> Desk:
    """The shared desk over an open store. Raises OSError, ValueError."""
    settings = snapshot.settings
    boot = boots.begin(settings.data, mint(time_ns() // 1000, os.urandom(8)))
    keeping = Keeping(
        cast(Literal["process", "power"], settings.record.durability),
        cast(Literal["serve", "refuse"], settings.record.when_down),
        __version__,
        prices=snapshot.book.rows(),
        book=snapshot.book.name,
    )
    db = await Database.open(settings.data / FILE, boot, keeping)
    limits = settings.upstream
    upstream = HttpUpstream(limits.connect_timeout, limits.max_connections, limits.ca_file)
    board = Board(clock, snapshot)
    secret = installation_secret(settings.data)
    return Desk(
        snapshot=snapshot,
        db=db,
        upstream=upstream,
        boot=boot.id,
        secret=secret,
        clock=clock,
        board=board,
        waiting=Waiting(board),
        affinity=Affinity(db, secret),
        signatures=Signatures(db, secret, clock),
        brakes=Brakes(clock, board),
    )


async def _tidy(desk: Desk, in_force: InForce) -> None:
    """Close the calls that dead processes left open: as soon as the store can be written, and then once a
    minute, for an old process may still be draining beside this one. What they spent counts from then on."""
    steady = Steady("what earlier processes left open cannot be closed yet")
    while True:
        whole = False
        with steady.turn(), contextlib.suppress(Refused):
            closed = await desk.db.sweep(lambda intent, usage: charge(desk.snapshot, intent, usage))
            if closed:
                log.warning("closed as interrupted what an earlier process left open: calls %d", closed)
            whole = await in_force.again()
        if not whole:
            await asyncio.sleep(RETRY)
            continue
        desk.tidied.set()
        await asyncio.sleep(TIDY)


def stored_there(database: Path) -> Stored:
    """What is stored at the start; nothing where it cannot be read: then no call is let in, and it is looked for."""
    try:
        with contextlib.closing(reader(database)) as conn, reading(conn):
            return stored.read(conn)
    except (sqlite3.Error, OSError, *ODD) as error:
        log.warning("what is stored of routes, limits and prices cannot be read yet: %s", error)
        return NOTHING


def first(configured: Configured, known: Stored) -> tuple[Snapshot, Stored]:
    """The snapshot to begin with, and what is stored in it.

    That is the configuration alone where nothing can be made of what is stored: a start must not hang on a row.
    """
    try:
        return stored.build(configured, known), known
    except ODD as error:
        log.exception("what is stored beside the configuration cannot be meant, all of it is left out")
        bad = (("routes, limits and prices", f"{type(error).__name__}"),)
        return stored.build(configured, NOTHING._replace(paused=known.paused, bad=bad)), NOTHING


async def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    sock = listener.bind(settings.gateway.host, settings.gateway.port)
    catalog = Catalog.load()
    configured, known = _configured(arguments, settings, catalog), stored_there(settings.database)
    snapshot, known = first(configured, known)
    stored.tell(snapshot, None)
    desk = await _desk(snapshot, arguments.clock)
    await state.restore(desk)
    desk.watch.start()
    in_force = InForce(desk, configured, known)
    tidying = [loop.create_task(_tidy(desk, in_force)), loop.create_task(state.keep(desk))]
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(desk.tidied.wait(), PATIENCE)
    # After what dead processes held of budgets was charged.
    await in_force.look()
    tidying.append(loop.create_task(in_force.follow()))
    server = listener.server(settings, Surface(desk, lambda: url_of(settings.data, "console")))

    def stop() -> None:
        server.should_exit = True

    def reload() -> None:
        try:
            changed = _configured(arguments, _settings(arguments), catalog)
        except (ConfigError, OSError, ValueError) as error:
            log.error("the changed configuration is not used: %s", error)
            return
        tidying.append(loop.create_task(in_force.configure(changed)))

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    _stop_with_parent(loop, stop)
    # What was built so far lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sock.listen(listener.BACKLOG)
    print(json.dumps({"ready": True, "port": sock.getsockname()[1]}), flush=True)
    try:
        await server.serve(sockets=[sock])
    finally:
        if calls := set(server.server_state.tasks):
            # What outlasted the drain was cancelled; its rows are still being written.
            await asyncio.wait(calls, timeout=PATIENCE)
        desk.watch.stop()
        for task in tidying:
            task.cancel()
        await asyncio.wait(tidying, timeout=PATIENCE)
        await in_force.flush()
        await state.keep_now(desk)
        await asyncio.to_thread(desk.payloads.close)
        await desk.upstream.close()
        await desk.db.close()


def _stop_with_parent(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """The supervisor holds the other end of our stdin: when it closes, the supervisor is gone."""
    if sys.stdin is None or sys.stdin.isatty():
        return
    with contextlib.suppress(OSError, ValueError):
        handle = sys.stdin.fileno()

        def readable() -> None:
            if not os.read(handle, 4096):
                loop.remove_reader(handle)
                stop()

        loop.add_reader(handle, readable)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop. 2 for a configuration that does not hold, 1 for a fault of the machine."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    # What uvicorn warns of (invalid requests, offers of other protocols) is the client's, and told to the client.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
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
