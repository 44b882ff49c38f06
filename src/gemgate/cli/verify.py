"""`gemgate verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.shown import plain
from gemgate.store import reports
from gemgate.store.verify import MOST, verify


@click.command("verify")
@common
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each finding.")
@click.pass_context
def command(ctx: click.Context, /, data: Path | None, config: Path | None, as_json: bool) -> None:
    """Prove that the record is whole and its sums are true.

    The file is sound; each call's tokens and money are the sums of its attempts'; each attempt's money follows
    from its tokens and its price row; nothing was left open by a dead process. Exit code 1, with what is wrong,
    when that does not hold. It may run beside the gateway.
    """
    settings = settings_of(config, data)
    with opened(settings) as conn:
        newest = reports.latest(conn)
        found = verify(conn, settings.data)
    for one in found:
        text = json.dumps(one._asdict()) if as_json else plain(f"{one.kind:<10} {one.where}: {one.what}")
        click.echo(text)
    if found and not as_json:
        more = "at least " if len(found) >= MOST else ""
        click.echo(
            f"The record does not hold: {more}{len(found)} fault{'s' if len(found) > 1 else ''}.", err=True
        )
    elif not as_json:
        click.echo(f"The record holds: the file is whole, and every sum up to call number {newest} is true.")
    ctx.exit(1 if found else 0)
