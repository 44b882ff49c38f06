"""What is known of one bucket and of one billing account: use, limits in force, and closings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gemgate.core.windows import (
    COUNT,
    NEVER,
    SECOND,
    WEIGHT,
    WINDOWS,
    Ahead,
    Bucket,
    Day,
    Limits,
    Rolling,
)

_MINUTE = 60 * SECOND
_MINUTE_SLOT = SECOND // 10
_SPEND = 600 * SECOND
_SPEND_SLOT = SECOND


class Closing(msgspec.Struct, frozen=True):
    """A window is closed until a moment, since a refusal at another."""

    until: int
    reason: str
    since: int


OPEN = Closing(0, "", 0)


class Account:
    """The spend of one billing account, or of a project without one. ``touched`` as in ``Counted``."""

    __slots__ = ("closing", "key", "limit", "spend", "touched")

    def __init__(self, key: Bucket, limit: int | None, margin: int) -> None:
        self.key = key
        self.spend = Rolling(_SPEND + margin, _SPEND_SLOT)
        self.limit = limit
        self.closing = OPEN
        self.touched = False

    def room_at(self, nano: int, requests: int, now: int) -> int:
        """When a call of so many nano-dollars (0: unknown) may go, after so many like it."""
        if self.limit is None:
            return now
        if not self.limit:
            return NEVER
        each = min(nano or 1, self.limit)
        return self.spend.room_at(WEIGHT, each, Ahead(requests, each * requests), self.limit, now)


class Counted:
    """All that is known of one bucket. ``rpm`` … ``tpd`` are the limits in force, NEVER where none is known.

    ``touched``: something was ever charged, learned or restored here.
    """

    __slots__ = (
        *("account", "base", "bucket", "closed", "closings", "day", "learned", "minute", "touched"),
        *WINDOWS,
    )

    rpm: int
    tpm: int
    rpd: int
    tpd: int

    def __init__(self, bucket: Bucket, account: Account, base: Limits, margin: int) -> None:
        self.bucket = bucket
        self.account = account
        self.base = base
        self.minute = Rolling(_MINUTE + margin, _MINUTE_SLOT)
        self.day = Day(margin)
        self.learned: dict[str, int] = {}
        self.closings: dict[str, Closing] = {}
        self.closed = 0
        self.touched = False
        self.count_limits()

    def count_limits(self) -> None:
        """Work out the limits in force."""
        for name in WINDOWS:
            limit, _ = self.limit(name)
            setattr(self, name, NEVER if limit is None else limit)

    def limit(self, window: str) -> tuple[int | None, str]:
        """The limit in force and its source."""
        known, learned = self.base.of(window), self.learned.get(window)
        usual = window in self.base.tier
        if learned is not None and (known is None or usual or learned < known):
            return learned, "learned"
        return known, "" if known is None else "tier" if usual else "config"

    def close(self, window: str, closing: Closing) -> None:
        """Close a window; one that is closed for longer stays so."""
        old = self.closings.get(window)
        if old is not None and old.until > closing.until:
            closing = Closing(old.until, old.reason, closing.since)
        self.closings[window] = closing
        self.closed = max(self.closed, closing.until)

    def reopen(self, which: Callable[[Closing], bool]) -> None:
        """End those closings, and forget a limit of 0 with its own."""
        for name in [name for name, closing in self.closings.items() if which(closing)]:
            if self.closings.pop(name).reason == "quota_zero" and self.learned.get(name) == 0:
                del self.learned[name]
        self.closed = max((closing.until for closing in self.closings.values()), default=0)
        self.count_limits()

    def idle(self, now: int) -> bool:
        """Whether nothing would be lost without it."""
        self.minute.expire(now)
        day = (self.rpd < NEVER or self.tpd < NEVER) and self.day.count
        return not (self.minute.entries or self.learned or self.closed > now or day)

    def room_at(self, window: str, need: int, ahead: Ahead, now: int) -> int:
        """When a window has room for ``need``, leaving closings aside."""
        limit: int = getattr(self, window)
        if limit == NEVER:
            return now
        if need > limit:
            return NEVER
        what = COUNT if window[0] == "r" else WEIGHT
        return (self.day if window[2] == "d" else self.minute).room_at(what, need, ahead, limit, now)

    def rooms(self, tokens: int, now: int, ahead: Ahead, nano: int) -> Iterator[tuple[str, int]]:
        """Every window, with when it lets a call through after those ahead."""
        requests = Ahead(ahead.requests, ahead.requests)
        for window in WINDOWS:
            counting = window[0] == "r"
            at = self.room_at(window, 1 if counting else tokens, requests if counting else ahead, now)
            closing = self.closings.get(window)
            yield window, at if closing is None else max(at, closing.until)
        account = self.account
        yield "spend", max(account.room_at(nano, ahead.requests, now), account.closing.until)
