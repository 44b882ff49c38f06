"""How every target stands now, worked out as a gateway does that starts now: configuration, record, kept state.

What was used comes from the record, so it is true whether a gateway runs or not. Learned limits, closings and
breakers are what a gateway kept last; ``notice`` says how old that is.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from gemgate.cli import checks, record
from gemgate.cli.faults import CommandFault
from gemgate.cli.shown import brief, dollars
from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.config.running import url_of
from gemgate.core import pacific
from gemgate.core.explain import span
from gemgate.core.health import Change, Health, Standing, State
from gemgate.core.pricing import BadBook
from gemgate.core.quota import NEVER, Bucket, Quota, Used, Window
from gemgate.core.routing import Target
from gemgate.core.windows import WINDOWS
from gemgate.gateway.process import DEMO
from gemgate.gateway.snapshot import Snapshot
from gemgate.store import quotas, uses
from gemgate.store.connection import reading

SECOND = 1_000_000
SPEND = 602 * SECOND  # the longest rolling window, and the margin
MOST_SHOWN = 5  # calls of the line
OLD = 15 * SECOND  # a gateway that runs keeps its state every few seconds

CLOSED = {
    "quota_minute": "Google refused: requests of the minute",
    "quota_tokens": "Google refused: input tokens of the minute",
    "quota_day": "Google refused: quota of the day",
    "quota_zero": "Google allows none at all",
    "prepaid": "the prepaid money is used up",
}
"""Why a window is closed, by the verdict's reason."""


class Place(msgspec.Struct):
    """A call in line, as the gateway's state tells of it."""

    position: int
    targets: list[str]
    waited_ms: int
    expected_ms: int | None = None


