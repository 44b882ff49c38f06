"""What administrators stored beside gemgate.toml: routes, limits, prices, paused projects; and the snapshot of both.

Laws:

- a snapshot is made of one configuration and one look at the store, and swapped whole;
- what cannot be meant (the file has it too, its project is gone, its price overlaps nothing that may give way) is
  left out with its reason, and stops nothing;
- ``read`` is one look inside the caller's read transaction; ``build`` takes no time of the event loop's where it is
  called in a thread.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import msgspec

from gemgate.config import Project, Settings
from gemgate.config.stored import Around, join_limits, join_routes
from gemgate.core import dated
from gemgate.core.catalog import Catalog
from gemgate.core.pricing import PriceBook
from gemgate.core.quota import Limits
from gemgate.gateway.snapshot import Snapshot
from gemgate.store import revisions, stored_limits, stored_prices, stored_routes

log = logging.getLogger("gemgate.gateway")

Rows = TypeVar("Rows")


class Stored(NamedTuple):
    """What the store holds, as of one revision (-1: it was never read). ``bad`` is what of it cannot be read."""

    number: int = -1
    routes: Sequence[tuple[str, dict[str, Any] | None]] = ()
    limits: Sequence[tuple[str, str, Limits]] = ()
    prices: Sequence[dict[str, Any]] = ()
    paused: frozenset[str] = frozenset()
    bad: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Configured:
    """What the configuration says alone. ``upstream`` overrides its base URL; ``demo`` is the simulator's project."""

    settings: Settings
    book: PriceBook
    upstream: str
    demo: Project | None
    catalog: Catalog

    @property
    def projects(self) -> tuple[Project, ...]:
        """The projects in force."""
        return (self.demo,) if self.demo is not None else self.settings.projects


def read(conn: sqlite3.Connection) -> Stored:
    """All that is stored. Raises sqlite3.Error where the record cannot be read, not for what stands in a row."""
    bad: list[tuple[str, str]] = []

    def every(kind: str, look: Callable[[sqlite3.Connection], Collection[Rows]]) -> Collection[Rows]:
        """The rows of one kind; none where the name of one of them is damaged."""
        try:
            return look(conn)
        except (msgspec.MsgspecError, TypeError, ValueError, sqlite3.OperationalError) as error:
            if getattr(error, "sqlite_errorcode", None) is not None:
                raise  # SQLite's own fault has a code; a text that is none is found by Python
            bad.append((kind, f"one of them cannot be read: {error}"))
            return []

    limits: list[tuple[str, str, Limits]] = []
    for project, model, one in every("limits", stored_limits.every):
        if one is None:
            bad.append((f"limits of {model} on {project}", dated.UNREADABLE))
        else:
            limits.append((project, model, one))
    return Stored(
        revisions.number(conn, revisions.ROUTING),
        [(one.name, one.body) for one in every("routes", stored_routes.every)],
        limits,
        list(every("prices", stored_prices.every)),
        frozenset(every("pauses", stored_routes.paused)),
        tuple(bad),
    )


def build(configured: Configured, stored: Stored, before: Snapshot | None = None) -> Snapshot:
    """The snapshot of a configuration and of what is stored beside it.

    Some milliseconds for each stored price, unless the book is that of ``before``: it is taken over then.
    """
    settings, catalog = configured.settings, configured.catalog
    projects, no_limits = join_limits(configured.projects, stored.limits, catalog)
    around = Around(configured.projects, settings.routing, catalog)
    routes, no_routes = join_routes(settings.routes, stored.routes, around)
    ground = (configured.book, stored.prices)
    if before is not None and before.priced[0] is configured.book and before.priced[1] == stored.prices:
        book, no_prices = before.book, before.priced[2]
    else:
        book, no_prices = dated.joined(*ground)
    demo = projects[0] if configured.demo is not None else None
    if demo is None:
        settings = replace(settings, projects=projects)
    made = Snapshot(replace(settings, routes=routes), book, configured.upstream, demo, catalog)
    made.paused = stored.paused
    made.revision = stored.number
    made.priced = (*ground, no_prices)
    made.left_out = {
        **dict(stored.bad),
        **{f"route {name}": why for name, why in no_routes.items()},
        **{f"limits of {name}": why for name, why in no_limits.items()},
        **{f"price {name}": why for name, why in no_prices.items()},
    }
    return made


def tell(snapshot: Snapshot, before: Snapshot | None) -> None:
    """Name in the log what a snapshot leaves out and the one before it did not."""
    known = before.left_out if before is not None else {}
    for name, why in snapshot.left_out.items():
        if known.get(name) != why:
            log.error("the stored %s cannot be meant and is left out: %s", name, why)
