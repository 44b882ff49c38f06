"""Opens ``gateway.outlook`` for commands, and the words in which they tell of it."""

from __future__ import annotations

from gemgate.cli import record
from gemgate.cli.faults import CommandFault
from gemgate.cli.shown import brief, dollars
from gemgate.config import Settings
from gemgate.config.running import answering
from gemgate.core.explain import span
from gemgate.core.health import Change
from gemgate.core.pricing import BadBook
from gemgate.core.quota import Window
from gemgate.gateway import prospect
from gemgate.gateway.outlook import Outlook, configured
from gemgate.gateway.recall import SECOND
from gemgate.store import quotas
from gemgate.store.connection import reading

MOST_SHOWN = 5  # calls of the line


def look(settings: Settings, now: int) -> Outlook:
    """How everything stands at ``now`` (UTC µs).

    Raises CommandFault where the record or the price book cannot be read.
    """
    gateway = answering(settings.data, "gateway")
    try:
        known = configured(settings, gateway)
    except (BadBook, OSError) as error:
        raise CommandFault(f"The price book cannot be used: {error}") from None
    if not settings.database.exists():
        return Outlook(known, None, now, gateway)
    with record.opened(settings) as conn, reading(conn):
        return Outlook(known, conn, now, gateway)


def notice(outlook: Outlook) -> str:
    """Whether a gateway runs, and how old its state is."""
    now, as_of = outlook.now, outlook.as_of
    kept = f"the state of {brief(as_of, now)} ({ago(as_of, now)})" if as_of else ""
    if outlook.gateway:
        text = f"The gateway runs at {outlook.gateway}"
        if outlook.old:
            return f"{text}, but its state is old: shown is {kept}. `gemgate doctor` looks at the database."
        return f"{text}; shown is {kept}." if kept else f"{text}; it has kept no state yet."
    if kept:
        return (
            f"No gateway runs on this data folder: shown is {kept}, with what the record says of use since."
        )
    return "No gateway runs on this data folder, and none has kept its state here yet."


def stored(outlook: Outlook) -> list[str]:
    """What an administrator should hear of the things that were stored: pauses, and what cannot be meant."""
    snapshot = outlook.snapshot
    lines = [f"Paused: project {name} gets no new tries." for name in sorted(snapshot.paused)]
    return lines + [f"Left out: the stored {name}, for {why}." for name, why in snapshot.left_out.items()]


def line(outlook: Outlook) -> list[str]:
    """The first calls in line when the state was kept: place, targets, time waited and time expected."""
    rows = []
    for one in outlook.line()[:MOST_SHOWN]:
        comes = "" if one.expected_ms is None else f", room expected in {span(one.expected_ms / 1000)}"
        waited = span(one.waited_ms / 1000)
        rows.append(f"{one.position}. {' or '.join(one.targets)}: waits for {waited}{comes}")
    return rows


def changes_of(settings: Settings, most: int) -> list[Change]:
    """The newest changes of breakers on record, newest first. Raises CommandFault."""
    if not most or not settings.database.exists():
        return []
    with record.opened(settings) as conn, reading(conn):
        return quotas.changes(conn, limit=most)


def amount(window: Window, value: int | None) -> str:
    """A number of a window: money for spend, a plain count for all else."""
    if value is None:
        return ""
    return dollars(value) if window.window == "spend" else f"{value:,}"


def when(at: int, now: int) -> str:
    """When room returns: now, in some time with this machine's clock's time, or never."""
    return prospect.when(at, now, brief)


def ago(at: int, now: int) -> str:
    """How long ago."""
    return f"{span(max(0, now - at) / SECOND)} ago"
