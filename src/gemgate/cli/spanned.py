"""The options of every command that reports on a span of time, and the report that they ask for."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common, settings_of
from gemgate.cli.record import opened
from gemgate.insight import spans
from gemgate.insight.cubes import DIMENSIONS
from gemgate.insight.plan import TooMuch
from gemgate.store.connection import Connection, reading
from gemgate.store.reports.asked import Ask
from gemgate.store.reports.gathered import MOST_TOP

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")
_NAMES = ", ".join(DIMENSIONS)
_OPTIONS = (
    click.option(
        "--json", "as_json", is_flag=True, help="One JSON object; times in µs, money in nano-dollars."
    ),
    click.option(
        "--top",
        type=click.IntRange(1, MOST_TOP),
        default=10,
        show_default=True,
        help="The largest groups shown; the rest is told as others.",
    ),
    click.option("--compare", is_flag=True, help="Also tell of the span of the same length before."),
    click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Only this, like model=gemini-2.5-flash; `key=` is without a key. Repeatable. NAME: {_NAMES}.",
    ),
    click.option(
        "--group",
        type=click.Choice(DIMENSIONS),
        multiple=True,
        help="Group by this; given twice, by both together.",
    ),
    click.option(
        "--step",
        type=click.Choice(spans.STEPS),
        default="auto",
        show_default=True,
        help="How the series is cut; other than auto and none, it is told step by step.",
    ),
    click.option("--zone", default="UTC", show_default=True, help="Time zone, like Europe/Berlin."),
    click.option("--to", default="now", show_default=True, metavar="TIME", help="Where the span ends."),
    click.option(
        "--from",
        "--since",
        "since",
        default="-24h",
        show_default=True,
        metavar="TIME",
        help="Where the span begins: -24h, -7d, a date, or an ISO 8601 time (of the zone).",
    ),
)


def spanned(command: Command) -> Command:
    """Add the options of a span, its groups and its filters, and those that every command takes."""
    for option in _OPTIONS:
        command = option(command)
    return common(command)


def answered(report: Callable[[Connection, Ask], T], words: dict[str, Any]) -> T:
    """The report that the options of ``spanned`` ask for.

    Raises click.UsageError for a question that makes no sense, CommandFault for one that cannot be answered.
    """
    config: Path | None = words["config"]
    settings = settings_of(config, words["data"])
    try:
        ask = _ask(words, time.time_ns() // 1_000)
        with opened(settings) as conn:
            return _read(conn, report, ask)
    except spans.BadAsk as bad:
        # The option's own name; a filter by a dimension is none.
        option = bad.field if bad.field in ("from", "to", "zone", "step", "group", "top") else "filter"
        about = "" if option == bad.field or bad.field == "filter" else f" {bad.field}"
        raise click.UsageError(f"--{option}{about}: {bad.sentence}.") from None
    except TooMuch as much:
        raise CommandFault(
            f"This {str(much).removeprefix('this ')}. `gemgate rollup status` says how far the sums are."
        ) from None


def _ask(words: dict[str, Any], now: int) -> Ask:
    span = spans.read(words["since"], words["to"], zone=words["zone"], step=words["step"], now=now)
    return Ask(
        start=span.start,
        until=span.until,
        now=now,
        zone=span.zone,
        # Which step suits depends on the groups too, so the report chooses.
        step=words["step"],
        group=tuple(words["group"]),
        filters=_filters(words["filters"]),
        compare=words["compare"],
        top=words["top"],
    )


def _filters(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise spans.BadAsk("filter", f"{one[:60]!r} is no filter; write NAME=VALUE, like project=main")
        if value not in found.get(name, ()):
            found[name] = (*found.get(name, ()), value)
    return found


def _read(conn: Connection, report: Callable[[Connection, Ask], T], ask: Ask) -> T:
    try:
        with reading(conn):
            return report(conn, ask)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise CommandFault(
            "This takes longer than reports may read. Ask for a shorter span, fewer groups or a longer step."
        ) from None
