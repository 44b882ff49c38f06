"""What the simulator knows: its clock, its Google projects, the keys that open them, and its own dice.

Nothing here speaks HTTP. A ``World`` is made once by the command line and handed to every handler.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gemini_simulator.http import ApiError

PACIFIC = ZoneInfo("America/Los_Angeles")
KEY_PREFIXES = ("AIza", "AQ.", "auth_tokens/")


class Clock:
    """Simulated time: ``now()`` is unix seconds, which may start anywhere and run faster than real ones.

    ``speed`` is simulated seconds per real second. With ``instant`` sleeping takes no real time at all
    and does not move the clock.
    """

    def __init__(self, start: float | None = None, speed: float = 1.0, instant: bool = False) -> None:
        self._origin = time.monotonic()
        self._start = time.time() if start is None else start
        self.speed = speed
        self.instant = instant

    def now(self) -> float:
        """Simulated unix time in seconds."""
        return self._start + (time.monotonic() - self._origin) * self.speed

    def set(self, moment: float) -> None:
        """Move the clock to ``moment`` (unix seconds); it goes on from there."""
        self._origin = time.monotonic()
        self._start = moment

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of simulated time; returns at once on an instant clock."""
        if self.instant or seconds <= 0:
            await asyncio.sleep(0)
            return
        end = time.monotonic() + seconds / self.speed
        # A loop's timer rounds to milliseconds, which on a fast clock are seconds: look again after it.
        left = end - time.monotonic()
        while left > 0:
            await asyncio.sleep(left)
            left = end - time.monotonic()

    def rfc3339(self, offset: float = 0.0) -> str:
        """Now plus ``offset`` seconds in the form of protobuf's Timestamp in JSON."""
        moment = datetime.fromtimestamp(self.now() + offset, tz=ZoneInfo("UTC"))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def pacific_date(self) -> str:
        """Today in California, as YYYY-MM-DD: prices, routing and daily quotas turn over there."""
        return datetime.fromtimestamp(self.now(), tz=PACIFIC).date().isoformat()

    def seconds_to_pacific_midnight(self) -> float:
        """Seconds until the daily quotas are new."""
        here = datetime.fromtimestamp(self.now(), tz=PACIFIC)
        tomorrow = (here + timedelta(days=1)).date()
        midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=PACIFIC)
        return midnight.timestamp() - self.now()


@dataclass(slots=True)
class Project:
    """A Google project: it owns quota, files, caches, batches, and one or more keys.

    ``resources`` is collection -> resource name -> object; ``blobs`` holds bytes and other private matter of
    those objects; ``counters`` are the quota windows; ``seen`` remembers prefixes for implicit caching.
    """

    name: str
    tier: str = "tier1"
    limits: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: str = ""
    resources: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    blobs: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def collection(self, name: str) -> dict[str, dict[str, Any]]:
        """The objects of one kind, by resource name, in the order they were made."""
        return self.resources.setdefault(name, {})


def fingerprint(secret: str) -> str:
    """A short name for a credential that cannot be turned back into it."""
    return hashlib.sha256(b"gemini-simulator:" + secret.encode()).hexdigest()[:16]


class World:
    """Everything that outlives one request."""

    def __init__(
        self,
        clock: Clock,
        seed: int = 0,
        catalog: dict[str, Any] | None = None,
        script: dict[str, Any] | None = None,
        log: list[dict[str, Any]] | None = None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - dice of a play, not a secret
        self.catalog: dict[str, Any] = catalog or {}
        self.script: dict[str, Any] = script or {}
        self.log: list[dict[str, Any]] = [] if log is None else log
        self.projects: dict[str, Project] = {}
        self.fault_uses: dict[str, int] = {}
        self.started = clock.now()
        self._keys: dict[str, Project] = {}
        self._numbers: dict[str, int] = {}
        self._scripted = bool(self.script.get("projects"))
        for entry in self.script.get("projects", []):
            project = Project(
                entry["name"], entry.get("tier", "tier1"), entry.get("limits", {}), entry.get("faults", "")
            )
            self.projects[project.name] = project
            for key in entry.get("keys", []):
                self._keys[key] = project

    def new_id(self, prefix: str = "") -> str:
        """A fresh id, the same in every run with the same seed and the same order of calls."""
        number = self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        digest = hashlib.sha256(f"{self.seed}:{prefix}:{number}".encode()).hexdigest()
        return f"{prefix}{int(digest[:15], 16):x}"[: len(prefix) + 12]

    def sign(self, text: str) -> bytes:
        """A seal under the world's own key: signatures and tokens that only this world accepts."""
        return hmac.digest(f"gemini-simulator:{self.seed}".encode(), text.encode(), "sha256")

    def add_key(self, key: str, project: Project) -> None:
        """Let ``key`` (an ephemeral token, say) open ``project`` from now on."""
        self._keys[key] = project

    def project_of(self, key: str) -> Project:
        """The project that ``key`` opens. Raises ApiError 400 for a key that Google would not know."""
        known = self._keys.get(key)
        if known is not None:
            return known
        if self._scripted or not key.startswith(KEY_PREFIXES[:2]) or len(key) < 6:
            raise invalid_key()
        project = Project(f"project-{fingerprint(key)[:8]}", tier=str(self.script.get("tier", "open")))
        self.projects[project.name] = project
        self._keys[key] = project
        return project


def invalid_key() -> ApiError:
    """The 400 that Google answers to a key it does not know."""
    message = "API key not valid. Please pass a valid API key."
    service = {"service": "generativelanguage.googleapis.com"}
    return ApiError(
        400,
        message,
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": service,
            },
            {
                "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                "locale": "en-US",
                "message": message,
            },
        ],
    )
