"""The quota brain: how much of every window is used, when there is room, and what refusals have taught.

Google counts requests and input tokens per project and model family, by the minute and by the Pacific day, and
spend per billing account over 10 minutes. This is a pure state machine: ``now`` (UTC microseconds) comes in.

Laws:

- a try is charged before it is sent, with an estimate, and settled with the truth, in the slot of its sending;
- ``room`` changes no answer, however often it is asked;
- limits come from the configuration, from the tier, or from refusals: a configured one only ever gets lower;
- a closing ends at its time, or with the success of a try that was sent after it, or, for a limit of 0, with a
  new configuration;
- what cannot be known is rounded to the safe side (see ``core.windows``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from gemgate.core.buckets import OPEN, Account, Closing, Counted
from gemgate.core.learning import PREPAID, Lesson, lessons
from gemgate.core.verdict import Verdict
from gemgate.core.windows import (
    DAY_WINDOWS,
    NEVER,
    SECOND,
    WINDOWS,
    Ahead,
    Bucket,
    Entry,
    Limits,
    Room,
)

__all__ = ["NEVER", "Ahead", "Bucket", "Hold", "Limits", "Quota", "Room", "Used", "Window"]

_NOBODY = Ahead()
# Families come from callers, who may invent them: this many are kept before idle ones are dropped.
_MANY = 1000


class Window(msgspec.Struct, frozen=True):
    """One window as readers see it.

    ``window`` is ``rpm``, ``tpm``, ``rpd``, ``tpd`` or ``spend`` (nano-dollars). A spend row has the billing
    account as ``family`` and no project, or where no account is known, the project and no family. ``source``
    of the limit is ``config``, ``tier``, ``learned`` or empty. ``closed_until`` is 0 while open, ``reason`` the
    verdict's word for the closing; ``room_at`` is when the smallest request has room, 0 for now; ``since`` the
    midnight from which a day is counted.
    """

    project: str
    family: str
    window: str
    limit: int | None = None
    source: str = ""
    used: int = 0
    closed_until: int = 0
    reason: str = ""
    room_at: int = 0
    since: int = 0


class Used(msgspec.Struct, frozen=True):
    """Use on record: one try, or several of one moment together. Each try belongs to one row only."""

    bucket: Bucket
    sent_at: int
    requests: int = 1
    tokens: int = 0
    nano: int = 0


class Hold:
    """What one try was charged. It is settled or given back, and may be settled again."""

    __slots__ = ("_counted", "_minute", "_spend", "at", "bucket", "nano", "over", "tokens")

    def __init__(self, counted: Counted, tokens: int, nano: int, at: int) -> None:
        self.bucket = counted.bucket
        self.tokens = tokens
        self.nano = nano
        self.at = at
        self.over = False
        self._counted = counted
        self._minute = counted.minute.charge(1, tokens, at)
        counted.day.charge(1, tokens, at)
        self._spend: tuple[Account, Entry] | None = None
        if nano:
            account = counted.account
            account.touched = True
            self._spend = account, account.spend.charge(1, nano, at)

    def correct(self, requests: int, tokens: int, nano: int) -> None:
        """Put the charge right by these differences."""
        if requests or tokens:
            self._counted.minute.adjust(self._minute, requests, tokens)
            self._counted.day.adjust(requests, tokens, self.at)
            self.tokens += tokens
        if nano:
            if self._spend is None:
                # A try that was thought to cost nothing: its money counts from its sending all the same.
                account = self._counted.account
                account.touched = True
                self._spend = account, account.spend.late(self.at)
            account, entry = self._spend
            account.spend.adjust(entry, 0, nano)
            self.nano += nano

    def succeeded(self) -> None:
        """Google took the try: what was closed before it was sent is open again."""
        counted = self._counted
        if counted.closed:
            counted.reopen(lambda closing: closing.since < self.at)
        closing = counted.account.closing
        if closing.until and closing.since < self.at:
            counted.account.closing = OPEN


class Quota:
    """All windows of all projects.

    ``limits`` gives what is configured for a bucket or usual in its tier, ``account`` the billing account of a
    project ("" where the project stands for itself), ``spend`` the nano-dollars that an account (or such a
    project) may spend in 10 minutes, or None. ``margin``, in seconds, is kept from the edges of windows for the
    way to Google and the difference of clocks.
    """

    def __init__(
        self,
        limits: Callable[[Bucket], Limits],
        account: Callable[[str], str],
        spend: Callable[[str], int | None],
        margin: float = 1.0,
    ) -> None:
        self._limits = limits
        self._account_of = account
        self._spend = spend
        self._margin = round(margin * SECOND)
        self._counted: dict[Bucket, Counted] = {}
        self._accounts: dict[Bucket, Account] = {}
        self._many = _MANY

    def room(self, bucket: Bucket, tokens: int, now: int, ahead: Ahead = _NOBODY, nano: int = 0) -> Room:
        """When a call of so many input tokens has room, after those that wait before it.

        ``nano`` is what it may cost; without it, spend has room while anything of it is left. NEVER: it is
        larger than a limit, or its bucket is closed for good.
        """
        counted = self._counted.get(bucket) or self._keep(bucket, now)
        requests, others = ahead
        minute, day, account = counted.minute, counted.day, counted.account
        limit = account.limit
        if (
            now >= counted.closed
            and minute.count + requests < counted.rpm
            and minute.weight + others + tokens <= counted.tpm
            and day.count + requests < counted.rpd
            and day.weight + others + tokens <= counted.tpd
            and now >= account.closing.until
            and (limit is None or account.spend.weight + (nano or 1) * (requests + 1) <= limit)
        ):
            return Room(now)
        found = Room(now)
        for window, at in counted.rooms(tokens, now, ahead, nano):
            if at > found.at:
                found = Room(at, window)
        return found

    def take(self, bucket: Bucket, tokens: int, nano: int, now: int) -> Hold:
        """Charge a try that goes out now. It never fails; ask ``room`` first."""
        counted = self._counted.get(bucket) or self._keep(bucket, now)
        counted.touched = True
        return Hold(counted, tokens, nano, now)

    def settle(self, hold: Hold, tokens: int | None, nano: int | None, now: int) -> None:
        """The truth of a try: its input tokens (known ones mean that Google took it) and its nano-dollars.

        None leaves the estimate. It may be told in parts and again; after everything was given back it is void.
        """
        if hold.over:
            return
        more = 0 if tokens is None else tokens - hold.tokens
        money = 0 if nano is None else nano - hold.nano
        if more or money:
            hold.correct(0, more, money)
        if tokens is not None:
            hold.succeeded()

    def give_back(self, hold: Hold, now: int, *, sent: bool) -> None:
        """The try was never sent (everything comes back) or refused by Google (its request stays counted)."""
        if not hold.over:
            hold.over = not sent
            hold.correct(0 if sent else -1, -hold.tokens, -hold.nano)

    def learn(self, bucket: Bucket, verdict: Verdict, now: int) -> int:
        """Learn from a refusal. Returns when the bucket reopens (µs, NEVER), 0 when it taught nothing."""
        if verdict.reason == "prepaid":
            account = self._keep(bucket, now).account
            account.touched = True
            account.closing = Closing(max(now + PREPAID, account.closing.until), verdict.reason, now)
            return account.closing.until
        reopens = 0
        for lesson in lessons(verdict, bucket.family, now, self._margin):
            self._learn(self._keep(Bucket(bucket.project, lesson.family), now), lesson, verdict.reason, now)
            if lesson.family == bucket.family:
                reopens = max(reopens, lesson.until)
        return reopens

    def reload(
        self,
        limits: Callable[[Bucket], Limits],
        account: Callable[[str], str],
        spend: Callable[[str], int | None],
    ) -> None:
        """Take a new configuration. Use and what was learned stay, but for limits of 0: they may be healed.

        What was learned of a window whose configured number has changed is forgotten too: it was another tier.
        """
        self._limits, self._account_of, self._spend = limits, account, spend
        for held in self._accounts.values():
            held.limit = spend(held.key.family or held.key.project)
        for bucket, counted in self._counted.items():
            old, counted.base = counted.base, limits(bucket)
            for name in [name for name in counted.learned if old.of(name) != counted.base.of(name)]:
                del counted.learned[name]
            counted.account = self._account(bucket.project)
            counted.reopen(lambda closing: closing.reason == "quota_zero")

    def windows(self, now: int) -> list[Window]:
        """The windows of all buckets that were ever tried, and the spend of their accounts."""
        tried = [one for one in self._counted.values() if one.touched]
        for one in tried:
            one.account.touched |= one.account.limit is not None
        found = [row for one in tried for row in _bucket_rows(one, now)]
        return found + [_spend_row(one, now) for one in self._accounts.values() if one.touched]

    def restore(self, windows: Iterable[Window], used: Iterable[Used], now: int) -> None:
        """Come back from a restart: learned limits and closings from ``windows``, use from ``used``.

        A day's use is the larger of what both say. To be called once, before the first ``take``.
        """
        uses: dict[Bucket, list[Used]] = {}
        for use in used:
            uses.setdefault(use.bucket, []).append(use)
        money: dict[Bucket, list[tuple[int, int, int]]] = {}
        for bucket, rows in uses.items():
            counted = self._keep(bucket, now)
            counted.touched = True
            counted.minute.restore([(use.sent_at, use.requests, use.tokens) for use in rows], now)
            counted.day.roll(now)
            for use in rows:
                counted.day.adjust(use.requests, use.tokens, min(use.sent_at, now))
            money.setdefault(counted.account.key, []).extend(
                (use.sent_at, use.requests, use.nano) for use in rows if use.nano
            )
        for key, spent in money.items():
            self._accounts[key].touched = True
            self._accounts[key].spend.restore(spent, now)
        for window in windows:
            self._restore(window, now)

    def _restore(self, window: Window, now: int) -> None:
        closing = Closing(window.closed_until, window.reason, now)
        closed = window.closed_until > now
        if window.window not in WINDOWS:
            account = self._account_named(Bucket(window.project, window.family))
            account.touched = True
            account.closing = closing if closed else OPEN
            return
        counted = self._keep(Bucket(window.project, window.family), now)
        counted.touched = True
        if window.source == "learned" and window.limit is not None:
            counted.learned[window.window] = window.limit
            counted.count_limits()
        if closed:
            counted.close(window.window, closing)
        counted.day.roll(now)
        if window.window in DAY_WINDOWS and window.since == counted.day.since:
            what = "count" if window.window == "rpd" else "weight"
            setattr(counted.day, what, max(getattr(counted.day, what), window.used))

    def _learn(self, counted: Counted, lesson: Lesson, reason: str, now: int) -> None:
        counted.touched = True
        if lesson.limit is not None:
            counted.learned[lesson.window] = lesson.limit
            counted.count_limits()
        if lesson.rolls:
            counted.day.clear()
        counted.close(lesson.window, Closing(lesson.until, reason, now))

    def _keep(self, bucket: Bucket, now: int) -> Counted:
        """The bucket's state, kept from now on."""
        counted = self._counted.get(bucket)
        if counted is None:
            if len(self._counted) >= self._many:
                self._counted = {key: one for key, one in self._counted.items() if not one.idle(now)}
                self._many = max(_MANY, 2 * len(self._counted))
            account = self._account(bucket.project)
            counted = Counted(bucket, account, self._limits(bucket), self._margin)
            self._counted[bucket] = counted
        return counted

    def _account(self, project: str) -> Account:
        name = self._account_of(project)
        return self._account_named(Bucket("", name) if name else Bucket(project, ""))

    def _account_named(self, key: Bucket) -> Account:
        account = self._accounts.get(key)
        if account is None:
            limit = self._spend(key.family or key.project)
            account = self._accounts[key] = Account(key, limit, self._margin)
        return account


def _bucket_rows(counted: Counted, now: int) -> Iterator[Window]:
    minute, day = counted.minute, counted.day
    minute.expire(now)
    day.roll(now)
    for name, used in zip(WINDOWS, (minute.count, minute.weight, day.count, day.weight), strict=True):
        limit, source = counted.limit(name)
        closing = counted.closings.get(name, OPEN)
        if closing.until <= now:
            closing = OPEN
        room_at = max(counted.room_at(name, 1, Ahead(), now), closing.until)
        yield Window(
            project=counted.bucket.project,
            family=counted.bucket.family,
            window=name,
            limit=limit,
            source=source,
            used=used,
            closed_until=closing.until,
            reason=closing.reason,
            room_at=room_at if room_at > now else 0,
            since=day.since if name in DAY_WINDOWS else 0,
        )


def _spend_row(account: Account, now: int) -> Window:
    account.spend.expire(now)
    closing = account.closing if account.closing.until > now else OPEN
    room_at = max(account.room_at(1, 0, now), closing.until)
    return Window(
        project=account.key.project,
        family=account.key.family,
        window="spend",
        limit=account.limit,
        used=account.spend.weight,
        closed_until=closing.until,
        reason=closing.reason,
        room_at=room_at if room_at > now else 0,
    )
