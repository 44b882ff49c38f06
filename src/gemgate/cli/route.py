"""`gemgate route`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.outlook import amount, look, notice, stored, when
from gemgate.cli.quota import resting
from gemgate.cli.shown import brief, plain
from gemgate.core.errors import Refused
from gemgate.core.quota import Window
from gemgate.core.routing import MEDIA
from gemgate.gateway.outlook import closed
from gemgate.gateway.prospect import Prospect, plain_call


@click.command("route")
@common
@click.option(
    "--tokens", type=click.IntRange(0, 10**9), default=0, metavar="N", help="Input tokens of the call."
)
@click.option("--tools", is_flag=True, help="The call carries tools.")
@click.option("--media", type=click.Choice(MEDIA), multiple=True, help="The call carries this; repeatable.")
@click.option(
    "--fallback", type=click.Choice(["on", "off"]), default="on", help="As x-gemgate-fallback says it."
)
@click.option("--project", default="", metavar="NAME", help="As x-gemgate-project names it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; seconds, null for never.")
@click.argument("model", metavar="MODEL")
def command(data: Path | None, config: Path | None, model: str, as_json: bool, **more: Any) -> None:
    """Show what would happen to a call for MODEL now.

    MODEL is a model or a route. Shown are the targets in order with the reason for each place, the room left in
    each window, what rests after failures, and which target would be tried first. Nothing is sent.
    """
    outlook = look(settings_of(config, data), time.time_ns() // 1000)
    wants = plain_call(
        outlook,
        model,
        tokens=more["tokens"],
        tools=more["tools"],
        media=tuple(dict.fromkeys(more["media"])),
        forbids=more["fallback"] == "off",
        project=more["project"],
    )
    try:
        found = Prospect(outlook, wants, brief)
    except Refused as refused:
        raise CommandFault(f"Such a call is refused: {refused.message} {refused.hint}") from None
    if as_json:
        click.echo(msgspec.json.encode(found.told()).decode())
        return
    for line in told(found):
        click.echo(plain(line))


def told(found: Prospect) -> Iterator[str]:
    """The plan in words."""
    outlook, plan = found.outlook, found.plan
    yield _head(found)
    if found.weighted:
        yield "  The order is drawn by weight for each call; this is one of them."
    if plan.limits is not None:
        kept = outlook.windows_of_route(plan.route) or [
            outlook.sourced(Window("", plan.route, name, plan.limits.of(name), "config"))
            for name in ("rpm", "tpm")
            if plan.limits.of(name) is not None
        ]
        yield f"  Of the route itself: {', '.join(left(one, outlook.now) for one in kept)}"
    told_of: set[tuple[str, str]] = set()
    for row, target in zip(found.rows, plan.targets, strict=False):
        yield f"  {row.place}. {row.target} {row.verdict}"
        yield f"     why     {target.why}"
        yield f"     room    {row.room}"
        windows = [left(one, outlook.now) for one in outlook.windows_of(target)]
        for text in windows or ["nothing used, no limit known"]:
            yield f"             {text}"
        state = outlook.barring(target)
        if state is None:
            yield "     health  good"
        elif (state.scope, state.name) in told_of:
            yield f"     health  {state.scope} {state.name} rests, as said above"
        else:
            told_of.add((state.scope, state.name))
            yield f"     health  {resting(state, outlook.now)}"
    for row in found.rows:
        if not row.place:
            yield f"  –  {row.target} is left out: {row.why}"
    yield found.sentence()
    if found.strange:
        yield (
            f"No route is called {found.strange}, and the models known here are without it: Google may refuse it."
        )
    if outlook.snapshot.passthrough:
        yield "Calls use the clients' own keys, whose quota gemgate does not know."
    yield from stored(outlook)
    yield notice(outlook)


def left(one: Window, now: int) -> str:
    """What is left in a window."""
    name = "spend in 10 minutes" if one.window == "spend" else one.window
    if one.limit is None:
        text = f"{name}: {amount(one, one.used)} used, the limit is not known"
    elif one.limit == 0:
        text = f"{name}: none at all{f' ({one.source})' if one.source else ''}"
    else:
        free = amount(one, max(0, one.limit - one.used))
        text = f"{name}: {free} of {amount(one, one.limit)} left{f' ({one.source})' if one.source else ''}"
    bar = closed(one, now)
    return f"{text}, closed: {bar}, opens {when(one.closed_until, now)}" if bar else text


def _head(found: Prospect) -> str:
    wants, plan = found.wants, found.plan
    call = wants.method.rpartition(".")[2]
    if wants.tokens:
        call += f" with about {wants.tokens:,} input tokens"
    if wants.tools:
        call += ", with tools"
    if wants.media:
        call += f", with {' and '.join(wants.media)}"
    if not found.outlook.snapshot.routed:
        return f"{wants.model} for {call}: routing is off, so there is one target and one try"
    way = f"route {plan.route}" if plan.route else "the model's default targets"
    return f"{wants.model} for {call}: {way}, within {found.patience:g} s"
