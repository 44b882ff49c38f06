"""What a quota window counts: rolling spans and Pacific days, and the nouns that all of quota shares.

Times are UTC microseconds. A use has a count (requests) and a weight (tokens, or nano-dollars of spend).

Laws:

- a use is never forgotten early: it stays for the whole span, the margin, and what its slot rounds up;
- so no interval of the span, wherever it begins (a minute of the clock too), holds more than the limit, if
  every use was made when there was room;
- memory is bounded whatever the rate: uses of one slot share one entry;
- within the margin of midnight a use counts on both days, since Google's clock may say either;
- a clock that is set back frees nothing: what lies in the future is counted from now.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Final, NamedTuple

import msgspec

from gemgate.core import pacific

NEVER: Final = 2**62
"""A time that never comes, and a limit that nothing reaches."""
SECOND: Final = 1_000_000
MINUTE_WINDOWS: Final = ("rpm", "tpm")
DAY_WINDOWS: Final = ("rpd", "tpd")
WINDOWS: Final = (*MINUTE_WINDOWS, *DAY_WINDOWS)
_MOST_DAYS: Final = 3650
COUNT: Final = 1
WEIGHT: Final = 2


class Limits(msgspec.Struct, frozen=True):
    """What one bucket may use: requests and input tokens a minute and a day. None: not known; 0: nothing.

    ``tier`` names the windows whose number is only the usual one of the tier: Google's own word replaces it,
    while a configured number gives way to a lower one only.
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    tpd: int | None = None
    tier: tuple[str, ...] = ()

    def of(self, window: str) -> int | None:
        """The number of one window."""
        found: int | None = getattr(self, window)
        return found

    def over(self, usual: Limits) -> Limits:
        """These configured limits, completed by the usual ones of the tier."""
        merged: dict[str, int | None] = {name: self.of(name) for name in WINDOWS}
        open_ = [name for name, limit in merged.items() if limit is None and usual.of(name) is not None]
        return Limits(**merged | {name: usual.of(name) for name in open_}, tier=(*self.tier, *open_))


class Bucket(msgspec.Struct, frozen=True):
    """What Google counts together: a family of models on a project."""

    project: str
    family: str


class Room(msgspec.Struct, frozen=True):
    """When there is room: the moment asked about, a later one, or NEVER. ``window`` is the one in the way."""

    at: int
    window: str = ""


class Ahead(NamedTuple):
    """Calls that wait before this one for the same bucket."""

    requests: int = 0
    tokens: int = 0


class Entry:
    """The uses of one slot. Holds keep it, to put it right later; ``slot`` is -1 once it has expired."""

    __slots__ = ("count", "slot", "weight")

    def __init__(self, slot: int, count: int, weight: int) -> None:
        self.slot = slot
        self.count = count
        self.weight = weight


