"""`gemgate serve`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gemgate.app.plan import CONSOLE, GATEWAY
from gemgate.app.serve import serve
from gemgate.app.supervisor import tell
from gemgate.cli.options import chosen, common
from gemgate.config import Settings, load

_PORT = click.IntRange(0, 65535)


@click.command("serve")
@common
@click.option("--demo", is_flag=True, help="Send calls to the built-in simulator; no Google key is needed.")
@click.option(
    "--gateway-port", type=_PORT, metavar="N", help="Traffic port; 0 picks a free one. Default: 8080."
)
@click.option(
    "--console-port", type=_PORT, metavar="N", help="Console port; 0 picks a free one. Default: 8081."
)
@click.option("--only", type=click.Choice([GATEWAY, CONSOLE]), help="Run one of the two alone.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data: Path | None,
    config: Path | None,
    demo: bool,
    **more: str | int | None,
) -> None:
    """Run the gateway and the console until Ctrl-C.

    Without a Google key (GEMINI_API_KEY, or [[project]] in gemgate.toml) calls go to the simulator. Where
    things run is printed, and written to run.json in the data folder.
    """
    ports = {"gateway.port": more["gateway_port"], "console.port": more["console_port"]}
    overrides = chosen(data, {**ports, "demo": True if demo else None})
    only = more["only"]
    if only == GATEWAY:
        # No console, so no clash with its port.
        overrides.setdefault("console.port", 0)

    def read() -> Settings:
        """The settings now, as this command line has them."""
        return load(config, os.environ, overrides)

    ctx.exit(serve(read, [str(only)] if only else [GATEWAY, CONSOLE], tell))
