"""Keys that run away: one that spends far above its own past, or sends the same call again and again.

Laws:

- a key is measured by itself: by what it has spent in the busiest five minutes of its hours, of those hours only in
  which it spent at all, so that nights do not make mornings look wild;
- a key that is young, and sums that are small, raise no alarm;
- hours that were wild count as far as the factor allows, so that a key does not become used to it at once;
- of each key and kind there is one alarm in ten minutes at most.

No clock: times are UTC microseconds, money is nano-dollars.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from gemgate.core.windows import SECOND, Rolling

SPEND: Final = "spend"
REPEAT: Final = "repeat"
SPAN: Final = 300 * SECOND
"""The span whose spending is measured."""
SMALL: Final = 100_000_000
"""Less than this in the span (10 cents) is no alarm, whatever was usual."""
ENOUGH: Final = 3
"""Hours of its own past that a key needs before its spending is judged."""
_HOUR = 3600 * SECOND
_MINUTE = 60 * SECOND
_QUIET = 10 * _MINUTE
_WIDTH = 5 * SECOND
_SHARE = 1 / 8
_KEYS = 10_000
_CALLS = 50_000


class Alarm(msgspec.Struct, frozen=True):
    """A key is running away: which, since when (UTC µs), how (``spend`` or ``repeat``), and a sentence for people."""

    key: int
    kind: str
    sentence: str
    at: int


class _Past:
    """What one key spends: now, in this hour at most, and usually."""

    __slots__ = ("hour", "hours", "most", "now", "usual")

    def __init__(self) -> None:
        self.now = Rolling(SPAN, _WIDTH)
        self.hour = 0
        self.hours = 0
        self.most = 0
        self.usual = 0.0

    def enter(self, hour: int, factor: float) -> None:
        """Go to this hour; the one before is past, if anything was spent in it."""
        if hour > self.hour:
            if self.most:
                self.learn(self.most, factor)
            self.hour, self.most = hour, 0

    def learn(self, most: int, factor: float) -> None:
        """One more hour with its busiest five minutes."""
        if not self.hours:
            self.usual = float(most)
        else:
            if self.hours >= ENOUGH:
                most = min(most, round(max(self.usual * factor, SMALL)))
            self.usual += max(_SHARE, 1 / (self.hours + 1)) * (most - self.usual)
        self.hours += 1


class Runaway:
    """Watches all keys: ``factor`` times the usual is too much, as are more than ``repeats`` a minute (0: never)."""

    def __init__(self, factor: float, repeats: int) -> None:
        self.factor = factor
        self.repeats = repeats
        self._pasts: dict[int, _Past] = {}
        self._alarmed: dict[tuple[int, str], int] = {}
        self._times: dict[tuple[int, int], deque[int] | int] = {}
        self._older: dict[tuple[int, int], deque[int] | int] = {}
        self._turned = 0

    def past(self, hours: Iterable[tuple[int, int, int]]) -> None:
        """What keys spent before a restart: key, start of the hour (UTC µs) and its sum, in the order of time.

        An hour's whole sum stands for its busiest five minutes, which are not known any more.
        """
        for key, hour, nano in hours:
            past = self._past(key)
            past.enter(hour, self.factor)
            past.most += nano

    def seen(self, key: int, nano: int, request_hash: int, now: int) -> Alarm | None:
        """A call of a key is over that cost so much; ``request_hash`` is 0 where its body was not read."""
        spent = self._spent(key, nano, now) if nano > 0 else None
        repeated = self._repeated(key, request_hash, now) if request_hash and self.repeats else None
        return spent or repeated

    def _spent(self, key: int, nano: int, now: int) -> Alarm | None:
        past = self._past(key)
        past.enter(now // _HOUR * _HOUR, self.factor)
        past.now.charge(1, nano, now)
        past.now.expire(now)
        sum_ = past.now.weight
        past.most = max(past.most, sum_)
        if past.hours < ENOUGH or sum_ < SMALL or sum_ <= past.usual * self.factor:
            return None
        often = f"{sum_ / past.usual:,.0f} times" if past.usual else "far above"
        said = f"It spent ${sum_ / 1e9:,.2f} in five minutes, {often} what is usual for it."
        return self._alarm(key, SPEND, said, now)

    def _repeated(self, key: int, request_hash: int, now: int) -> Alarm | None:
        if now - self._turned >= _MINUTE or now < self._turned or len(self._times) >= _CALLS:
            # What was not sent again for a whole minute is forgotten.
            self._older = self._times if now - self._turned < 2 * _MINUTE else {}
            self._times, self._turned = {}, now
        place = key, request_hash
        times = self._times.get(place)
        if times is None:
            times = self._older.pop(place, None)
        if times is None:
            self._times[place] = now  # most calls come once
            return None
        if isinstance(times, int):
            times = deque((times,), self.repeats + 1)
        times.append(now)
        self._times[place] = times
        if len(times) <= self.repeats or times[0] <= now - _MINUTE:
            return None
        return self._alarm(
            key, REPEAT, f"It sent the same call more than {self.repeats} times in a minute.", now
        )

    def _alarm(self, key: int, kind: str, sentence: str, now: int) -> Alarm | None:
        if now - self._alarmed.get((key, kind), -_QUIET) < _QUIET:
            return None
        self._alarmed[key, kind] = now
        return Alarm(key, kind, sentence, now)

    def _past(self, key: int) -> _Past:
        past = self._pasts.get(key)
        if past is None:
            if len(self._pasts) >= _KEYS:
                del self._pasts[next(iter(self._pasts))]
            past = self._pasts[key] = _Past()
        return past