class Rolling:
    """Uses of the last ``span`` microseconds (rounded up to slots of ``width``), with their sums."""

    __slots__ = ("count", "entries", "span", "weight", "width")

    def __init__(self, span: int, width: int) -> None:
        self.width = width
        self.span = -(-span // width) * width
        self.entries: deque[Entry] = deque()
        self.count = 0
        self.weight = 0

    def charge(self, count: int, weight: int, now: int) -> Entry:
        """Add a use and return the entry that carries it."""
        slot = now // self.width
        entries = self.entries
        self.count += count
        self.weight += weight
        if entries:
            last = entries[-1]
            if last.slot > slot:
                self._set_back(slot)
            if last.slot == slot:
                last.count += count
                last.weight += weight
                return last
            if entries[0].slot * self.width + self.width + self.span <= now:
                self.expire(now)
        entry = Entry(slot, count, weight)
        entries.append(entry)
        return entry

    def adjust(self, entry: Entry, count: int, weight: int) -> None:
        """Add to (or take from) a use of before. What has expired stays so."""
        if entry.slot >= 0:
            entry.count += count
            entry.weight += weight
            self.count += count
            self.weight += weight

    def late(self, at: int) -> Entry:
        """The entry of a use made at ``at``, for what becomes known of it only now."""
        slot = at // self.width
        place = len(self.entries)
        for entry in reversed(self.entries):
            if entry.slot == slot:
                return entry
            if entry.slot < slot:
                break
            place -= 1
        entry = Entry(slot, 0, 0)
        self.entries.insert(place, entry)
        return entry

    def restore(self, uses: list[tuple[int, int, int]], now: int) -> None:
        """Take in uses of before a restart, as (time, count, weight), in any order."""
        first = now - self.width - self.span
        for at, count, weight in uses:
            if at > first:
                self.entries.append(Entry(min(at, now) // self.width, count, weight))
                self.count += count
                self.weight += weight
        kept = deque[Entry]()
        for entry in sorted(self.entries, key=lambda one: one.slot):
            if kept and kept[-1].slot == entry.slot:
                kept[-1].count += entry.count
                kept[-1].weight += entry.weight
            else:
                kept.append(entry)
        self.entries = kept
        self.expire(now)

    def expire(self, now: int) -> None:
        """Forget what the window has left behind."""
        entries = self.entries
        if entries and entries[-1].slot * self.width > now:
            self._set_back(now // self.width)
        # The end of a slot's stay is (slot + 1) * width + span.
        before = (now - self.span) // self.width - 1
        while entries and entries[0].slot <= before:
            entry = entries.popleft()
            self.count -= entry.count
            self.weight -= entry.weight
            entry.slot = -1

    def leaves(self, at: int) -> int:
        """When a use made at ``at`` leaves the window."""
        return (at // self.width + 1) * self.width + self.span

    def room_at(self, what: int, need: int, ahead: Ahead, limit: int, now: int) -> int:
        """When ``need`` fits (``what``: COUNT or WEIGHT), once those ``ahead`` took theirs. Needs limit >= need.

        ``ahead`` holds calls, and the sum of what they need. Within one window the answer is exact, to the
        slot; each further full window of calls adds a span, and there all calls count as of mean size.
        """
        self.expire(now)
        total = ahead.tokens + need
        if total <= limit:
            return self._fits_at(what, total, limit, now)
        further, rest = divmod(total - 1, _filled(limit, need, ahead))
        at = self._fits_at(what, rest + 1, limit, now)
        if further:
            at = self.leaves(at) + (further - 1) * (self.width + self.span)
        return at

    def _fits_at(self, what: int, need: int, limit: int, now: int) -> int:
        excess = (self.count if what == COUNT else self.weight) + need - limit
        if excess <= 0:
            return now
        for entry in self.entries:
            excess -= entry.count if what == COUNT else entry.weight
            if excess <= 0:
                return self.leaves(entry.slot * self.width)
        return now

    def _set_back(self, slot: int) -> None:
        for entry in reversed(self.entries):
            if entry.slot <= slot:
                break
            entry.slot = slot


class Day:
    """Uses since midnight in California. ``since`` is that midnight."""

    __slots__ = (
        "_late_count",
        "_late_from",
        "_late_weight",
        "count",
        "margin",
        "rolls_at",
        "since",
        "weight",
    )

    def __init__(self, margin: int) -> None:
        self.margin = margin
        self.count = self.weight = self._late_count = self._late_weight = 0
        self.since = self.rolls_at = self._late_from = 0

    def charge(self, count: int, weight: int, now: int) -> None:
        """Add a use made now."""
        if not self.since - self.margin <= now < self.rolls_at:
            self.roll(now)
        self.count += count
        self.weight += weight
        if now >= self._late_from:
            self._late_count += count
            self._late_weight += weight

    def adjust(self, count: int, weight: int, at: int) -> None:
        """Add to (or take from) a use made at ``at``, if it belongs to the day that is counted."""
        if at >= self.since - self.margin:
            self.count = max(0, self.count + count)
            self.weight = max(0, self.weight + weight)
            if at >= self._late_from:
                self._late_count = max(0, self._late_count + count)
                self._late_weight = max(0, self._late_weight + weight)

    def roll(self, now: int) -> None:
        """Go to the day that is counted at ``now``: until the margin after midnight it is still the old one."""
        if self.since - self.margin <= now < self.rolls_at:
            return
        since = pacific.midnight(pacific.day_of(now - self.margin))
        if self.since and since > self.since:
            following = since == self.rolls_at - self.margin
            self.count = self._late_count if following else 0
            self.weight = self._late_weight if following else 0
            self._late_count = self._late_weight = 0
        # Where the clock was set back to another day, what was counted stays counted.
        self.since = since
        tomorrow = pacific.next_midnight(since)
        self.rolls_at = tomorrow + self.margin
        self._late_from = tomorrow - self.margin

    def clear(self) -> None:
        """Count from nothing: Google has shown that its day does not end at midnight."""
        self.count = self.weight = self._late_count = self._late_weight = 0

    def room_at(self, what: int, need: int, ahead: Ahead, limit: int, now: int) -> int:
        """As ``Rolling.room_at``; what a day cannot hold takes the next days."""
        self.roll(now)
        used, late = (self.count, self._late_count) if what == COUNT else (self.weight, self._late_weight)
        if used + ahead.tokens + need <= limit:
            return now
        each = -(-ahead.tokens // ahead.requests) if ahead.requests else 0
        today = min(ahead.tokens, max(0, limit - used) // each * each) if each else 0
        rest = ahead.tokens - today + need
        if now >= self._late_from:
            late += today
        full = _filled(limit, need, ahead)
        further = -(-max(0, rest - max(0, limit - late)) // full)
        if further > _MOST_DAYS:
            return NEVER
        day = pacific.day_of(self.rolls_at - self.margin) + timedelta(days=further)
        return pacific.midnight(day) + self.margin


def _filled(limit: int, need: int, ahead: Ahead) -> int:
    """How much of a limit calls of the mean size of these can fill: whole calls only, one of ``need`` at least."""
    mean = -(-(need + ahead.tokens) // (ahead.requests + 1))
    return max(limit // mean * mean, need) if 0 < mean <= limit else max(limit, 1)
