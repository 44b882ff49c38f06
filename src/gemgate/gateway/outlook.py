"""How every target stands now, worked out as a gateway does that starts now: configuration, record, kept state.

What was used comes from the record, so it is true whether a gateway runs or not. Learned limits, closings and
breakers are what a gateway kept last, at ``as_of``. Commands and the API tell of it in the same words.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator

import msgspec

from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.config.limits import OTHERS
from gemgate.config.running import url_of
from gemgate.core.catalog import Catalog
from gemgate.core.health import Health, Standing, State
from gemgate.core.quota import NEVER, Bucket, Limits, Quota, Window
from gemgate.core.routing import Target
from gemgate.core.windows import WINDOWS
from gemgate.gateway import stored
from gemgate.gateway.recall import SECOND, recall
from gemgate.gateway.snapshot import DEMO, Snapshot
from gemgate.gateway.stored import Configured, Stored
from gemgate.store import quotas

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


def configured(settings: Settings, gateway: str = "", catalog: Catalog | None = None) -> Configured:
    """What the configuration says alone; ``gateway`` is where one answers. Raises BadBook, OSError."""
    # `gemgate serve --demo` says on its command line what no file says.
    demo = settings.simulated or bool(gateway and url_of(settings.data, "simulator"))
    book = load_book(settings.prices.file)
    return Configured(settings, book, "", DEMO if demo else None, catalog or Catalog.load())


class Outlook:
    """All windows and breakers of one installation at ``now`` (UTC µs).

    ``conn`` is in a read transaction; None where there is no record yet. ``gateway`` is where a gateway answers,
    empty where none does.
    """

    def __init__(
        self, configured: Configured, conn: sqlite3.Connection | None, now: int, gateway: str = ""
    ) -> None:
        self.now = now
        self.gateway = gateway
        self.configured = configured
        self._stored = stored.read(conn) if conn is not None else Stored()
        self.snapshot: Snapshot = stored.build(configured, self._stored)
        self.quota = Quota(
            self.snapshot.limits,
            self.snapshot.account,
            self.snapshot.spend,
            configured.settings.routing.margin,
        )
        self.health = Health(lambda model: self.snapshot.catalog.card(model) is not None)
        self.as_of = 0
        self.state: dict[str, object] = {}
        self._of_routes: list[Window] = []
        if conn is not None:
            self._restore(conn)

    def _restore(self, conn: sqlite3.Connection) -> None:
        found = recall(conn, self.now, self.snapshot.settings.routing.margin)
        self.as_of = found.as_of
        # A route's own limits are counted by the gateway alone: the record does not know which calls they held.
        own = [one for one in found.windows if not one.project and one.window != "spend"]
        if self.gateway:
            self._of_routes = [self.sourced(one) for one in own if one.limit is not None]
        kept = [one for one in found.windows if one not in own]
        self.quota.restore(kept, found.used(self.snapshot.catalog.family), self.now)
        self.health.restore(found.states, self.now)
        told = quotas.state(conn)
        if told is not None:
            self.state = _object(told.body)

    def bucket(self, model: str, project: str) -> Bucket:
        """What Google counts a model's calls in."""
        return Bucket(project, self.snapshot.catalog.family(model))

    def standing(self, target: Target, tokens: int, route: str = "") -> Standing:
        """Whether a call of so many input tokens, by a route or none, may go there now, or when.

        What bars it is named as in ``core.health``; ``route:rpm`` and ``route:tpm`` are the route's own limits.
        """
        now = self.now
        if target.project in self.snapshot.paused:
            return Standing(math.inf, "paused")
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
        found = [self.sourced(one) for one in found] + self._of_routes
        order = (*WINDOWS, "spend")
        return sorted(
            found,
            key=lambda one: (one.window == "spend", one.project, one.family, order.index(one.window)),
        )

    def source(self, window: Window) -> str:
        """Where a window's limit comes from: file, stored, tier or learned; empty where none is known."""
        if window.window == "spend":
            payer = window.family or window.project
            members = [one for one in self.configured.projects if (one.billing_account or one.name) == payer]
            usual = "tier" if window.limit is not None else ""
            return "file" if any(one.spend is not None for one in members) else usual
        if window.source != "config":
            return window.source
        if not window.project:
            own = {route.name for route in self.configured.settings.routes}
            return "file" if window.family in own else "stored"
        named = [
            model
            for project in self.configured.projects
            if project.name == window.project
            for model, _ in project.limits
        ]
        if self.stored_limits(window.project, window.family) is None:
            return "file"
        families = {model if model == OTHERS else self.snapshot.catalog.family(model) for model in named}
        return "file" if window.family in families else "stored"

    def sourced(self, window: Window) -> Window:
        """The window with the source of its limit as people look for it: what is configured stands somewhere."""
        return msgspec.structs.replace(window, source=self.source(window))

    def stored_limits(self, project: str, family: str) -> Limits | None:
        """The stored limits that hold for a family on a project: its own, else those for every model."""
        found = {
            model if model == OTHERS else self.snapshot.catalog.family(model): limits
            for name, model, limits in self._stored.limits
            if name == project
        }
        return found.get(family) or found.get(OTHERS)

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
                yield self.sourced(found)
        spend = self.snapshot.spend(account or target.project)
        usual = None if spend is None else Window(*payer, "spend", spend)
        found = known.get((*payer, "spend"), usual)
        if found is not None:
            yield self.sourced(found)

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

    @property
    def old(self) -> bool:
        """Whether a gateway runs whose state is older than one that keeps it lets it become."""
        return bool(self.gateway and self.as_of and self.now - self.as_of > OLD)

    def waiting(self) -> int:
        """How many calls stood in line when the state was kept."""
        found = self.state.get("waiting")
        return found if isinstance(found, int) and self.gateway else 0

    def line(self) -> list[Place]:
        """The calls in line when the state was kept."""
        try:
            return msgspec.convert(self.state.get("line", []), list[Place]) if self.gateway else []
        except msgspec.ValidationError:
            return []  # another version's


def closed(window: Window, now: int) -> str:
    """Why a window is closed, empty while it is open."""
    return CLOSED.get(window.reason, window.reason) if window.closed_until > now else ""


def _object(body: bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(at: int, now: int) -> float:
    return math.inf if at >= NEVER else (at - now) / SECOND
