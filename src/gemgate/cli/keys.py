"""`gemgate keys`: virtual keys, made, shown, changed, replaced and switched off.

The secret of a key is printed when it is made or replaced, and never again: the store has its hash alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from gemgate.cli.faults import CommandFault
from gemgate.cli.keeping import Audited, changing, written
from gemgate.cli.keyview import IN_FORCE, KeyView, cells, key_named, told, views
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import Column, screen, table
from gemgate.cli.shown import moment
from gemgate.cli.values import NONE, End, Grace, Label, Limit, Name, Network
from gemgate.config import Settings
from gemgate.core import access
from gemgate.core.access import RIGHTS, Key, Token
from gemgate.core.catalog import Catalog
from gemgate.core.words import MOST_TAGS
from gemgate.store import keys
from gemgate.store.connection import Connection, reading

Command = TypeVar("Command", bound=Callable[..., Any])

COLUMNS = (
    Column("name", folds=True),
    Column("state"),
    Column("owner", folds=True, leaves=3),
    Column("tags", folds=True, leaves=5),
    Column("may use", folds=True, leaves=6),
    Column("rights", folds=True, leaves=4),
    Column("limits", folds=True, leaves=2),
    Column("expires", leaves=1),
    Column("secret", leaves=7),
)


@click.group("keys")
def command() -> None:
    """Make and manage virtual keys: who may use the gateway, for what, and how much.

    A gateway that runs notices a change within a second. As soon as one key exists, every client needs one.
    """


def _properties(command: Command) -> Command:
    """Add the options that say what a key is and may do."""
    limit = Limit()
    for option in (
        click.option("--owner", type=Label(), metavar="NAME", help="The person or team it belongs to."),
        click.option(
            "--tag",
            "tags",
            type=Label(lower=True),
            multiple=True,
            metavar="TAG",
            help="Put on its calls. Repeatable.",
        ),
        click.option(
            "--route",
            "routes",
            type=Label(),
            multiple=True,
            metavar="PATTERN",
            help="Only these models or routes; * and ? stand for any letters. Repeatable. Default: all.",
        ),
        click.option(
            "--network",
            "networks",
            type=Network(),
            multiple=True,
            metavar="CIDR",
            help="Only from these addresses, like 10.0.0.0/8. Repeatable. Default: from anywhere.",
        ),
        click.option(
            "--right",
            "rights",
            type=click.Choice([*RIGHTS, NONE]),
            multiple=True,
            help="What else it may do; docs/keys.md has the rights. Repeatable. Default: none.",
        ),
        click.option("--rpm", type=limit, metavar="N", help="Most calls a minute."),
        click.option("--tpm", type=limit, metavar="N", help="Most tokens a minute, input and output."),
        click.option("--concurrency", type=limit, metavar="N", help="Most calls at once."),
        click.option(
            "--expires",
            "expires_at",
            type=End(),
            metavar="WHEN",
            help="When it ends: 30d, or a date. Default: never.",
        ),
    )[::-1]:
        command = option(command)
    return command


def _json(command: Command) -> Command:
    option = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object; times in µs, 0 for never."
    )
    return option(command)


@command.command("create")
@common
@_properties
@click.option("--quiet", is_flag=True, help="Print the secret alone.")
@_json
@click.argument("name", type=Name())
def create(data: Path | None, config: Path | None, name: str, **more: Any) -> None:
    """Make a key, and print its secret: once."""
    settings = settings_of(config, data)
    now = time.time_ns() // 1000
    secret = access.mint(os.urandom(32))
    key = Key(id=0, name=name, created_at=now, **_asked(more))
    token = Token(digest=access.digest(secret), key=0, hint=access.hint(secret))
    with changing(settings) as conn:
        first = not keys.every(conn)[1]
        try:
            made = written(conn, lambda inside: keys.create(inside, key, token), _audited("create", name))
        except keys.Exists:
            raise CommandFault(
                f"A key is named {name} already. Choose another name, or replace its secret: "
                f"`gemgate keys rotate {name}`."
            ) from None
        view = _view(conn, name, now)
    lines = [f"The key {name} is made. This is its secret; it is not shown again:"]
    notes = [*_strangers(settings, made.routes)]
    if first:
        notes.append("It is the first key: from now on the gateway asks every client for one.")
    _hand_over(settings, view, secret, [*lines, ""], notes, more)


@command.command("rotate")
@common
@click.option(
    "--grace",
    type=Grace(),
    metavar="TIME",
    help="How long the old secret still works; 0: not at all. Default: access.grace, 24h.",
)
@click.option("--quiet", is_flag=True, help="Print the secret alone.")
@_json
@click.argument("name")
def rotate(data: Path | None, config: Path | None, name: str, **more: Any) -> None:
    """Give a key a new secret, and print it: once. The old one goes on for a grace period."""
    settings = settings_of(config, data)
    now = time.time_ns() // 1000
    grace = settings.access.grace if more["grace"] is None else more["grace"]
    until = now + int(grace * 1e6)
    secret = access.mint(os.urandom(32))
    with changing(settings) as conn:
        key = key_named(conn, name)
        token = Token(digest=access.digest(secret), key=key.id, hint=access.hint(secret))
        written(
            conn, lambda inside: keys.add_token(inside, key.id, token, now, until), _audited("rotate", name)
        )
        view = _view(conn, name, now)
    old = f"The old one works until {moment(until)}." if grace else "The old one works no more."
    lines = [f"The key {name} has a new secret; it is not shown again. {old}", ""]
    _hand_over(settings, view, secret, lines, [], more)


@command.command("list")
@common
@click.option("--all", "everything", is_flag=True, help="Also keys that are disabled, stopped or expired.")
@_json
def list_(data: Path | None, config: Path | None, everything: bool, as_json: bool) -> None:
    """Show the keys."""
    now = time.time_ns() // 1000
    with opened(settings_of(config, data)) as conn, reading(conn):
        found = views(*keys.every(conn), now)
    chosen = [one for one in found if everything or one.state == IN_FORCE]
    if as_json:
        for one in chosen:
            click.echo(json.dumps(msgspec.to_builtins(one)))
        return
    out = screen()
    if chosen:
        out.print(table(COLUMNS, [cells(one, now) for one in chosen], out.width))
    elif not found:
        out.print("There is no key yet. Make one with `gemgate keys create NAME`.")
    hidden = len(found) - len(chosen)
    if hidden:
        out.print(f"{hidden} not in force; --all shows {'it' if hidden == 1 else 'them'}.")


@command.command("show")
@common
@_json
@click.argument("name")
def show(data: Path | None, config: Path | None, name: str, as_json: bool) -> None:
    """Show one key: what it may do, its limits, and its secrets by their ends."""
    now = time.time_ns() // 1000
    with opened(settings_of(config, data)) as conn, reading(conn):
        view = _view(conn, name, now)
    _print(view, told(view), as_json)


@command.command("change")
@common
@_properties
@_json
@click.argument("name")
def change(data: Path | None, config: Path | None, name: str, as_json: bool, **more: Any) -> None:
    """Change what a key is or may do. What is given replaces what was; `none` takes it away."""
    settings = settings_of(config, data)
    fields = _asked(more)
    if not fields:
        raise click.UsageError("Say what to change, like --rpm 60 or --expires 30d. --help lists it all.")
    view = _changed(settings, "change", name, fields)
    for note in [] if as_json else _strangers(settings, fields.get("routes", ())):
        click.echo(note, err=True)
    _print(view, [f"The key {name} is changed.", "", *told(view)], as_json)


@command.command("disable")
@common
@_json
@click.argument("name")
def disable(data: Path | None, config: Path | None, name: str, as_json: bool) -> None:
    """Switch a key off. Calls under way go on; new ones are refused."""
    view = _changed(settings_of(config, data), "disable", name, {"disabled_at": time.time_ns() // 1000})
    _print(view, [f"The key {name} is disabled. `gemgate keys enable {name}` switches it on again."], as_json)


@command.command("enable")
@common
@_json
@click.argument("name")
def enable(data: Path | None, config: Path | None, name: str, as_json: bool) -> None:
    """Switch a key on again that was disabled, or stopped for running away."""
    fields = {"disabled_at": 0, "stopped_at": 0, "stopped_why": ""}
    view = _changed(settings_of(config, data), "enable", name, fields)
    text = f"The key {name} is enabled."
    if view.state == "expired":
        text += f" But it expired on {moment(view.expires_at)}: `gemgate keys change {name} --expires never`."
    _print(view, [text], as_json)


def _asked(more: dict[str, Any]) -> dict[str, Any]:
    """The fields of a key that the options name; what ``none`` takes away is empty."""
    found: dict[str, Any] = {}
    for name in ("tags", "routes", "networks", "rights"):
        values: tuple[str, ...] = tuple(dict.fromkeys(more.get(name) or ()))
        if NONE in values and len(values) > 1:
            raise click.UsageError(
                f"--{name.removesuffix('s')} none stands alone: it takes all of them away."
            )
        if name == "routes":
            values = tuple(one.removeprefix("models/") for one in values)
        if values:
            found[name] = () if values == (NONE,) else values
    if len(found.get("tags", ())) > MOST_TAGS:
        raise click.UsageError(f"A key takes up to {MOST_TAGS} tags: its calls bring tags of their own.")
    if "rights" in found:
        found["rights"] = frozenset(found["rights"])
    if more.get("owner") is not None:
        found["owner"] = "" if more["owner"] == NONE else more["owner"]
    for name in ("rpm", "tpm", "concurrency"):
        if more.get(name) is not None:
            found[name] = more[name] or None
    if more.get("expires_at") is not None:
        found["expires_at"] = more["expires_at"]
    return found


def _changed(settings: Settings, action: str, name: str, fields: dict[str, Any]) -> KeyView:
    """Write these fields of a key; the audit calls it ``action``. Raises CommandFault."""
    with changing(settings) as conn:
        key_named(conn, name)
        written(conn, lambda inside: keys.change(inside, name, **fields), _audited(action, name))
        return _view(conn, name, time.time_ns() // 1000)


def _view(conn: Connection, name: str, now: int) -> KeyView:
    key = key_named(conn, name)
    return views([key], keys.every(conn)[1], now)[0]


def _audited(action: str, name: str) -> Audited:
    """What the audit says of a change of this key."""

    def look(conn: Connection) -> KeyView | None:
        """The key as people may see it."""
        found = views(*keys.every(conn), time.time_ns() // 1000)
        return next((one for one in found if one.name == name), None)

    return Audited(action, "key", name, look)


def _strangers(settings: Settings, patterns: tuple[str, ...]) -> list[str]:
    """A note for each pattern that fits nothing that is known here; a model may be newer than the catalog."""
    if not patterns:
        return []
    known = [route.name for route in settings.routes]
    known += [name for card in Catalog.load().cards for name in (card.id, *card.aliases)]
    return [f"Note: {one}" for one in access.strangers(patterns, known)]


def _hand_over(
    settings: Settings, view: KeyView, secret: str, lines: list[str], notes: list[str], more: dict[str, Any]
) -> None:
    """Print a secret: with words around it, alone, or in JSON."""
    if more["as_json"]:
        click.echo(json.dumps({**msgspec.to_builtins(view), "secret": secret}))
        return
    if more["quiet"]:
        click.echo(secret)
        return
    places = "as x-goog-api-key, as Authorization: Bearer, or as ?key="
    if settings.upstream.credentials == "client":
        places = "as x-gemgate-key, beside their own Google key"
    after = [f"Clients send it {places}. A gateway that runs knows it within a second."]
    for text in [*lines, f"  {secret}", "", *after, *notes]:
        click.echo(text)


def _print(view: KeyView, lines: list[str], as_json: bool) -> None:
    for text in [json.dumps(msgspec.to_builtins(view))] if as_json else lines:
        click.echo(text)
