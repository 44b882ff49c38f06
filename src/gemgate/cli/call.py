"""`gemgate call`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.shown import iso, moment
from gemgate.store import reports
from gemgate.store.connection import reading
from gemgate.store.reports import CallRow
from gemgate.store.reports.story import story


@click.command("call")
@common
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in µs, money in nano-dollars.")
@click.argument("call_id", metavar="ID")
def command(data: Path | None, config: Path | None, call_id: str, as_json: bool) -> None:
    """Tell the story of one call: each try, why there, what it met, and what followed.

    ID is what an answer carries in x-gemgate-call, or its beginning as `gemgate calls` shows it.
    """
    with opened(settings_of(config, data)) as conn, reading(conn):
        row = _one(reports.find(conn, _digits(call_id)), call_id)
        tries = reports.attempts(conn, row.seq)
    if as_json:
        found = {"time": iso(row.received_at), **msgspec.to_builtins(row)}
        click.echo(json.dumps(found | {"tries": msgspec.to_builtins(tries)}))
        return
    for text in story(row, tries, moment(row.received_at)):
        click.echo(text)


def _digits(text: str) -> str:
    plain_text = text.replace("-", "").strip().lower()
    if not plain_text or len(plain_text) > 32 or set(plain_text) - set("0123456789abcdef"):
        raise click.BadParameter("a call id has up to 32 hexadecimal digits, like 01a20897-0dfa-7487.")
    return plain_text


def _one(found: list[CallRow], text: str) -> CallRow:
    if not found:
        raise CommandFault(f"No call begins with {text}. `gemgate calls` lists what is recorded.")
    if len(found) > 1:
        some = ", ".join(row.call_id for row in found[:5])
        raise CommandFault(
            f"{text} begins several calls: {some}{' …' if len(found) > 5 else ''}. Give more of it."
        )
    return found[0]
