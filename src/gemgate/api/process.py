"""The console as a process: ``python -m gemgate.api.process --data DIR [--config FILE] --port N``.

Says ``{"ready": true, "port": N}`` on stdout once it listens; ends on SIGTERM, and when its stdin closes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, cast

from waitress.server import create_server

from gemgate.api import streams
from gemgate.api.app import MAX_BODY, build
from gemgate.api.context import release
from gemgate.api.wire import Channel
from gemgate.config import ConfigError, Settings, load
from gemgate.jobs.context import Context
from gemgate.jobs.runner import Runner
from gemgate.jobs.table import JOBS

_THREADS = 48
_NICE = 5
# Fewer than the 1,024 files that a process may usually have open: the record needs some.
_CLIENTS = 900
_IDLE = 30  # seconds after which a connection that asks nothing is closed


def _leave(*_: object) -> None:
    # Waitress waits for its threads before it lets go, so the streams must end first.
    streams.leave()
    raise SystemExit(0)


def _watch_parent() -> None:
    """End this process when the pipe from the supervisor closes, however the supervisor ended."""
    while os.read(0, 4096):
        pass
    # Only the main thread can leave in order, and a signal is what reaches it inside waitress's loop.
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Serve until told to stop. 2 when the configuration does not hold, 1 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="gemgate.api.process")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        overrides = {"data": chosen.data, "console.port": chosen.port}
        settings = load(chosen.config, os.environ, overrides)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    host, port = settings.console.host, settings.console.port
    try:
        door = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        print(f"The console cannot listen on {host}:{port}: {error.strerror}.", file=sys.stderr)
        return 1
    _serve(settings, door)
    return 0


def _serve(settings: Settings, door: socket.socket) -> None:
    """Answer on this socket, and run the jobs beside, until told to stop."""
    # Answers and jobs give way to the calls of a gateway on the same machine (promise P8).
    os.nice(_NICE)
    app = build(settings)
    server = create_server(
        app,
        sockets=[door],
        threads=_THREADS,
        connection_limit=_CLIENTS,
        channel_timeout=_IDLE,
        cleanup_interval=_IDLE // 3,
        asyncore_use_poll=True,  # select() cannot look at so many
        ident="gemgate",
        clear_untrusted_proxy_headers=True,
        max_request_body_size=2 * MAX_BODY,
    )
    cast(Any, server).channel_class = Channel
    # Waitress warns of each request that finds all threads taken, which says nothing that helps.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    runner = Runner(Context(settings), JOBS)
    threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    runner.start()
    print(json.dumps({"ready": True, "port": door.getsockname()[1]}), flush=True)
    try:
        server.run()
    finally:
        ended = runner.stop()
        release(app)
        if not ended:
            # Its thread would keep the process; what it writes is in short transactions, so nothing is torn.
            os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
