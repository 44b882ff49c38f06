"""`gemgate admin-token`: who may use the console, made, shown and switched off.

A token is printed when it is made, and never again: the store has its hash alone.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from gemgate.cli.faults import CommandFault, missing
from gemgate.cli.keeping import Audited, changing, written
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import Column, screen, table
from gemgate.cli.shown import moment
from gemgate.cli.values import End, Name
from gemgate.store import tokens
from gemgate.store.connection import Connection
from gemgate.store.tokens import Token

_COLUMNS = (
    Column("name", folds=True),
    Column("state"),
    Column("role"),
    Column("bodies", leaves=2),
    Column("made", leaves=3),
    Column("expires", leaves=1),
    Column("token", leaves=4),
)
_MAKE = "Make one with `gemgate admin-token create NAME --role viewer`."


@click.group("admin-token")
def command() -> None:
    """Make and manage admin tokens: who may use the console.

    While none was ever made, the console answers whoever is on this machine, as an administrator. From the first one
    on it asks for a token, also when all are disabled.
    """


@command.command("create")
@common
@click.option(
    "--role",
    type=click.Choice(tokens.ROLES),
    required=True,
    help="viewer reads, operator also asks models and makes exports, admin also changes.",
)
@click.option("--payloads", is_flag=True, help="It may also read stored bodies of calls.")
@click.option(
    "--expires", "expires_at", type=End(), default=0, metavar="WHEN", help="30d, or a date. Default: never."
)
@click.option("--quiet", is_flag=True, help="Print the token alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in µs, 0 for never.")
@click.argument("name", type=Name())
def create(data: Path | None, config: Path | None, name: str, **more: Any) -> None:
    """Make a token, and print it: once."""
    settings = settings_of(config, data)
    secret = tokens.mint(os.urandom(32))
    wanted = Token(
        name=name,
        role=more["role"],
        payloads=more["payloads"],
        created_at=time.time_ns() // 1000,
        expires_at=more["expires_at"],
    )
    if name in tokens.RESERVED or ":" in name:
        raise CommandFault(f"A token is not named {name}: the audit calls others so. Choose another name.")
    with changing(settings) as conn:
        first = not tokens.made(conn)
        try:
            made = written(
                conn, lambda inside: tokens.create(inside, wanted, secret), _audited("create", name)
            )
        except tokens.Exists:
            raise CommandFault(
                f"A token is named {name} already. Choose another name: a token is never made anew."
            ) from None
    if more["as_json"]:
        click.echo(json.dumps({**msgspec.to_builtins(made), "token": secret}))
        return
    if more["quiet"]:
        click.echo(secret)
        return
    lines = [f"The token {name} is made ({made.role}). It is not shown again:", "", f"  {secret}", ""]
    lines.append("Programs send it as Authorization: Bearer, or as x-gemgate-token.")
    if first:
        lines.append("It is the first token: from now on the console asks for one.")
    for line in lines:
        click.echo(line)


@command.command("list")
@common
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; times in µs, 0 for never.")
def list_(data: Path | None, config: Path | None, as_json: bool) -> None:
    """Show the tokens."""
    with opened(settings_of(config, data)) as conn:
        found = tokens.every(conn)
    if as_json:
        for one in found:
            click.echo(json.dumps(msgspec.to_builtins(one)))
        return
    out = screen()
    if found:
        now = time.time_ns() // 1000
        out.print(table(_COLUMNS, [_cells(one, now) for one in found], out.width))
    else:
        out.print(f"There is no admin token: the console is open on this machine. {_MAKE}")


@command.command("disable")
@common
@click.argument("name")
def disable(data: Path | None, config: Path | None, name: str) -> None:
    """Switch a token off: the next request with it is refused."""
    with changing(settings_of(config, data)) as conn:
        _known(conn, name)
        now = time.time_ns() // 1000
        written(conn, lambda inside: tokens.disable(inside, name, now), _audited("disable", name))
    click.echo(f"The token {name} is disabled. `gemgate admin-token enable {name}` switches it on again.")


@command.command("enable")
@common
@click.argument("name")
def enable(data: Path | None, config: Path | None, name: str) -> None:
    """Switch a token on again that was disabled."""
    with changing(settings_of(config, data)) as conn:
        _known(conn, name)
        _, token = written(conn, lambda inside: tokens.enable(inside, name), _audited("enable", name))
    text = f"The token {name} is enabled."
    if token.expires_at and token.expires_at <= time.time_ns() // 1000:
        text += f" But it expired on {moment(token.expires_at)}: make another."
    click.echo(text)


def _audited(action: str, name: str) -> Audited:
    return Audited(action, "admin_token", name, lambda conn: _found(conn, name))


def _found(conn: Connection, name: str) -> Token | None:
    return next((one for one in tokens.every(conn) if one.name == name), None)


def _known(conn: Connection, name: str) -> None:
    """Raise CommandFault with the near names when there is no such token."""
    if _found(conn, name) is None:
        raise missing("admin token", name, [one.name for one in tokens.every(conn)], _MAKE)


def _cells(token: Token, now: int) -> list[str]:
    state = "in force"
    if token.disabled_at:
        state = "disabled"
    elif token.expires_at and token.expires_at <= now:
        state = "expired"
    return [
        token.name,
        state,
        token.role,
        "may read" if token.payloads else "",
        moment(token.created_at)[:16],
        moment(token.expires_at)[:16] if token.expires_at else "",
        token.hint,
    ]
