"""One breaker, what it bars, and how its changes and its state are told.

Times are UTC microseconds.
"""

from __future__ import annotations

import msgspec

from gemgate.core.lanes import Silence
from gemgate.core.routing import Target

Key = tuple[str, str]
"""A scope (upstream, project, model, target or key) and the name of what it is there."""
WAY: Key = ("upstream", "")
SHORTEST_PROBE, LONGEST_PROBE = 1_000_000, 60_000_000
"""How long a probe keeps its place at least and at most: twice as long as the failure took."""


class Change(msgspec.Struct, frozen=True):
    """A breaker changed at a moment (µs), for the record.

    ``scope`` is upstream, project, model, target or key; ``name`` what it is there (``model@project`` for targets,
    ``project/1`` for keys, empty for the upstream); ``state`` closed or open; ``until`` (µs) its next probe.
    ``reason`` and ``message`` are those of the failed try; ``failures`` counts the openings in a row.
    """

    at: int
    scope: str
    name: str
    state: str
    reason: str = ""
    message: str = ""
    until: int = 0
    failures: int = 0


class State(msgspec.Struct, frozen=True):
    """A breaker that is not closed: open, or half-open when ``until`` is over. Fields as in ``Change``."""

    opened_at: int
    scope: str
    name: str
    state: str
    reason: str = ""
    message: str = ""
    until: int = 0
    failures: int = 0


class Breaker:
    """One that is not closed."""

    __slots__ = (
        "failed_sent",
        "failures",
        "holder",
        "message",
        "opened_at",
        "place_until",
        "reason",
        "silence",
        "term",
        "until",
    )

    def __init__(self, opened_at: int, until: int, failures: int) -> None:
        self.opened_at = opened_at
        self.until = until
        self.failures = failures
        self.failed_sent = opened_at
        self.reason = ""
        self.message = ""
        self.term = SHORTEST_PROBE
        self.place_until = 0  # while a probe is out: when its place is given to another
        self.holder: tuple[Target, int] | None = None
        self.silence: Silence | None = None  # while it may close by silence

    def quiet(self, now: int) -> bool:
        """Whether the silence of later tries shows that the failure stood alone."""
        return self.silence is not None and self.silence.at() <= now

    def busy(self, now: int) -> bool:
        """Whether a probe is out that may still come back."""
        return self.holder is not None and now < self.place_until


def name_of(scope: str, target: Target) -> str:
    """What the target is called in a scope."""
    if scope == "target":
        return f"{target.model}@{target.project}"
    return {"upstream": "", "project": target.project, "model": target.model}[scope]


def keys_of(target: Target) -> tuple[Key, ...]:
    """The breakers that bar a target, from the widest to its own.

    Calls that name no model have nothing in common but their project: what one of them met bars no other.
    """
    if not target.model:
        return WAY, ("project", target.project)
    return (
        WAY,
        ("project", target.project),
        ("model", target.model),
        ("target", f"{target.model}@{target.project}"),
    )


def change_of(key: Key, breaker: Breaker, now: int, state: str) -> Change:
    """A change of a breaker, for the record."""
    return Change(
        at=now,
        scope=key[0],
        name=key[1],
        state=state,
        reason=breaker.reason,
        message=breaker.message,
        until=breaker.until if state == "open" else 0,
        failures=breaker.failures,
    )


def state_of(key: Key, breaker: Breaker, now: int) -> State:
    """How a breaker stands."""
    return State(
        opened_at=breaker.opened_at,
        scope=key[0],
        name=key[1],
        state="open" if breaker.until > now else "half-open",
        reason=breaker.reason,
        message=breaker.message,
        until=breaker.until,
        failures=breaker.failures,
    )
