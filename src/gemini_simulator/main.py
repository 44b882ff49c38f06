"""The command ``gemini-simulator``: a stand-in for Google's Gemini API on this machine."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import click
import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gemini_simulator import catalog, control, faults
from gemini_simulator.app import PROTOCOL, Simulator
from gemini_simulator.http import ApiError
from gemini_simulator.world import Clock, World


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol that also shows itself to the application, which may break the connection."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[PROTOCOL] = self


def read_script(path: Path | None) -> dict[str, Any]:
    """The script of a play: projects and faults, as JSON. Raises click.ClickException for what is none."""
    if path is None:
        return {}
    try:
        script: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        for rule in script.get("faults", []):
            faults.parse(rule["simulate"])
    except (OSError, msgspec.DecodeError, KeyError, ApiError) as error:
        raise click.ClickException(f"{path} is no script: {error}") from error
    return script


class Server(uvicorn.Server):
    """uvicorn's server, which says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then print the address."""
        await super().startup(sockets=sockets)
        scheme = "https" if self.config.is_ssl else "http"
        for one in self.servers if self.started else ():
            for listener in one.sockets:
                host, port = listener.getsockname()[:2]
                print(f"listening on {scheme}://{host}:{port}", flush=True)


def stop_with_parent(server: uvicorn.Server) -> None:
    """Wait until standard input closes, which it does when the parent dies; then stop the server."""
    while sys.stdin.buffer.read(4096):
        pass
    server.should_exit = True
    server.force_exit = True


@click.command()
@click.option("--port", default=8099, show_default=True, help="0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--script", type=click.Path(path_type=Path, exists=True), help="Projects and faults, as JSON.")
@click.option("--seed", default=0, help="Another seed gives other texts.")
@click.option("--speed", default=1.0, help="Simulated seconds per real second: 60 plays a minute in one.")
@click.option("--instant", is_flag=True, help="Never wait.")
@click.option(
    "--log",
    "log_file",
    type=click.Path(path_type=Path),
    help="Append a JSON line per request to this file, without keys and prompts.",
)
@click.option("--now", help="Start the clock there, as 2026-12-01T07:59:00Z.")
@click.option("--tls-cert", type=click.Path(exists=True), help="Certificate (PEM), to serve TLS.")
@click.option("--tls-key", type=click.Path(exists=True), help="Its private key (PEM).")
@click.option("--faults", "list_faults", is_flag=True, help="List the named faults and leave.")
@click.option("--stop-with-parent", "watch_stdin", is_flag=True, help="Stop when standard input closes.")
def main(list_faults: bool, **options: Any) -> None:
    """Behave like Google's Gemini API, with quotas and named faults (header x-simulate)."""
    if list_faults:
        table = faults.names()
        width = max(map(len, table))
        for name, sentence in table.items():
            print(f"{name:<{width}}  {sentence}")
        return
    try:
        start = control.moment(options["now"]) if options["now"] else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--now") from error
    clock = Clock(start, options["speed"], options["instant"])
    world = World(clock, options["seed"], catalog.load(), read_script(options["script"]))
    app = Simulator(world, options["log_file"])
    config = uvicorn.Config(
        app, host=options["host"], port=options["port"], http=Protocol, ws="none", loop="uvloop", log_level="warning",
        access_log=False, server_header=False, date_header=False, timeout_keep_alive=75, backlog=2048,
        h11_max_incomplete_event_size=65536, ssl_certfile=options["tls_cert"], ssl_keyfile=options["tls_key"],
    )  # fmt: skip
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        server = Server(config)
        if options["watch_stdin"]:
            threading.Thread(target=stop_with_parent, args=(server,), daemon=True).start()
        runner.run(server.serve())


if __name__ == "__main__":
    main()
