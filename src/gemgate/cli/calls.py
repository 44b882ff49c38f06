"""`gemgate calls`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from gemgate.cli.keyview import key_named
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import Column, screen, table, width_of
from gemgate.cli.shown import Since, brief, dollars, iso, moment, plain, span
from gemgate.cli.values import Label
from gemgate.core.call import Outcome
from gemgate.store import reports
from gemgate.store.connection import Connection, reading
from gemgate.store.reports import CallRow, Filter

PAUSE = 0.3  # seconds between looks for new calls
PAGE = 500  # rows that one read transaction takes
SHORT = 18  # digits of a call id that tell it from its neighbours: its time to the microsecond

STYLES = {
    "ok": "green",
    "refused": "yellow",
    "failed": "red",
    "cut": "red",
    "cancelled": "dim",
    "interrupted": "red",
}

COLUMNS = (
    Column("time"),
    Column("call"),
    Column("outcome"),
    Column("status", right=True, leaves=3),
    Column("method", folds=True, leaves=7),
    Column("model", folds=True),
    Column("key", folds=True, leaves=9),
    Column("user", folds=True, leaves=12),
    Column("tags", folds=True, leaves=13),
    Column("tries", right=True, leaves=6),
    Column("input", right=True, leaves=2),
    Column("cached", right=True, leaves=11),
    Column("output", right=True, leaves=1),
    Column("billed", right=True),
    Column("list", right=True, leaves=10),
    Column("first byte", right=True, leaves=8),
    Column("took", right=True, leaves=5),
    Column("why", folds=True, leaves=4),
)


@click.command("calls")
@common
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=20, metavar="N", help="How many. Default: 20."
)
@click.option("--model", default="", metavar="NAME", help="Only calls that asked for this model.")
@click.option("--status", type=click.IntRange(100, 599), metavar="N", help="Only this HTTP status.")
@click.option(
    "--outcome",
    type=click.Choice([str(one) for one in Outcome]),
    help="Only calls that ended so.",
)
@click.option(
    "--since", type=Since(), default=0, metavar="WHEN", help="Only from then on: 30m, 1h, 2d, or ISO."
)
@click.option("--key", default="", metavar="NAME", help="Only calls with this virtual key.")
@click.option("--tag", type=Label(lower=True), metavar="TAG", help="Only calls with this tag.")
@click.option("--user", default="", metavar="NAME", help="Only calls on behalf of this user.")
@click.option("--follow", is_flag=True, help="Go on with new calls as they are recorded, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line; times in µs, money in nano-dollars."
)
def command(data: Path | None, config: Path | None, **more: Any) -> None:
    """Show the newest calls, newest first (with --follow: newest last).

    A narrow terminal leaves columns out; `gemgate call ID` and --json have everything.
    """
    which = Filter(
        model=more["model"],
        outcome=more["outcome"] or "",
        status=more["status"] or 0,
        since=more["since"],
        key=more["key"],
        tag=more["tag"] or "",
        user=more["user"],
    )
    with opened(settings_of(config, data)) as conn:
        if which.key:
            key_named(conn, which.key)
        if more["follow"]:
            for row in followed(conn, which, more["limit"]):
                click.echo(as_json(row) if more["as_json"] else line(row))
        elif more["as_json"]:
            for row in pages(conn, which, more["limit"]):
                click.echo(as_json(row))
        else:
            _show(list(pages(conn, which, more["limit"])), which == Filter())


def pages(conn: Connection, which: Filter, limit: int) -> Iterator[CallRow]:
    """The newest calls first, read in pages: no read transaction is long."""
    before = 0
    while limit > 0:
        with reading(conn):
            page = reports.newest(conn, which, min(limit, PAGE), before)
        yield from page
        if len(page) < min(limit, PAGE):
            return
        limit -= len(page)
        before = page[-1].seq


def followed(conn: Connection, which: Filter, limit: int) -> Iterator[CallRow]:
    """The newest calls in the order in which they were recorded, then new ones without end."""
    with reading(conn):
        seq = reports.latest(conn)
        known = reports.newest(conn, which, min(limit, PAGE), seq + 1)
    yield from reversed(known)
    while True:
        with reading(conn):
            fresh = reports.after(conn, which, seq, PAGE)
        yield from fresh
        if fresh:
            seq = fresh[-1].seq
        else:
            time.sleep(PAUSE)


def as_json(row: CallRow) -> str:
    """A call for programs."""
    return json.dumps({"time": iso(row.received_at), **msgspec.to_builtins(row)})


def line(row: CallRow) -> str:
    """A call in one line of fixed columns: its model, or its method where it names no model."""
    tokens = f"{row.input:>7} in {row.output + row.thoughts:>6} out"
    start = f"{moment(row.received_at)}  {row.call_id[:SHORT]}  {row.outcome:<11} {row.status}"
    what = model(row) or plain(row.method)
    return f"{start}  {tokens}  {billed(row):>12}  {span(row.duration):>8}  {what}  {why(row)}".rstrip()


def model(row: CallRow) -> str:
    """The model asked for, and the one that answered when it is another."""
    other = row.model_served and row.model_served != row.model
    return plain(f"{row.model} → {row.model_served}" if other else row.model)


def billed(row: CallRow) -> str:
    """What Google charges; ``~`` when part of it is estimated."""
    return ("~" if row.estimated else "") + dollars(row.billed_nano)


def why(row: CallRow) -> str:
    """The reason of an end that was not ok, else a finish reason worth a look."""
    return plain(
        row.reason or row.block or (row.finish if row.finish.lower() not in ("stop", "completed") else "")
    )


def _show(rows: list[CallRow], everything: bool) -> None:
    out = screen()
    if not rows:
        out.print("No calls are recorded yet." if everything else "No calls match.")
        return
    now = time.time_ns() // 1000
    cells = [_cells(row, moment(row.received_at)) for row in rows]
    if width_of(COLUMNS, cells, range(len(COLUMNS))) > out.width:
        cells = [_cells(row, brief(row.received_at, now)) for row in rows]
    out.print(table(COLUMNS, cells, out.width))


def _cells(row: CallRow, when: str) -> list[str | Text]:
    return [
        when,
        row.call_id[:SHORT],
        Text(row.outcome, style=STYLES.get(row.outcome, "")),
        str(row.status),
        plain(row.method),
        model(row),
        plain(row.key),
        plain(row.user),
        plain(", ".join(row.tags)),
        str(row.attempts) if row.attempts > 1 else "",
        str(row.input or ""),
        str(row.cached or ""),
        str(row.output + row.thoughts or ""),
        billed(row),
        dollars(row.list_nano) if row.list_nano != row.billed_nano else "",
        span(row.first_byte) if row.first_byte is not None else "",
        span(row.duration),
        why(row),
    ]
