"""`gemgate rollup`: the sums of calls that reports read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gemgate.cli import keeping
from gemgate.cli.keeping import changing
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import Column, screen, table
from gemgate.insight.cubes import SETS
from gemgate.insight.plan import MOST_FOLDED
from gemgate.store import rollups, sizes
from gemgate.store.connection import Connection, reading

_COLUMNS: Final = (
    Column("SET"),
    Column("UP TO CALL", right=True),
    Column("CALLS BEHIND", right=True),
    Column("LAG", right=True),
)


@click.group("rollup")
def command() -> None:
    """See how far the sums of calls are, or make them anew.

    Reports read sums instead of millions of calls. The console brings them forward every second; calls that are
    not in them yet are read one by one, so that reports are right at any time. `gemgate verify` compares sums and
    calls.
    """


@command.command("status")
@common
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each set of sums.")
def status(data: Path | None, config: Path | None, as_json: bool) -> None:
    """Show up to which call each set of sums goes.

    A set that is being made anew has no mark until it is empty.
    """
    with opened(settings_of(config, data)) as conn, reading(conn):
        found = sizes.marks(conn, _now())
    if as_json:
        for one in found:
            click.echo(json.dumps({"set": one.name, "mark": one.seq, "behind": one.behind, "lag": one.lag}))
        return
    rows = [
        (
            one.name,
            "being emptied" if one.seq == rollups.EMPTYING else f"{one.seq:,}",
            f"{one.behind:,}",
            _spoken(one.lag),
        )
        for one in found
    ]
    out = screen()
    out.print(table(_COLUMNS, rows, out.width))


@command.command("rebuild")
@common
@click.option("--yes", is_flag=True, help="Do not ask.")
def rebuild(data: Path | None, config: Path | None, yes: bool) -> None:
    """Make all sums anew from the calls.

    Nothing of the record is lost. Until the sums are there again, reports over few calls read the calls themselves,
    and larger ones are refused. Beside a running gateway this writes in short slices with pauses; without one it is
    quicker. When it is interrupted, the console goes on with it.
    """
    settings = settings_of(config, data)
    if not yes:
        refused = f"Reports over more than {MOST_FOLDED:,} calls are refused meanwhile."
        click.confirm(f"{refused} Go on?", abort=True)
    with changing(settings) as conn, keeping.alone(settings) as alone:
        rollups.reset(conn)
        begun = time.monotonic()
        _fill(conn, alone=alone)
        calls = sizes.calls(conn)
    click.echo(f"The sums of {calls:,} calls are made anew ({time.monotonic() - begun:,.1f} s).")


def _fill(conn: Connection, *, alone: bool) -> None:
    """Bring all sets to the newest call."""
    folder = rollups.Folder(conn, quick=alone)
    console = Console(stderr=True)
    columns = (TextColumn("Summing"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("Summing", total=None)
        more = True

        def told() -> bool:
            """Show how far it is."""
            marks = rollups.marks(conn).values()
            top = rollups.newest(conn)
            bar.update(task, total=top * len(SETS) or None, completed=sum(max(mark, 0) for mark in marks))
            return True

        while more:
            more = folder.round(tuple(SETS), _now(), told)


def _spoken(micros: int) -> str:
    """A span in the largest unit of which it has two or more."""
    seconds = micros / 1_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size):,} {unit}"
    return f"{seconds:,.1f} s"


def _now() -> int:
    return time.time_ns() // 1000
