"""`gemgate quota`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import msgspec

from gemgate.cli.options import common, settings_of
from gemgate.cli.outlook import amount, changes_of, line, look, notice, stored, when
from gemgate.cli.screen import Column, screen, table
from gemgate.cli.shown import brief, plain, sentence
from gemgate.core.health import Change, State
from gemgate.core.quota import Window
from gemgate.gateway.outlook import Outlook, closed

COLUMNS = (
    Column("project", folds=True),
    Column("family", folds=True),
    Column("window"),
    Column("used", right=True),
    Column("limit", right=True),
    Column("source", leaves=2),
    Column("room", folds=True),
    Column("closed, why", folds=True, leaves=1),
)

_NEW_KEY = "Make a new key in Google AI Studio."
REMEDIES = {
    "key_leaked": _NEW_KEY,
    "key_invalid": _NEW_KEY,
    "unauthenticated": _NEW_KEY,
    "prepaid": "Buy credit in Google AI Studio.",
    "project_suspended": "Ask Google why the project is suspended.",
    "project_disabled": "Switch the API and billing on for the project.",
    "model_unknown": "Look at the model's spelling.",
}
"""What a person must do about that which does not pass by itself, by the verdict's reason."""


@click.command("quota")
@common
@click.option("--project", default="", metavar="NAME", help="Only this project.")
@click.option(
    "--changes",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Also the newest N changes of breakers: what opened and closed each.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object; times in µs (2^62: never), spend in nano-dollars.",
)
def command(data: Path | None, config: Path | None, project: str, changes: int, as_json: bool) -> None:
    """Show the quota windows: how full, whose limit, and when room returns.

    rpm and rpd are requests a minute and a day, tpm and tpd input tokens; days end at midnight in California.
    spend is dollars in 10 minutes of a billing account, or of a project that names none. Use comes from the
    record; limits without a number are not known yet.
    """
    settings = settings_of(config, data)
    outlook = look(settings, time.time_ns() // 1000)
    account = outlook.snapshot.account(project)
    windows = [
        one
        for one in outlook.windows()
        if not project or one.project == project or (account and one.family == account and not one.project)
    ]
    states = outlook.health.states(outlook.now)
    turned = changes_of(settings, changes)
    if as_json:
        click.echo(json.dumps({**_object(outlook, windows, states), "changes": msgspec.to_builtins(turned)}))
        return
    out = screen()
    if windows:
        out.print(table(COLUMNS, [_cells(one, outlook.now) for one in windows], out.width))
    else:
        out.print("Nothing is known to be used, and no refusal has taught a limit.")
    for state in states:
        out.print(plain(resting(state, outlook.now)), markup=False)
    for change in turned:
        out.print(plain(_turned(change, outlook.now)), markup=False)
    waiting = outlook.waiting()
    if waiting:
        out.print(f"{waiting} {'call waits' if waiting == 1 else 'calls wait'} in line for room.")
        for place in line(outlook):
            out.print(plain(f"  {place}"), markup=False)
    if outlook.snapshot.passthrough:
        out.print("Calls use the clients' own keys, whose quota gemgate does not know.")
    elif not outlook.snapshot.routed:
        out.print("Routing is off (routing.enabled): no window holds a call back.")
    for text in stored(outlook):
        out.print(plain(text), markup=False)
    out.print(notice(outlook), markup=False)


def resting(state: State, now: int) -> str:
    """A breaker in words."""
    name = f"{state.scope} {state.name}".strip()
    until = f"next try {when(state.until, now)}" if state.until > now else "the next call tries it"
    said = f" ({sentence(state.message)})" if state.message else ""
    remedy = REMEDIES.get(state.reason, "")
    return f"Resting: {name}, {state.reason or state.state}{said}; {until}.{f' {remedy}' if remedy else ''}"


def _turned(change: Change, now: int) -> str:
    """A change of a breaker in words."""
    name = f"{change.scope} {change.name}".strip()
    if change.state == "closed":
        return f"{brief(change.at, now)} {name} closed: it answers again."
    again = f" ({change.failures} times in a row)" if change.failures > 1 else ""
    said = f" ({sentence(change.message)})" if change.message else ""
    return f"{brief(change.at, now)} {name} {change.state}{again}: {change.reason}{said}."


def _cells(one: Window, now: int) -> list[str]:
    return [
        plain(one.project or ("(account)" if one.window == "spend" else "(route)")),
        plain(one.family),
        one.window,
        amount(one, one.used),
        amount(one, one.limit),
        one.source,
        when(one.room_at, now),
        plain(closed(one, now)),
    ]


def _object(outlook: Outlook, windows: list[Window], states: list[State]) -> dict[str, object]:
    return {
        "now": outlook.now,
        "as_of": outlook.as_of or None,
        "gateway": outlook.gateway or None,
        "windows": msgspec.to_builtins(windows),
        "breakers": msgspec.to_builtins(states),
        "state": outlook.state,
    }
