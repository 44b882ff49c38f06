"""`gemgate budgets`: how much money, or how many tokens, may be spent by whom in which time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from gemgate.cli.budgetview import COLUMNS, BudgetView, cells, money, told, views
from gemgate.cli.faults import CommandFault, missing
from gemgate.cli.keeping import Audited, changing, written
from gemgate.cli.keyview import MAKE as MAKE_KEY
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import screen, table
from gemgate.cli.values import Label, Money, Name, Period, Share, Tokens, Zone
from gemgate.config import Settings
from gemgate.core.budget import Budget
from gemgate.store import budgets, standings
from gemgate.store.connection import Connection, reading

Command = TypeVar("Command", bound=Callable[..., Any])

SCOPES = ("key", "tag", "route", "project")
_MAKE = "Make it with `gemgate budgets create NAME`."
_MAKE_OTHER = {
    "key": MAKE_KEY,
    "route": "Routes stand in gemgate.toml as [[route]].",
    "project": "Projects stand in gemgate.toml as [[project]].",
}


@click.group("budgets")
def command() -> None:
    """Make and manage budgets: money or tokens that a key, a tag, a route, a project or all may spend.

    A spent budget refuses calls with 402 until its period ends. A gateway that runs notices a change within a
    second.
    """


def _amounts(command: Command) -> Command:
    """Add the options that ``change`` takes too."""
    for option in (
        click.option("--money", type=Money(), metavar="DOLLARS", help="So much money, like 50 or 0.25."),
        click.option("--tokens", type=Tokens(), metavar="N", help="So many tokens, like 500k or 1M."),
        click.option(
            "--soft",
            type=Share(),
            metavar="SHARE",
            help="From this share on answers carry x-gemgate-budget; none: never. Default: 80%.",
        ),
        click.option(
            "--allow-unpriced/--refuse-unpriced",
            "unpriced",
            default=None,
            help="Whether models without a known price may be called under it. Default: refuse.",
        ),
    )[::-1]:
        command = option(command)
    return command


def _json(command: Command) -> Command:
    option = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object; times in µs, money in nano-dollars."
    )
    return option(command)


@command.command("create")
@common
@_amounts
@click.option(
    "--per",
    type=Period(),
    required=True,
    metavar="PERIOD",
    help="hour, day, week or month, or a rolling span like 24h or 30d.",
)
@click.option("--key", type=Label(), metavar="NAME", help="What this key spends.")
@click.option("--tag", type=Label(lower=True), metavar="TAG", help="What calls with this tag spend.")
@click.option("--route", type=Label(), metavar="NAME", help="What calls by this [[route]] spend.")
@click.option("--project", type=Label(), metavar="NAME", help="What is spent on this [[project]].")
@click.option("--all", "everything", is_flag=True, help="What all calls together spend.")
@click.option(
    "--zone",
    type=Zone(),
    default="UTC",
    metavar="ZONE",
    help="Time zone of its periods, like Europe/Berlin. Default: UTC.",
)
@_json
@click.argument("name", type=Name())
def create(data: Path | None, config: Path | None, name: str, **more: Any) -> None:
    """Make a budget. What the record shows as spent in its period counts from the start."""
    settings = settings_of(config, data)
    now = time.time_ns() // 1000
    unit, amount = _amount(more)
    if not unit:
        raise click.UsageError("Say how much: --money 50 or --tokens 1M.")
    scope, of = _scope(more)
    period, seconds = more["per"]
    soft = {} if more["soft"] is None else {"soft": more["soft"]}
    fields = {
        "id": 0,
        "name": name,
        "scope": scope,
        "of": of,
        "unit": unit,
        "amount": amount,
        "period": period,
        "seconds": seconds,
        "zone": more["zone"],
        "unpriced": bool(more["unpriced"]),
    }
    wanted = msgspec.convert(fields | soft, Budget)
    with changing(settings) as conn:
        _known(conn, settings, scope, of)
        # Read beside the traffic, before the short write.
        seed = budgets.seed(conn, wanted, now)
        try:
            written(
                conn,
                lambda inside: budgets.create(inside, wanted, now, seed),
                _audited("create", name),
            )
        except budgets.Exists:
            raise CommandFault(
                f"A budget is named {name} already. Choose another name, or change it: "
                f"`gemgate budgets change {name}`."
            ) from None
        view = _view(conn, name, now)
    _print(view, [f"The budget {name} is made.", "", *told(view, now)], more["as_json"])


@command.command("list")
@common
@click.option("--all", "everything", is_flag=True, help="Also budgets that are removed.")
@_json
def list_(data: Path | None, config: Path | None, everything: bool, as_json: bool) -> None:
    """Show the budgets: what is spent, held by calls under way, and left, and when each begins anew."""
    now = time.time_ns() // 1000
    with opened(settings_of(config, data)) as conn, reading(conn):
        found = [one for one in views(conn, now) if everything or not one.disabled_at]
    if as_json:
        for one in found:
            click.echo(json.dumps(msgspec.to_builtins(one)))
        return
    out = screen()
    if found:
        out.print(table(COLUMNS, [cells(one, now) for one in found], out.width))
    else:
        out.print(
            "There is no budget. Make one with `gemgate budgets create NAME --money 50 --per month --all`."
        )


@command.command("show")
@common
@_json
@click.argument("name")
def show(data: Path | None, config: Path | None, name: str, as_json: bool) -> None:
    """Show one budget."""
    now = time.time_ns() // 1000
    with opened(settings_of(config, data)) as conn, reading(conn):
        view = _view(conn, name, now)
    _print(view, told(view, now), as_json)


@command.command("change")
@common
@_amounts
@_json
@click.argument("name")
def change(data: Path | None, config: Path | None, name: str, as_json: bool, **more: Any) -> None:
    """Change how much a budget allows, its soft line, and whether unpriced models pass.

    For another scope or period make another budget, and remove this one.
    """
    settings = settings_of(config, data)
    unit, amount = _amount(more)
    fields = {key: more[key] for key in ("soft", "unpriced") if more[key] is not None}
    if unit:
        fields["amount"] = amount
    if not fields:
        raise click.UsageError("Say what to change, like --money 100 or --soft 90%.")
    now = time.time_ns() // 1000
    with changing(settings) as conn:
        before = _view(conn, name, now)
        if before.disabled_at:
            raise CommandFault(
                f"The budget {name} is removed. Make another: `gemgate budgets create {name}`."
            )
        if unit and unit != before.unit:
            raise CommandFault(
                f"The budget {name} counts {before.unit}: give --{before.unit}, or make another for {unit}."
            )
        written(conn, lambda inside: budgets.change(inside, name, **fields), _audited("change", name))
        view = _view(conn, name, now)
    _print(view, [f"The budget {name} is changed.", "", *told(view, now)], as_json)


@command.command("remove")
@common
@_json
@click.argument("name")
def remove(data: Path | None, config: Path | None, name: str, as_json: bool) -> None:
    """Remove a budget: it holds back no call from now on. What was spent stays on record."""
    now = time.time_ns() // 1000
    with changing(settings_of(config, data)) as conn:
        before = _view(conn, name, now)
        if before.disabled_at:
            raise CommandFault(f"The budget {name} is removed already.")
        written(conn, lambda inside: budgets.remove(inside, name, now), _audited("delete", name))
        view = _view(conn, name, now)
    _print(view, [f"The budget {name} is removed; it had spent {money(view, view.spent)}."], as_json)


def _amount(more: dict[str, Any]) -> tuple[str, int]:
    """The unit and amount that the options name; empty and 0 for neither."""
    if more["money"] is not None and more["tokens"] is not None:
        raise click.UsageError("A budget counts --money or --tokens; make two budgets for both.")
    for unit in ("money", "tokens"):
        if more[unit] is not None:
            return unit, more[unit]
    return "", 0


def _scope(more: dict[str, Any]) -> tuple[str, str]:
    """Whose budget it is: the scope, and the name in it."""
    named = [(scope, more[scope]) for scope in SCOPES if more[scope] is not None]
    named += [("all", "")] if more["everything"] else []
    if len(named) != 1:
        raise click.UsageError("Say whose budget it is: one of --key, --tag, --route, --project and --all.")
    return named[0]


def _known(conn: Connection, settings: Settings, scope: str, of: str) -> None:
    """Raise CommandFault for a key, route or project that does not exist; tags are anybody's to invent."""
    known = standings.names(conn, settings, scope)
    if known is not None and of not in known:
        raise missing(scope, of, known, _MAKE_OTHER[scope])


def _audited(action: str, name: str) -> Audited:
    """What the audit says of a change of this budget."""

    def look(conn: Connection) -> BudgetView | None:
        """The budget with where it stands."""
        return next((one for one in views(conn, time.time_ns() // 1000) if one.name == name), None)

    return Audited(action, "budget", name, look)


def _view(conn: Connection, name: str, now: int) -> BudgetView:
    """The budget of that name. Raises CommandFault with the near names."""
    found = views(conn, now)
    view = next((one for one in found if one.name == name), None)
    if view is None:
        raise missing("budget", name, [one.name for one in found], _MAKE)
    return view


def _print(view: BudgetView, lines: list[str], as_json: bool) -> None:
    for text in [json.dumps(msgspec.to_builtins(view))] if as_json else lines:
        click.echo(text)
