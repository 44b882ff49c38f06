"""How fast targets answer lately, and how many second tries their slowness may cost.

Both know no clock: spans in seconds come in, one per answer; the allowance is earned by calls, not by time.
"""

from __future__ import annotations

import math
from collections import deque

RECENT = 128
ENOUGH = 20
_RENEWED = 16
# Names come from configured targets and from models that answered; what is beyond this was long unused.
_NAMES = 1024


class _Samples:
    __slots__ = ("age", "known", "spans")

    def __init__(self) -> None:
        self.spans: deque[float] = deque(maxlen=RECENT)
        self.known: float | None = None
        self.age = 0


class Pace:
    """The recent times to first byte by name (a target's, say), and their 95th percentile."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, _Samples] = {}

    def add(self, name: str, seconds: float) -> None:
        """Count one answer that took ``seconds`` to begin."""
        samples = self._names.get(name)
        if samples is None:
            if len(self._names) >= _NAMES:
                del self._names[next(iter(self._names))]
            samples = self._names[name] = _Samples()
        samples.spans.append(seconds)
        samples.age += 1

    def p95(self, name: str) -> float | None:
        """95 of 100 recent answers began within so many seconds; None below 20 answers.

        Of the last 128 answers; it is computed again only after 16 new ones, since every call asks.
        """
        samples = self._names.get(name)
        if samples is None or len(samples.spans) < ENOUGH:
            return None
        if samples.known is None or samples.age >= _RENEWED:
            ranked = sorted(samples.spans)
            samples.known = ranked[math.ceil(0.95 * len(ranked)) - 1]
            samples.age = 0
        return samples.known


class Allowance:
    """A bucket of permits for second tries: each call earns a share of one, at most ``most`` are kept.

    ``rate`` 0.05 lets one call in twenty be hedged. Counted in millionths: sums of floats would drift.
    """

    __slots__ = ("_most", "_rate", "_saved")

    _ONE = 1_000_000

    def __init__(self, rate: float, most: float = 10.0) -> None:
        self._rate = round(rate * self._ONE)
        self._most = round(most * self._ONE)
        self._saved = 0

    def earn(self) -> None:
        """A call came in."""
        self._saved = min(self._most, self._saved + self._rate)

    @property
    def enough(self) -> bool:
        """Whether ``spend`` would succeed now."""
        return self._saved >= self._ONE

    def spend(self) -> bool:
        """Take one permit; False when there is none."""
        if not self.enough:
            return False
        self._saved -= self._ONE
        return True
