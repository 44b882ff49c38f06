"""`gemgate seed`."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gemgate.cli import keeping
from gemgate.cli.faults import CommandFault
from gemgate.cli.keeping import changing, written
from gemgate.cli.options import common, settings_of
from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.core.pricing import BadBook, PriceBook
from gemgate.insight import seeding, traces
from gemgate.insight.seeding import Pattern, Plan
from gemgate.insight.traces import Trace
from gemgate.store import seeds
from gemgate.store.connection import Connection

_DAY = 86_400_000_000
_MOST = 200_000_000
Said = Callable[[int], None]


@click.command("seed")
@common
@click.option(
    "--calls", type=click.IntRange(1, _MOST), default=10_000, show_default=True, help="How many calls."
)
@click.option(
    "--days",
    type=click.FloatRange(0.01, 400),
    default=30.0,
    show_default=True,
    help="Over how many days, up to now.",
)
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Arrival times, token lengths and clients from a CSV file: offset_s, or timestamp and requests.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another number makes another record.")
@click.option("--remove", is_flag=True, help="Take out everything that was ever seeded.")
def command(
    data: Path | None, config: Path | None, calls: int, days: float, trace: Path | None, **more: object
) -> None:
    """Fill the store with a realistic record, for trials, demos and benchmarks.

    The calls are marked: they belong to a boot on the node `seed`, to keys that nobody can hold and to projects
    that begin with `seed-`; they cost nothing and reach nobody. Beside a running gateway they are written in
    short slices; without one it goes about three times as fast.
    """
    settings = settings_of(config, data)
    if more["remove"]:
        _remove(settings)
        return
    now = time.time_ns() // 1000
    plan = Plan(calls=calls, since=now - int(days * _DAY), until=now, seed=int(str(more["seed"])))
    try:
        book = load_book(settings.prices.file)
        found = None if trace is None else _trace(trace)
    except (BadBook, OSError) as error:
        raise CommandFault(str(error)) from None
    with changing(settings) as conn, keeping.alone(settings) as alone, _progress("Seeding", calls) as said:
        _sow(conn, (plan, found, book), said, alone=alone)
    click.echo(
        f"{calls:,} calls over {days:g} days are seeded. `gemgate seed --remove` takes them out again."
    )


def _trace(path: Path) -> Trace:
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return traces.read(lines)
    except (traces.BadTrace, UnicodeDecodeError) as error:
        raise CommandFault(f"{path} is no trace: {error}.") from None


def _sow(conn: Connection, what: tuple[Plan, Trace | None, PriceBook], said: Said, *, alone: bool) -> None:
    """Write a plan's calls. Whatever takes long is worked out between the transactions."""
    plan, trace, book = what
    seeds.prepare(conn, alone=alone)
    pool = seeding.pool(plan, trace, book, plan.since)
    sower = written(conn, lambda inside: seeds.begin(inside, plan, book, seeding.keys(pool), plan.until))
    size = seeds.BATCH if alone else seeds.SLICE
    bounds = [*seeding.bounds(book, plan), plan.until]
    _learn(conn, sower, pool, alone=alone)
    arrivals = seeding.arrivals(plan, trace, pool)
    while batch := list(itertools.islice(arrivals, size)):
        while batch:
            now = [one for one in batch if one[0] < bounds[0]]
            if now:
                seeds.once(conn, partial(sower.write, arrivals=now), alone=alone)
                said(len(now))
            batch = batch[len(now) :]
            if batch:
                # A price begins or ends here: the same patterns, priced anew.
                pool = seeding.pool(plan, trace, book, bounds.pop(0))
                sower.clear()
                _learn(conn, sower, pool, alone=alone)
    if alone:
        seeds.settle_down(conn)


def _learn(conn: Connection, sower: seeds.Sower, pool: list[Pattern], *, alone: bool) -> None:
    size = len(pool) if alone else seeds.SLICE // 2
    for place in range(0, len(pool), size):
        seeds.once(conn, partial(sower.learn, patterns=pool[place : place + size]), alone=alone)


def _remove(settings: Settings) -> None:
    with changing(settings) as conn, keeping.alone(settings) as alone:
        found = seeds.every(conn)
        if not found:
            click.echo("Nothing is seeded here.")
            return
        seeds.prepare(conn, alone=alone)
        size = seeds.BATCH if alone else seeds.SLICE
        with _progress("Removing", sum(one.high - one.low + 1 for one in found)) as said:
            for one in found:
                before, left = one.high - one.low + 1, 1
                while left:
                    left = _removed(conn, one, size, alone=alone)
                    said(before - left)
                    before = left
        if alone:
            seeds.settle_down(conn)
    calls = sum(one.calls for one in found)
    click.echo(f"{calls:,} seeded calls are removed. The console makes the sums of reports anew.")


def _removed(conn: Connection, one: seeds.Seeded, size: int, *, alone: bool) -> int:
    left: list[int] = []
    seeds.once(conn, lambda inside: left.append(seeds.remove(inside, one, size)), alone=alone)
    return left[0]


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Said]:
    """A bar on a terminal; what is given is told how much more was done."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)
