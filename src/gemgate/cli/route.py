"""`gemgate route`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.outlook import Outlook, amount, closed, when
from gemgate.cli.quota import resting
from gemgate.cli.shown import plain
from gemgate.core.errors import Refused
from gemgate.core.explain import Row, explain
from gemgate.core.health import Standing
from gemgate.core.quota import Window
from gemgate.core.routing import MEDIA, Plan, Route, Target, Wants, plan_of_one


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
    outlook = Outlook(settings_of(config, data), time.time_ns() // 1000)
    wants = _wants(outlook, model, more)
    try:
        plan = _plan(outlook, wants)
    except Refused as refused:
        raise CommandFault(f"Such a call is refused: {refused.message} {refused.hint}") from None
    if as_json:
        click.echo(json.dumps(_object(outlook, plan, wants)))
        return
    for line in told(outlook, plan, wants):
        click.echo(plain(line))


def told(outlook: Outlook, plan: Plan, wants: Wants) -> Iterator[str]:
    """The plan in words."""
    yield _head(outlook, plan, wants)
    if any(route.name == plan.route and route.balance == "weighted" for route in _routes(outlook)):
        yield "  The order is drawn by weight for each call; this is one of them."
    if plan.limits is not None:
        kept = outlook.windows_of_route(plan.route) or [
            Window("", plan.route, name, plan.limits.of(name), "config")
            for name in ("rpm", "tpm")
            if plan.limits.of(name) is not None
        ]
        yield f"  Of the route itself: {', '.join(left(one, outlook.now) for one in kept)}"
    rows = _rows(outlook, plan, wants)
    told_of: set[tuple[str, str]] = set()
    for row, target in zip(rows, plan.targets, strict=False):
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
    for row in rows:
        if not row.place:
            yield f"  –  {row.target} is left out: {row.why}"
    yield _now(outlook, plan, wants, rows)
    strange = _strange(outlook, plan)
    if strange:
        yield f"No route is called {strange}, and the models known here are without it: Google may refuse it."
    if outlook.snapshot.passthrough:
        yield "Calls use the clients' own keys, whose quota gemgate does not know."
    yield outlook.notice()


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


def _rows(outlook: Outlook, plan: Plan, wants: Wants) -> tuple[Row, ...]:
    """The plan's lines. Only here it is known what bars a target on the route's account, and how long is too long."""
    stands = [outlook.standing(target, wants.tokens, plan.route) for target in plan.targets]
    rows = explain(plan, lambda target: outlook.standing(target, wants.tokens, plan.route))
    soonest = min((one.at for one in stands), default=0.0)
    late = _patience(outlook, plan) < soonest < math.inf
    found = []
    for row in rows:
        if row.place and (window := stands[row.place - 1].why.removeprefix("route:")) in ("rpm", "tpm"):
            row = msgspec.structs.replace(
                row, room=row.room.replace(f"route:{window}", f"the route's own {window}")
            )
        if late and row.place and row.verdict != "is passed over":
            row = msgspec.structs.replace(row, verdict="is ready first, but later than the patience allows")
        found.append(row)
    return tuple(found)


def _strange(outlook: Outlook, plan: Plan) -> str:
    """The model that was asked for, where neither a route nor the catalog knows it: a slip, or quite new."""
    first = plan.targets[0].model if plan.targets and not plan.route else ""
    return "" if not first or outlook.snapshot.catalog.card(first) is not None else first


def _patience(outlook: Outlook, plan: Plan) -> float:
    return outlook.snapshot.settings.routing.patience if plan.patience is None else plan.patience


def _wants(outlook: Outlook, model: str, more: dict[str, Any]) -> Wants:
    """A plain call for the model: an embedding where that is what it makes, else generateContent."""
    routes = [route for route in _routes(outlook) if route.name == model]
    first = next((one.model for route in routes for one in route.targets), model)
    card = outlook.snapshot.catalog.card(first)
    embeds = card is not None and card.kind == "embedding"
    return Wants(
        model.removeprefix("models/"),
        "models.embedContent" if embeds else "models.generateContent",
        "embed" if embeds else "generate",
        more["tokens"],
        more["tools"],
        tuple(dict.fromkeys(more["media"])),
        forbids=more["fallback"] == "off",
        project=more["project"],
    )


def _routes(outlook: Outlook) -> tuple[Route, ...]:
    return outlook.snapshot.settings.routes


def _plan(outlook: Outlook, wants: Wants) -> Plan:
    snapshot = outlook.snapshot
    if not snapshot.routed:
        return plan_of_one(wants.model, snapshot.names, wants.project)
    return snapshot.routes.plan(wants, 0.0)


def _head(outlook: Outlook, plan: Plan, wants: Wants) -> str:
    call = wants.method.rpartition(".")[2]
    if wants.tokens:
        call += f" with about {wants.tokens:,} input tokens"
    if wants.tools:
        call += ", with tools"
    if wants.media:
        call += f", with {' and '.join(wants.media)}"
    if not outlook.snapshot.routed:
        return f"{wants.model} for {call}: routing is off, so there is one target and one try"
    patience = _patience(outlook, plan)
    way = f"route {plan.route}" if plan.route else "the model's default targets"
    return f"{wants.model} for {call}: {way}, within {patience:g} s"


def _now(outlook: Outlook, plan: Plan, wants: Wants, rows: tuple[Row, ...]) -> str:
    """What would happen first."""
    if not plan.targets:
        return "Now: no target is left, so the call is refused."
    stands = [outlook.standing(target, wants.tokens, plan.route) for target in plan.targets]
    ready = next((row.target for row, one in zip(rows, stands, strict=False) if one.at <= 0), None)
    if ready is not None:
        return f"Now: {ready} is tried first."
    soonest = min(range(len(stands)), key=lambda place: stands[place].at)
    at = stands[soonest].at
    if at == math.inf:
        return "Now: the call is refused at once, since no target will ever have room for it."
    patience = _patience(outlook, plan)
    room = when(outlook.now + math.ceil(at * 1_000_000), outlook.now)
    if at <= patience:
        return f"Now: the call waits for {rows[soonest].target}, which can be tried {room}."
    return (
        f"Now: the call is refused at once, since the first target to be ready, {rows[soonest].target}, "
        f"can be tried {room}."
    )


def _object(outlook: Outlook, plan: Plan, wants: Wants) -> dict[str, object]:
    rows = _rows(outlook, plan, wants)
    return {
        "model": wants.model,
        "method": wants.method,
        "route": plan.route or None,
        "now": outlook.now,
        "as_of": outlook.as_of or None,
        "gateway": outlook.gateway or None,
        "targets": [
            _target(outlook, target, row, outlook.standing(target, wants.tokens, plan.route))
            for target, row in zip(plan.targets, rows, strict=False)
        ],
        "left_out": msgspec.to_builtins(plan.left_out),
        "sentence": _now(outlook, plan, wants, rows),
    }


def _target(outlook: Outlook, target: Target, row: Row, stand: Standing) -> dict[str, object]:
    state = outlook.barring(target)
    return {
        "place": row.place,
        "model": target.model,
        "project": target.project,
        "why": target.why,
        "changes": list(target.changes),
        "at": None if stand.at == math.inf else stand.at,
        "bar": stand.why,
        "verdict": row.verdict,
        "windows": msgspec.to_builtins(list(outlook.windows_of(target))),
        "health": None if state is None else msgspec.to_builtins(state),
    }
