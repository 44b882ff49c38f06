"""`gemgate export`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.insight import spans
from gemgate.insight.cubes import DIMENSIONS
from gemgate.insight.plan import TooMuch
from gemgate.jobs import exporting
from gemgate.jobs.exporting import ENDINGS, Asked
from gemgate.store.exports import COLUMNS, WHAT, Sums
from gemgate.store.reports.listing_terms import NAMES, Wanted

_FILTERS = tuple(dict.fromkeys([*NAMES, "model", "tag"]))


@click.command("export")
@common
@click.argument("what", type=click.Choice(WHAT))
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File; default: stdout."
)
@click.option(
    "--format", "form", type=click.Choice(list(ENDINGS)), help="Default: the file's ending, else csv."
)
@click.option("--columns", default="", metavar="A,B", help="Only these columns, in this order.")
@click.option(
    "--from", "since", default="", metavar="WHEN", help="-7d, a date, ISO 8601 (sums: default -30d)."
)
@click.option("--to", "until", default="", metavar="WHEN", help="Up to then, itself not in it. Default: now.")
@click.option("--zone", default="UTC", metavar="ZONE", help="IANA zone of dates and of the days of sums.")
@click.option("--step", type=click.Choice(spans.STEPS), default="day", help="Sums: how the span is cut.")
@click.option("--group", type=click.Choice(DIMENSIONS), multiple=True, help="Sums: by this (twice: by both).")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only these, such as key=alice; repeat for more.",
)
def command(data: Path | None, config: Path | None, what: str, **more: Any) -> None:
    """Write calls, their tries (attempts), charges for rare kinds, or sums (usage, costs, errors, fallbacks).

    The rows are those on record when it begins. In CSV a text that a spreadsheet would take for a formula has an
    apostrophe before it. A file is there under its name once it is whole.
    """
    output: Path | None = more["output"]
    form = more["form"] or (output.suffix[1:].lower() if output is not None else "")
    asked = _asked(what, form if form in ENDINGS else "csv", more)
    if asked.format == "parquet" and not exporting.has_parquet():
        raise CommandFault(exporting.NEEDS)
    if output is None and asked.format == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is no text: name a file with --output.")
    with opened(settings_of(config, data)) as conn, _sink(output) as sink, _progress() as told:
        try:
            rows = exporting.write(conn, asked, sink, told)
        except TooMuch as much:
            raise CommandFault(f"{much}.") from None
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if output is not None:
        click.echo(f"{rows:,} rows in {output}", err=True)


def _asked(what: str, form: str, more: dict[str, Any]) -> Asked:
    """What is asked. Raises UsageError."""
    now = time.time_ns() // 1000
    filters = _filters(more["filters"])
    columns = tuple(name.strip() for name in more["columns"].split(",") if name.strip())
    try:
        if what in COLUMNS:
            if more["group"]:
                raise click.UsageError("Single calls are not grouped; export usage or costs.")
            ends = [
                spans.moment(more[name], word, more["zone"], now) if more[name] else None
                for name, word in (("since", "--from"), ("until", "--to"))
            ]
            strange = filters.keys() - set(_FILTERS)
            if strange:
                raise click.UsageError(f"Calls are narrowed by {', '.join(_FILTERS)}.")
            wanted = Wanted(start=ends[0], until=ends[1], names=filters)
            return Asked(what=what, format=form, columns=columns, wanted=wanted)
        span = spans.read(
            more["since"] or "-30d", more["until"] or "now", zone=more["zone"], step=more["step"], now=now
        )
        if filters.keys() - set(DIMENSIONS) or len(set(more["group"])) > 2:
            raise click.UsageError(
                f"Sums are narrowed by {', '.join(DIMENSIONS)}, and grouped by two at most."
            )
    except spans.BadAsk as bad:
        raise click.UsageError(str(bad)) from None
    groups = tuple(dict.fromkeys(more["group"]))
    sums = Sums(
        bounds=tuple(spans.buckets(span)), zone=span.zone, dimensions=groups, filters=filters, now=now
    )
    return Asked(what=what, format=form, columns=columns, sums=sums)


def _filters(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"Write a filter as NAME=VALUE, not {text!r}.")
        found[name] = (*found.get(name, ()), value)
    return found


@contextlib.contextmanager
def _sink(output: Path | None) -> Iterator[IO[bytes]]:
    """Where the rows go: stdout, or a file that gets its name at the end."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = output.with_name(output.name + ".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as sink:
            yield sink
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _progress() -> Iterator[exporting.Told]:
    """A bar on stderr, where somebody looks at it."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield lambda done, total: None
        return
    parts = (TextColumn("looked at"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=screen, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
