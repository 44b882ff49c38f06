"""The command ``gemini-simulator``: a stand-in for Google's Gemini API on this machine."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import click
import msgspec
import uvicorn

from gemini_simulator import catalog, control, faults
from gemini_simulator.app import Simulator
from gemini_simulator.http import ApiError
from gemini_simulator.server import Protocol, Server, stop_with_parent
from gemini_simulator.world import LOG_LIMIT, Clock, World


def read_script(path: Path | None) -> dict[str, Any]:
    """The script of a play: projects and faults, as JSON. Raises click.ClickException for what is none."""
    if path is None:
        return {}
    try:
        script: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        for rule in script.get("faults", []):
            faults.parse(rule["simulate"])
        control.minutes(script.get("minutes", "rolling"))
    except (OSError, msgspec.DecodeError, ValueError, KeyError, ApiError) as error:
        raise click.ClickException(f"{path} is no script: {error}") from error
    return script


SCRIPT_HELP = """\b
The script is a JSON object, each name optional:
  projects       a list of {name, keys, tier (free, tier1, tier2, tier3, open), faults,
                 limits ({model, family or "*": {rpm, tpm, rpd, tpd}}),
                 billing_account, spend (dollars in ten minutes)};
                 without projects any key of Google's look opens one of its own
  tier           the tier of such a project (open: no limits)
  spend          {billing account: dollars in ten minutes}
  minutes        rolling or fixed
  refused_count  true: a refused request counts in its windows too
  faults         a list of {simulate, model, project, key, method, from, until,
                 rate, nth, first, every}

\b
While it runs, GET, PUT, POST and DELETE under /simulator/: log, counts, state,
clock {now, speed, at}, faults, minutes, outage {seconds, how: refuse or reset}.
"""


@click.command(epilog=SCRIPT_HELP)
@click.option("--port", default=8099, show_default=True, help="0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--script", type=click.Path(path_type=Path, exists=True), help="Projects and faults, as JSON.")
@click.option("--seed", default=0, help="Another seed gives other texts.")
@click.option(
    "--speed",
    default=1.0,
    type=click.FloatRange(0),
    help="Simulated seconds per real second: 60 plays a minute in one.",
)
@click.option("--instant", is_flag=True, help="Never wait.")
@click.option(
    "--log",
    "log_file",
    type=click.Path(path_type=Path),
    help="Append a JSON line per request to this file, without keys and prompts.",
)
@click.option(
    "--log-limit",
    default=LOG_LIMIT,
    show_default=True,
    type=click.IntRange(0),
    help="Lines kept in memory; 0 keeps none.",
)
@click.option("--now", help="Start the clock there, as 2026-12-01T07:59:00Z.")
@click.option("--at", type=float, help="The real unix time at which the clock shows --now.")
@click.option(
    "--minutes", type=click.Choice(control.MINUTES), help="How quotas count a minute (default rolling)."
)
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
    if options["at"] is not None:
        clock.set(start, at=options["at"])
    world = World(
        clock, options["seed"], catalog.load(), read_script(options["script"]), options["log_limit"]
    )
    world.minutes = options["minutes"] or world.minutes
    app = Simulator(world, options["log_file"])
    config = uvicorn.Config(
        app, host=options["host"], port=options["port"], http=Protocol, ws="none", loop="uvloop", log_level="warning",
        access_log=False, proxy_headers=False, server_header=False, date_header=False, timeout_keep_alive=75,
        backlog=2048,
        h11_max_incomplete_event_size=65536, ssl_certfile=options["tls_cert"], ssl_keyfile=options["tls_key"],
    )  # fmt: skip
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        server = Server(config, app)
        if options["watch_stdin"]:
            threading.Thread(target=stop_with_parent, args=(server,), daemon=True).start()
        runner.run(server.serve())


if __name__ == "__main__":
    main()
