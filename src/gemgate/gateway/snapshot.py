"""What a call needs to know of the configuration, frozen: a reload swaps the whole value, never a part.

A call keeps the snapshot it began with to its end. ``gateway.stored`` makes one of gemgate.toml and of what
administrators stored beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any

from gemgate.config import Project, Secret, Settings
from gemgate.core.catalog import Catalog
from gemgate.core.errors import Refused
from gemgate.core.health import Health
from gemgate.core.pricing import PriceBook
from gemgate.core.quota import NEVER, Bucket, Limits
from gemgate.core.routing import Routes
from gemgate.gateway.guard import Guard
from gemgate.gateway.timeouts import Timeouts

NANO = 1_000_000_000
NO_LIMITS = Limits()
# The simulator takes any key that looks like Google's; this one opens nothing else.
DEMO = Project("demo", "tier1", (Secret("AIzaSimulatorDemoKey000000000000000000"),))


class Snapshot:
    """One configuration. ``upstream`` overrides the configured base URL (the simulator of a demo).

    ``paused`` are projects that get no new tries, ``left_out`` stored things that cannot be meant, each with the
    reason; both are as of ``revision`` of what is stored, -1 where nothing of it is in force. ``priced`` is what the
    price book is made of: the configuration's, the stored rows, and those of them that do not fit.
    """

    paused: frozenset[str] = frozenset()
    left_out: Mapping[str, str] = {}
    revision: int = -1
    priced: tuple[PriceBook | None, Sequence[Mapping[str, Any]], dict[str, str]] = (None, (), {})

    def __init__(
        self,
        settings: Settings,
        book: PriceBook,
        upstream: str,
        demo: Project | None,
        catalog: Catalog | None = None,
    ) -> None:
        self.settings = settings
        self.book = book
        self.base = upstream or settings.upstream.base_url.rstrip("/")
        projects = (demo,) if demo is not None else settings.projects
        self.projects = {project.name: project for project in projects}
        self.names = tuple(self.projects) or ("client",)
        self.passthrough = settings.upstream.credentials == "client" and demo is None
        self.guard = Guard(
            settings.gateway.host, settings.gateway.allowed_hosts, settings.gateway.cors_origins
        )
        self._turn = count()
        self._demo = demo is not None  # the simulator gives its demo key whatever it asks for
        limits = settings.upstream
        self.timeouts = Timeouts(limits.first_byte_timeout, limits.stall_timeout, limits.total_timeout)
        # A client's own key has quota that we know nothing of, and that is not the next client's.
        self.routed = settings.routing.enabled and not self.passthrough
        self.catalog = catalog or Catalog.load()
        routing = settings.routing
        self.routes = Routes(
            self.catalog, settings.routes, tuple(projects), routing.fallback, routing.signatures
        )
        self.limited_routes = {
            route.name: route.limits for route in settings.routes if route.limits is not None
        }
        self._credentials = {
            project.name: tuple(f"{project.name}/{place + 1}" for place in range(len(project.keys)))
            for project in projects
        }

    def key(self, project: str, health: Health, now: int, without: Collection[str] = ()) -> tuple[str, str]:
        """A key of the project and the name under which the record knows it: ``default/1``.

        Keys of one project share its quota, so they take turns; one that Google refused rests, and those that
        this call was refused with (``without``) are left out. Raises Refused 503 when the project has none.
        """
        keys = self.projects[project].keys if project in self.projects else ()
        if not keys:
            raise Refused(
                503,
                "NO_KEY",
                f"Project {project!r} has no key.",
                hint="Set GEMINI_API_KEY, or add a key to the project in gemgate.toml.",
            )
        names = self._credentials[project]
        turn = next(self._turn) % len(keys)
        if not without and health.key_at(names[turn], now) <= now:
            return keys[turn].reveal(), names[turn]
        order = (*range(turn, len(keys)), *range(turn))
        index = next(
            (at for at in order if names[at] not in without and health.key_at(names[at], now) <= now), turn
        )
        return keys[index].reveal(), names[index]

    def key_at(self, project: str, health: Health, now: int, without: Collection[str] = ()) -> int:
        """When the project has a key that this call may use (UTC µs); NEVER when all were refused to it."""
        names = self._credentials.get(project, ())
        if not names:
            return now
        if not without:
            first = health.key_at(names[0], now)
            if first <= now:
                return now
        return min((health.key_at(name, now) for name in names if name not in without), default=NEVER)

    def limits(self, bucket: Bucket) -> Limits:
        """What the configuration says of a bucket, completed by what its project's tier is known to allow."""
        if not bucket.project:
            return self.limited_routes.get(bucket.family, NO_LIMITS)
        project = self.projects.get(bucket.project)
        if project is None:
            return NO_LIMITS
        # The simulator has the limits that its script gives it.
        usual = NO_LIMITS if self._demo else self.catalog.limits(bucket.family, project.tier)
        for model, limits in project.limits:
            if model == bucket.family or self.catalog.family(model) == bucket.family:
                return limits.over(usual)
        return dict(project.limits).get("*", NO_LIMITS).over(usual)

    def account(self, project: str) -> str:
        """The billing account of a project, empty where none is configured."""
        found = self.projects.get(project)
        return found.billing_account if found is not None else ""

    def spend(self, account: str) -> int | None:
        """What a billing account, or a project without one, may spend in ten minutes, in nano-dollars.

        None where no limit is known.
        """
        if self._demo:
            return None
        members = [
            project
            for project in self.projects.values()
            if (project.billing_account or project.name) == account
        ]
        own = [project.spend for project in members if project.spend is not None]
        if own:
            return int(min(own) * NANO)
        known = [self.catalog.spend(project.tier) for project in members]
        return min((limit for limit in known if limit is not None), default=None)

    def free(self, project: str) -> bool:
        """Whether Google charges nothing on this project."""
        found = self.projects.get(project)
        return found is not None and found.tier == "free"
