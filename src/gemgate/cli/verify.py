"""`gemgate verify`."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.shown import plain
from gemgate.store import reports
from gemgate.store.verify import MOST, STEPS, verify

_PATIENCE: Final = 1.0  # seconds without a bar


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int], None]]:
    """What hears of the steps and shows them on a terminal, once they take longer than a moment."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: None
        return
    columns = (TextColumn("Looking at {task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(STEPS[0], total=len(STEPS))
    # SQLite's own check is one long statement, so somebody else must look at the clock.
    late = threading.Timer(_PATIENCE, bar.start)
    late.start()
    try:
        yield lambda step: bar.update(task, completed=step, description=STEPS[step])
    finally:
        late.cancel()
        late.join()
        if bar.live.is_started:
            bar.stop()


@click.command("verify")
@common
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each finding.")
@click.pass_context
def command(ctx: click.Context, /, data: Path | None, config: Path | None, as_json: bool) -> None:
    """Prove that the record is whole and its sums are true.

    The file is sound; each call's tokens and money are the sums of its attempts'; each attempt's money follows
    from its tokens and its price row; the sums that reports read (`gemgate rollup`) are those of the calls; nothing
    was left open by a dead process. Exit code 1, with what is wrong,
    when that does not hold. It may run beside the gateway.
    """
    settings = settings_of(config, data)
    with opened(settings) as conn:
        newest = reports.latest(conn)
        with _bar() as told:
            found = verify(conn, settings.data, told=told)
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
