"""Looks over the record once an hour for what could cost less, and keeps what it finds.

A record that was small at the last run is looked over at every turn of the job: that is cheap, and a new one has
its first findings soon.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.core import dated
from gemgate.core.catalog import Catalog
from gemgate.core.pricing import PriceBook
from gemgate.insight.advice.findings import World
from gemgate.insight.advice.study import Study
from gemgate.jobs.context import Context
from gemgate.store import evidence, stored_prices
from gemgate.store.connection import Connection, reader, sliced, visitor
from gemgate.store.evidence import Run

PERIOD: Final = 300.0
"""Seconds between two turns of the job."""
_EVERY: Final = 3_500_000_000
_SMALL: Final = 5_000
DAYS: Final = 30
"""How far back a run looks, in days, unless the record or the sample ends before."""
_DAY: Final = 86_400_000_000
_LOOKS: Final = 500  # calls between two looks at whether to go on
_REST: Final = 0.01  # seconds that each look takes
Said = Callable[[int], None]


class Stopped(Exception):
    """The process is to end; what was found so far is dropped."""


def run(context: Context) -> str:
    """One turn of the job: nothing when the last run was within the hour and saw many calls."""
    now = time.time_ns() // 1000

    def said(_: int) -> None:
        """Give way to whoever asks the console something; stop when the process is to end."""
        if context.stopping.wait(_REST):
            raise Stopped

    with contextlib.closing(reader(context.database)) as conn:
        before = evidence.last(conn)
        if before is not None and before.calls >= _SMALL and 0 <= now - before.as_of < _EVERY:
            return ""
        try:
            found = study(conn, context.settings, now, said)
        except Stopped:
            return ""
    with contextlib.closing(visitor(context.database)) as conn:
        keep(conn, found)
    return f"Looked over {found.calls:,} calls; findings: {len(found.findings)}."


def study(
    conn: sqlite3.Connection,
    settings: Settings,
    now: int,
    said: Said | None = None,
    most: int = evidence.MOST,
) -> Run:
    """Look over the calls of the last 30 days at ``now`` (UTC µs), ``most`` of them at most. ``conn`` is a reader.

    ``said`` is told now and then how many more calls were looked at; what it raises ends the run. Raises BadBook,
    OSError for a price book that cannot be read.
    """
    since = evidence.begun(conn, now - DAYS * _DAY, now)
    sampled = evidence.chosen(conn, since, now, most, None if said is None else lambda: said(0))
    world = World(_book(conn, settings), Catalog.load(), evidence.budgeted(conn), (since, now, now), sampled)
    made = Study(world)
    for call in evidence.taken(conn, sampled):
        made.add(call)
        if said is not None and made.calls % _LOOKS == 0:
            said(_LOOKS)
    return Run(as_of=now, since=since, until=now, calls=made.calls, findings=made.findings())


def keep(conn: Connection, found: Run) -> None:
    """Put a run in the place of the last one, in a short transaction. ``conn`` is a visitor."""

    def step(inside: Connection) -> bool:
        """Write it."""
        evidence.keep(inside, found)
        return False

    sliced(conn, step)


def _book(conn: sqlite3.Connection, settings: Settings) -> PriceBook:
    """The prices in force: the package's, the user's file, and rows that were stored; bad ones are left out."""
    book, _ = dated.joined(load_book(settings.prices.file), stored_prices.every(conn))
    return book
