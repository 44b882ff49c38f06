"""What the simulator knows: its clock, its Google projects, the keys that open them, and its own dice.

Nothing here speaks HTTP. A ``World`` is made once by the command line and handed to every handler.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gemini_simulator.http import ApiError

PACIFIC = ZoneInfo("America/Los_Angeles")
KEY_PREFIXES = ("AIza", "AQ.", "auth_tokens/")
LOG_LIMIT = 20_000
TIMER_SECONDS = 0.001  # what a loop's timer can tell apart


class Clock:
    """Simulated time: ``now()`` is unix seconds, which may start anywhere and run faster than real ones.

    ``speed`` is simulated seconds per real second; at 0 the clock stands still, and nobody sleeps. With ``instant``
    sleeping takes no real time at all and does not move the clock.
    """

    def __init__(self, start: float | None = None, speed: float = 1.0, instant: bool = False) -> None:
        self._tick: Callable[[], float] = time.monotonic
        self._origin = time.monotonic()
        self._start = time.time() if start is None else start
        self._day = ("", 0.0, 0.0)
        self.speed = speed
        self.instant = instant

    @property
    def timeless(self) -> bool:
        """Whether sleeping takes no time."""
        return self.instant or not self.speed

    def now(self) -> float:
        """Simulated unix time in seconds."""
        return self._start + (self._tick() - self._origin) * self.speed

    def set(self, moment: float | None = None, speed: float | None = None, at: float | None = None) -> None:
        """Move the clock to ``moment`` (unix seconds), or leave it; it goes on from there, at ``speed``.

        ``at`` is the real unix time at which the clock shows ``moment``: then it follows the system's time, so that
        another program with the same three numbers has the same clock however late either was told. A sleep under
        way ends as its speed was when it began. Raises ValueError for a speed below zero.
        """
        if speed is not None and not 0 <= speed < float("inf"):
            raise ValueError("the speed of a clock is not below zero")
        start = self.now() if moment is None else moment
        self._tick = time.monotonic if at is None else time.time
        self._origin = self._tick() if at is None else at
        self._start = start
        self.speed = self.speed if speed is None else speed

    async def sleep(self, seconds: float) -> float:
        """Wait ``seconds`` of simulated time or a little more: how much more; returns at once on an instant clock."""
        if self.timeless or seconds <= 0:
            await asyncio.sleep(0)
            return 0.0
        speed = self.speed
        end = time.monotonic() + seconds / speed
        # A loop's timer rounds to milliseconds, which on a fast clock are seconds, and may be early.
        left = end - time.monotonic()
        while left > 0:
            await asyncio.sleep(max(left, TIMER_SECONDS))
            left = end - time.monotonic()
        return -left * speed

    def rfc3339(self, offset: float = 0.0) -> str:
        """Now plus ``offset`` seconds in the form of protobuf's Timestamp in JSON."""
        moment = datetime.fromtimestamp(self.now() + offset, tz=ZoneInfo("UTC"))
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def pacific_date(self) -> str:
        """Today in California, as YYYY-MM-DD: prices, routing and daily quotas turn over there."""
        return self._pacific_day()[0]

    def seconds_to_pacific_midnight(self) -> float:
        """Seconds until the daily quotas are new."""
        return self._pacific_day()[2] - self.now()

    def _pacific_day(self) -> tuple[str, float, float]:
        """Today with its first moment and the first of tomorrow; kept, for every request asks several times."""
        now = self.now()
        if not self._day[1] <= now < self._day[2]:
            today = datetime.fromtimestamp(now, tz=PACIFIC).date()
            begins, ends = (
                datetime(day.year, day.month, day.day, tzinfo=PACIFIC).timestamp()
                for day in (today, today + timedelta(days=1))
            )
            self._day = (today.isoformat(), begins, ends)
        return self._day


@dataclass(slots=True)
class Project:
    """A Google project: it owns quota, files, caches, batches, and one or more keys.

    ``account`` is the billing account that pays, by default one of the project's own; ``spend`` is how many dollars
    it may spend in ten minutes, where that is not as the tier says.

    ``resources`` is collection -> resource name -> object; ``blobs`` holds bytes and other private matter of
    those objects; ``counters`` are the quota windows, ``tallies`` the sums of each model; ``seen`` remembers prefixes
    for implicit caching.
    """

    name: str
    tier: str = "tier1"
    limits: dict[str, dict[str, int]] = field(default_factory=dict)
    faults: str = ""
    account: str = ""
    spend: float | None = None
    resources: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    blobs: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)
    tallies: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def collection(self, name: str) -> dict[str, dict[str, Any]]:
        """The objects of one kind, by resource name, in the order they were made."""
        return self.resources.setdefault(name, {})


def fingerprint(secret: str) -> str:
    """A short name for a credential that cannot be turned back into it."""
    return hashlib.sha256(b"gemini-simulator:" + secret.encode()).hexdigest()[:16]


class World:
    """Everything that outlives one request.

    ``log`` holds the last ``log_limit`` requests, ``answers`` how many there were of each status by project and
    model, ``accounts`` what each billing account spent. ``minutes`` says how quotas count a minute: ``rolling``, or
    ``fixed`` to the minutes of the clock.
    """

    def __init__(
        self,
        clock: Clock,
        seed: int = 0,
        catalog: dict[str, Any] | None = None,
        script: dict[str, Any] | None = None,
        log_limit: int = LOG_LIMIT,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.catalog: dict[str, Any] = catalog or {}
        self.script: dict[str, Any] = script or {}
        self.minutes = str(self.script.get("minutes", "rolling"))
        self.log: deque[dict[str, Any]] = deque(maxlen=log_limit)
        self.log_limit = log_limit
        self.requests = 0
        self.in_progress = 0
        self.answers: dict[str, dict[str, dict[str, int]]] = {}
        self.accounts: dict[str, Any] = {}
        self.projects: dict[str, Project] = {}
        self.fault_uses: dict[str, int] = {}
        self.started = clock.now()
        self._keys: dict[str, Project] = {}
        self._numbers: dict[str, int] = {}
        self._scripted = bool(self.script.get("projects"))
        for entry in self.script.get("projects", []):
            project = Project(
                entry["name"], entry.get("tier", "tier1"), entry.get("limits", {}), entry.get("faults", ""),
                entry.get("billing_account", ""), entry.get("spend"),
            )  # fmt: skip
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
