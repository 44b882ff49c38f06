"""All kinds of findings together: show it the sample, the newest call first, and ask."""

from __future__ import annotations

from typing import Final

from gemgate.insight.advice.batch import Batch
from gemgate.insight.advice.caching import Caching
from gemgate.insight.advice.cheaper import Cheaper
from gemgate.insight.advice.endings import Endings
from gemgate.insight.advice.findings import Call, Finding, Kind, World
from gemgate.insight.advice.limits import Unlimited
from gemgate.insight.advice.repeats import Repeats
from gemgate.insight.advice.thinking import Thinking
from gemgate.insight.advice.wasted import Wasted

_KINDS: Final[tuple[type[Kind], ...]] = (
    Cheaper,
    Caching,
    Repeats,
    Thinking,
    Batch,
    Wasted,
    Unlimited,
    Endings,
)
KINDS: Final = tuple(kind.name for kind in _KINDS)
"""The names of the kinds, in the order in which they are looked for."""


class Study:
    """One pass over a sample."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kinds = tuple(kind() for kind in _KINDS)
        self.calls = 0

    def add(self, call: Call) -> None:
        """Show one call to every kind."""
        self.calls += 1
        for kind in self._kinds:
            kind.add(call, self._world)

    def findings(self) -> list[Finding]:
        """What was found, that with the most money first. What saves the same money twice is said twice."""
        found = [one for kind in self._kinds for one in kind.found(self._world)]
        return sorted(found, key=lambda one: (-(one.nano_per_month or 0), one.kind, one.id))
