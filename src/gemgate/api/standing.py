"""How everything stands now, for the resources that tell of routes, models, projects and quotas."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flask import current_app

from gemgate.api import context
from gemgate.api.problems import Problem
from gemgate.config import Settings
from gemgate.config.running import answering, url_of
from gemgate.core.pricing import BadBook
from gemgate.gateway.outlook import Outlook, configured
from gemgate.gateway.stored import Configured
from gemgate.store.connection import Connection

_KEPT: Final = "gemgate_configured"


@contextlib.contextmanager
def looking() -> Iterator[tuple[Outlook, Connection]]:
    """The outlook of this moment, and the connection in a read transaction that it was read with.

    Raises Problem 503.
    """
    # Before the transaction is begun: a port that nobody answers may take its time.
    gateway = answering(context.settings().data, "gateway")
    known = configuration(gateway)
    with context.reading() as conn:
        yield Outlook(known, conn, context.now(), gateway), conn


def configuration(gateway: str | None = None) -> Configured:
    """What the configuration says alone, read once while its files stay as they are. Raises Problem 503.

    ``gateway`` is where one answers, empty for none; without it that is believed of which run.json tells.
    """
    settings = context.settings()
    gateway = url_of(settings.data, "gateway") if gateway is None else gateway
    file = settings.prices.file
    demo = settings.simulated or bool(gateway and url_of(settings.data, "simulator"))
    key = (demo, _changed(file))
    kept = current_app.extensions.setdefault(_KEPT, {})
    if key not in kept:
        try:
            made = configured(settings, gateway)
        except (BadBook, OSError):
            raise Problem(
                503,
                "PRICES_UNREADABLE",
                "The price book cannot be read.",
                "Look at it with `gemgate prices`.",
            ) from None
        kept.clear()
        kept[key] = made
    found: Configured = kept[key]
    return found


def from_file(what: str, settings: Settings) -> Problem:
    """409: the configuration defines it, so it is changed there."""
    where = settings.source.name if settings.source is not None else "the environment"
    return Problem(
        409,
        "FROM_FILE",
        f"{what} is defined in {where}, and only read here.",
        f"Change it in {where}; a gateway that runs takes it over at once.",
    )


def moment(at: int, now: int) -> str:
    """A time (UTC µs) as sentences of the API say it, to the second."""
    there = datetime.datetime.fromtimestamp(at // 1_000_000, datetime.UTC)
    return f"{there:%H:%M:%S} UTC" if at - now < 43_200_000_000 else f"{there:%Y-%m-%d %H:%M} UTC"


def _changed(file: Path | None) -> int:
    try:
        return file.stat().st_mtime_ns if file is not None else 0
    except OSError:
        return 0
