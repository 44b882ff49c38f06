"""`gemgate advice`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from gemgate.cli.faults import CommandFault
from gemgate.cli.keeping import changing
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.cli.screen import screen
from gemgate.cli.shown import moment, plain
from gemgate.config import Settings
from gemgate.core.pricing import BadBook
from gemgate.insight.advice.findings import Finding
from gemgate.insight.advice.study import KINDS
from gemgate.jobs import advice
from gemgate.store import evidence, reports
from gemgate.store.evidence import Run


@click.command("advice")
@common
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only this kind. Repeatable.")
@click.option("--key", metavar="NAME", help="Only findings on this virtual key.")
@click.option("--refresh", is_flag=True, help="Look over the record now instead of showing the last run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in µs, money in nano-dollars.")
def command(
    data: Path | None, config: Path | None, kinds: tuple[str, ...], key: str | None, **more: bool
) -> None:
    """Show what could cost less on your own record, with the evidence, and what will end.

    The console looks for it once an hour in up to 200,000 calls spread over 30 days. Money is what 30 days would cost
    less at today's prices; two findings may save the same money, so do not add them up.
    """
    settings = settings_of(config, data)
    run = _run(settings, refresh=more["refresh"])
    found = [one for one in run.findings if (not kinds or one.kind in kinds) and key in (None, one.key)]
    if more["as_json"]:
        click.echo(msgspec.json.encode(msgspec.structs.replace(run, findings=found)).decode())
        return
    console = screen()
    for one in found:
        _show(console, one)
    console.print(
        Text(
            f"{len(found)} finding{'s' if len(found) != 1 else ''} in {run.calls:,} calls "
            f"from {moment(run.since)} on, as of {moment(run.as_of)} (this machine's time).",
            style="dim",
        )
    )


def _run(settings: Settings, *, refresh: bool) -> Run:
    """The last run, or a new one: kept when it was asked for."""
    now = time.time_ns() // 1000
    try:
        with opened(settings) as conn:
            found = None if refresh else evidence.last(conn)
            if found is not None and found.calls:
                return found
            with _progress(min(evidence.MOST, reports.latest(conn))) as said:
                found = advice.study(conn, settings, now, said)
    except (BadBook, OSError) as error:
        raise CommandFault(str(error)) from None
    if refresh:
        with changing(settings) as conn:
            advice.keep(conn, found)
    return found


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("Looking over calls"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda more: bar.advance(task, more)


def _show(console: Console, one: Finding) -> None:
    money = "" if one.nano_per_month is None else f"${one.nano_per_month / 1e9:,.2f} a month"
    console.print(Text.assemble((plain(one.title), "bold"), ("  " + money if money else "", "green")))
    console.print(Text(plain(one.sentence)))
    sample = (
        f"{one.evidence.calls:,} calls, such as {', '.join(one.evidence.ids[:2])}. {one.evidence.computed}"
    )
    for name, text in (("Evidence", sample), ("Risk", one.risk), ("Try", one.try_it)):
        console.print(Text.assemble((f"{name}: ", "dim"), plain(text)))
    console.print()
