"""`gemgate events`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import Column, screen, table
from gemgate.cli.shown import Since, brief, iso, plain
from gemgate.store import events

_COLUMNS = (
    Column("at"),
    Column("kind"),
    Column("of", folds=True),
    Column("what happened", folds=True),
)


@click.command("events")
@common
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, help="How many, the newest first.")
@click.option(
    "--since", type=Since(), default=0, metavar="WHEN", help="Only from then on: 30m, 1h, 2d, or ISO."
)
@click.option("--kind", default="", metavar="KIND", help="Only this kind, such as budget_spent.")
@click.option("--of", "subject", default="", metavar="NAME", help="Only of this budget or key.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(data: Path | None, config: Path | None, **more: Any) -> None:
    """Show what people should hear of: budgets at their soft line or spent, keys that run away.

    Kinds: budget_soft, budget_spent, runaway_spend (a key spends far above its own past), runaway_repeat (the same
    call again and again).
    """
    with opened(settings_of(config, data)) as conn:
        found = events.newest(conn, more["since"], more["limit"], more["kind"], more["subject"])
    if more["as_json"]:
        for event in found:
            click.echo(
                json.dumps(
                    {
                        "at": iso(event.at),
                        "kind": event.kind,
                        "subject": event.subject,
                        "sentence": event.sentence,
                    }
                )
            )
        return
    out = screen()
    if not found:
        out.print("Nothing of this happened.")
        return
    now = time.time_ns() // 1000
    rows = [
        [brief(event.at, now), event.kind, plain(event.subject), plain(event.sentence)] for event in found
    ]
    out.print(table(_COLUMNS, rows, out.width))
