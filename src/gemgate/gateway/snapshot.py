"""What a call needs to know of the configuration, frozen: a reload swaps the whole value, never a part.

A call keeps the snapshot it began with to its end.
"""

from __future__ import annotations

from itertools import count

from gemgate.config import Project, Settings
from gemgate.core.errors import Refused
from gemgate.core.pricing import PriceBook
from gemgate.gateway.guard import Guard


class Snapshot:
    """One configuration. ``upstream`` overrides the configured base URL (the simulator of a demo)."""

    def __init__(self, settings: Settings, book: PriceBook, upstream: str, demo: Project | None) -> None:
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

    def key(self, project: str) -> tuple[str, str]:
        """A key of the project and the name under which the record knows it: ``default/1``.

        Keys of one project share its quota, so they take turns. Raises Refused 503 when there is none.
        """
        keys = self.projects[project].keys if project in self.projects else ()
        if not keys:
            raise Refused(
                503,
                "NO_KEY",
                f"Project {project!r} has no key.",
                hint="Set GEMINI_API_KEY, or add a key to the project in gemgate.toml.",
            )
        index = next(self._turn) % len(keys)
        return keys[index].reveal(), f"{project}/{index + 1}"

    def free(self, project: str) -> bool:
        """Whether Google charges nothing on this project."""
        found = self.projects.get(project)
        return found is not None and found.tier == "free"