class Outlook:
    """All windows and breakers of one installation at ``now`` (UTC µs).

    Raises CommandFault where the record or the price book cannot be read.
    """

    def __init__(self, settings: Settings, now: int) -> None:
        self.now = now
        self._settings = settings
        self.gateway = _gateway(settings)
        # `gemgate serve --demo` says on its command line what no file says.
        demo = settings.simulated or bool(self.gateway and url_of(settings.data, "simulator"))
        self.snapshot = _snapshot(settings, demo)
        self.quota = Quota(
            self.snapshot.limits,
            self.snapshot.account,
            self.snapshot.spend,
            settings.routing.margin,
        )
        self.health = Health(lambda model: self.snapshot.catalog.card(model) is not None)
        self.as_of = 0
        self.state: dict[str, object] = {}
        self._of_routes: list[Window] = []
        if settings.database.exists():
            with record.opened(settings) as conn, reading(conn):
                self._restore(conn)

    def _restore(self, conn: sqlite3.Connection) -> None:
        windows, self.as_of = quotas.windows(conn)
        # A route's own limits are counted by the gateway alone: the record does not know which calls they held.
        own = [one for one in windows if not one.project and one.window != "spend"]
        if self.gateway:
            self._of_routes = [one for one in own if one.limit is not None]
        midnight = pacific.midnight(pacific.day_of(self.now))
        used = [
            Used(self.bucket(row.model, row.project), row.sent_at, row.requests, row.tokens, row.nano)
            for row in uses.since_midnight(conn, midnight, self.now - SPEND)
        ]
        self.quota.restore([one for one in windows if one not in own], used, self.now)
        self.health.restore(quotas.breakers(conn)[0], self.now)
        kept = quotas.state(conn)
        if kept is not None:
            self.state = _object(kept.body)

    def bucket(self, model: str, project: str) -> Bucket:
        """What Google counts a model's calls in."""
        return Bucket(project, self.snapshot.catalog.family(model))

    def standing(self, target: Target, tokens: int, route: str = "") -> Standing:
        """Whether a call of so many input tokens, by a route or none, may go there now, or when.

        What bars it is named as in ``core.health``; ``route:rpm`` and ``route:tpm`` are the route's own limits.
        """
        now = self.now
        if not self.snapshot.routed:
            return Standing()
        at, why = self.health.open_at(target, now)
        if at <= now:
            at, why = self.snapshot.key_at(target.project, self.health, now), "closed"
        if at > now:
            return Standing(_seconds(at, now), why)
        if not target.model:
            return Standing()
        room = self.quota.room(self.bucket(target.model, target.project), tokens, now)
        if room.at > now:
            return Standing(_seconds(room.at, now), f"quota:{room.window}", room=True)
        full = max(self.windows_of_route(route), key=lambda one: one.room_at, default=None)
        if full is not None and full.room_at > now:
            return Standing(_seconds(full.room_at, now), f"route:{full.window}", room=True)
        return Standing()

    def windows(self) -> list[Window]:
        """Every window about which there is something to say, in the order in which people look for one."""
        found = [
            one for one in self.quota.windows(self.now) if one.used or one.limit is not None or one.reason
        ]
        found += self._of_routes
        order = (*WINDOWS, "spend")
        return sorted(
            found,
            key=lambda one: (one.window == "spend", one.project, one.family, order.index(one.window)),
        )

    def windows_of_route(self, route: str) -> list[Window]:
        """The windows of a route's own limits, as the gateway that runs kept them last."""
        return [one for one in self.windows() if one in self._of_routes and one.family == route]

    def windows_of(self, target: Target) -> Iterator[Window]:
        """The windows that a target's calls count in, those of which anything is known."""
        bucket = self.bucket(target.model, target.project)
        account = self.snapshot.account(target.project)
        payer = ("", account) if account else (target.project, "")
        known = {(one.project, one.family, one.window): one for one in self.windows()}
        limits = self.snapshot.limits(bucket)
        for name in WINDOWS:
            limit, source = limits.of(name), "tier" if name in limits.tier else "config"
            usual = None if limit is None else Window(bucket.project, bucket.family, name, limit, source)
            found = known.get((bucket.project, bucket.family, name), usual)
            if found is not None:
                yield found
        spend = self.snapshot.spend(account or target.project)
        usual = None if spend is None else Window(*payer, "spend", spend)
        found = known.get((*payer, "spend"), usual)
        if found is not None:
            yield found

    def barring(self, target: Target) -> State | None:
        """What bars a target besides quota, with its reason: a breaker, or no key that may be used."""
        found = self.health.barring(target, self.now)
        if found is None and self.snapshot.key_at(target.project, self.health, self.now) > self.now:
            keys = [
                state
                for state in self.health.states(self.now)
                if state.scope == "key" and state.name.rpartition("/")[0] == target.project
            ]
            return min(keys, key=lambda state: state.until, default=None)
        return found

    def notice(self) -> str:
        """Whether a gateway runs, and how old its state is."""
        kept = (
            f"the state of {brief(self.as_of, self.now)} ({ago(self.as_of, self.now)})" if self.as_of else ""
        )
        if self.gateway:
            text = f"The gateway runs at {self.gateway}"
            if self.as_of and self.now - self.as_of > OLD:
                return (
                    f"{text}, but its state is old: shown is {kept}. `gemgate doctor` looks at the database."
                )
            return f"{text}; shown is {kept}." if kept else f"{text}; it has kept no state yet."
        if kept:
            return f"No gateway runs on this data folder: shown is {kept}, with what the record says of use since."
        return "No gateway runs on this data folder, and none has kept its state here yet."

    def waiting(self) -> int:
        """How many calls stood in line when the state was kept."""
        found = self.state.get("waiting")
        return found if isinstance(found, int) and self.gateway else 0

    def line(self) -> list[str]:
        """The first calls in line when the state was kept: place, targets, time waited and time expected."""
        try:
            places = msgspec.convert(self.state.get("line", []), list[Place]) if self.gateway else []
        except msgspec.ValidationError:
            return []  # another version's
        rows = []
        for one in places[:MOST_SHOWN]:
            comes = "" if one.expected_ms is None else f", room expected in {span(one.expected_ms / 1000)}"
            rows.append(
                f"{one.position}. {' or '.join(one.targets)}: waits for {span(one.waited_ms / 1000)}{comes}"
            )
        return rows

    def changes(self, most: int) -> list[Change]:
        """The newest changes of breakers on record, newest first."""
        if not most or not self._settings.database.exists():
            return []
        with record.opened(self._settings) as conn, reading(conn):
            return quotas.changes(conn, limit=most)


def amount(window: Window, value: int | None) -> str:
    """A number of a window: money for spend, a plain count for all else."""
    if value is None:
        return ""
    return dollars(value) if window.window == "spend" else f"{value:,}"


def when(at: int, now: int) -> str:
    """When room returns: now, in some time with the clock's time, or never."""
    if at >= NEVER:
        return "never"
    if at <= now:
        return "now"
    return f"in {span((at - now) / SECOND)} ({brief(at, now)})"


def closed(window: Window, now: int) -> str:
    """Why a window is closed, empty while it is open."""
    return CLOSED.get(window.reason, window.reason) if window.closed_until > now else ""


def ago(at: int, now: int) -> str:
    """How long ago."""
    return f"{span(max(0, now - at) / SECOND)} ago"


def _snapshot(settings: Settings, demo: bool) -> Snapshot:
    try:
        return Snapshot(settings, load_book(settings.prices.file), "", DEMO if demo else None)
    except (BadBook, OSError) as error:
        raise CommandFault(f"The price book cannot be used: {error}") from None


def _gateway(settings: Settings) -> str:
    """Where the gateway of this data folder answers; empty when none does."""
    url = url_of(settings.data, "gateway")
    # A killed supervisor leaves run.json behind: only a port that answers counts.
    return url if url and urlsplit(url).hostname and checks.answers(url) else ""


def _object(body: bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(at: int, now: int) -> float:
    return math.inf if at >= NEVER else (at - now) / SECOND
