"""The brakes: what each call holds of budgets and of its key's limits, from the moment it is let in to its row.

Laws:

- a call is let in once, with everything it needs or with nothing: there is no await between the look and the taking;
- nobody overtakes: who finds no room waits in line for what bars it, and whoever needs that too waits behind;
- a budget that is spent is final at once, for those in line too; what heals in seconds is waited for;
- whoever was let in is let out once, by ``settle``: then the truth takes the place of the estimate;
- everything here belongs to the event loop's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from typing import Protocol

from gemgate.config import Settings
from gemgate.core import access
from gemgate.core.access import Key, Keys
from gemgate.core.budget import Bar, Budget, Budgets
from gemgate.core.call import Attempt, Charged, Event
from gemgate.core.errors import Refused
from gemgate.core.estimate import Estimates
from gemgate.core.periods import ROLLING
from gemgate.core.quota import Bucket, Limits, Quota, Used
from gemgate.core.routing import Plan, Target
from gemgate.core.runaway import Alarm, Runaway
from gemgate.core.verdict import Kind
from gemgate.core.windows import NEVER, SECOND
from gemgate.gateway import limits
from gemgate.gateway.appraisal import Appraiser
from gemgate.gateway.clock import Clock
from gemgate.gateway.entry import Braked, Entry, Tried, tokens
from gemgate.gateway.notices import Notices
from gemgate.gateway.turnstile import Met, Turnstile

log = logging.getLogger("gemgate.gateway")

_SHARE = 1 / 16  # how much one more call weighs in the mean time that calls take
_LONGEST = 60 * SECOND
_NO_LIMITS = Limits()


class Learned(Protocol):
    """Whoever knows what calls usually take: the board."""

    estimates: Estimates


class Brakes:
    """Budgets, limits of keys, and the watch for runaway keys.

    ``stops`` are keys to be stopped in the store: number, when (UTC µs), why. Whoever writes them takes them out.
    """

    def __init__(self, clock: Clock, learned: Learned) -> None:
        self.clock = clock
        self.budgets = Budgets(())
        self.runaway: Runaway | None = None
        self.stops: list[tuple[int, int, str]] = []
        self._estimates = learned.estimates
        self._appraiser = Appraiser(learned.estimates)
        self._keys: dict[int, Key] = {}
        self._quota = Quota(self._limits, lambda _: "", lambda _: None, margin=0.0)
        self._busy: dict[int, int] = {}
        self._stopped: dict[int, str] = {}
        self._stop = False
        self._took = float(SECOND)
        self._line = Turnstile(clock, self._admit, self._undo)
        self._notices = Notices(self.budgets)

    def reload(
        self, keys: Keys, budgets: Sequence[Budget], spent: Iterable[Charged], settings: Settings
    ) -> None:
        """Take what is in force now. What was used, spent and is held stays; ``spent`` is for new budgets."""
        self._keys = {key.id: key for key in keys.every}
        now = self.clock.now()
        known = {row.budget.id for row in self.budgets.state(now)}
        self.budgets.reload(budgets, spent)
        self._notices.known([one for one in budgets if one.id not in known], now)
        self._quota.reload(self._limits, lambda _: "", lambda _: None)
        for number in [
            one for one in self._stopped if (key := self._keys.get(one)) is None or key.stopped_at
        ]:
            del self._stopped[number]  # the store knows
        brakes = settings.brakes
        self._stop = brakes.runaway == "stop"
        if brakes.runaway == "off":
            self.runaway = None
        elif self.runaway is None:
            self.runaway = Runaway(brakes.runaway_factor, brakes.repeats)
        else:
            self.runaway.factor, self.runaway.repeats = brakes.runaway_factor, brakes.repeats
        self._line.poke()

    def stopped_on_record(self, ids: Iterable[int]) -> None:
        """The store has these stops, and what it says of the keys was read after: it alone decides from now on."""
        for number in ids:
            self._stopped.pop(number, None)

    def restore(
        self, used: Iterable[tuple[int, int, int, int]], hours: Iterable[tuple[int, int, int]] = ()
    ) -> None:
        """Come back from a restart, once and before the first call.

        ``used`` are the last minute's calls of keys: key, when (UTC µs), how many, tokens. ``hours`` is what keys
        spent before: key, start of the hour (UTC µs), nano-dollars, in the order of time.
        """
        rows = [Used(_window(key), at, calls, tokens) for key, at, calls, tokens in used]
        self._quota.restore((), rows, self.clock.now())
        if self.runaway is not None:
            self.runaway.past(sorted(hours, key=lambda row: row[1]))

    def apply(self, ticket: Braked) -> bool:
        """Whether anything here concerns the call."""
        return ticket.key is not None or self.budgets.any

    async def enter(self, ticket: Braked, plan: Plan, patience: float) -> Entry:
        """Let a call in, when it has room in all that applies to it, after ``patience`` seconds at most.

        Raises Refused: 402 BUDGET_SPENT, 403 KEY_STOPPED, UNPRICED_MODEL; 429 BUDGET_HELD, KEY_BUSY, KEY_RATE with
        the seconds after which it may have room.
        """
        now = self.clock.now()
        key, target = ticket.key, plan.targets[0] if plan.targets else None
        budgets = self.budgets.of(key.name if key is not None else "", ticket.tags, ticket.route)
        entry = Entry(ticket.call_id, key, budgets, target)
        if target is not None and (budgets or self.budgets.any or (key is not None and key.tpm is not None)):
            found = self._appraiser.appraise(ticket, target, now)
            if found is None:
                entry.budgets = ()  # what costs nothing passes every budget
            else:
                entry.estimate, entry.output = found.estimate, found.output
        model = ticket.asked.model if ticket.asked is not None else ""
        met = self._admit(entry, 0, now)
        if isinstance(met, Met):
            try:
                met = await self._line.wait(entry, met, patience)
            finally:
                ticket.waited += self.clock.now() - now
        if isinstance(met, Bar):
            raise self._notices.spent(ticket, met, model, self.clock.now())
        if met is not None:
            raise self._turned_away(entry, met)
        ticket.entry = entry
        if entry.budgets:
            self._notices.warn(ticket, entry, now)
        return entry

    def _admit(self, entry: Entry, number: int, now: int) -> Met | Bar | None:
        """Take all that the call needs, or say what bars it. ``number`` is its place in line, 0 for a newcomer.

        Raises Refused for a key that was stopped, disabled or has expired meanwhile.
        """
        key, line = entry.key, self._line
        if key is not None:
            if self._stopped and key.id in self._stopped:
                raise access.stopped(key.name, self._stopped[key.id])
            key = entry.key = self._keys.get(key.id, key)
            access.fit(key, now)
            met = self._barred_key(entry, key, number, now)
            if met is not None:
                return met
        if entry.budgets:
            if line.waiting and (bar := self._behind(entry, number, now)) is not None:
                return bar
            held = self.budgets.hold(entry.call, entry.budgets, entry.estimate, now)
            if isinstance(held, Bar):
                return held if held.final else Met(Bucket("", f"budget:{held.budget.id}"), bar=held)
            entry.held = held
        entry.began = now
        if key is not None:
            self._busy[key.id] = self._busy.get(key.id, 0) + 1
            if key.rpm is not None or key.tpm is not None:
                entry.window = self._quota.take(_window(key.id), entry.estimate.tokens_most, 0, now)
        return None

    def _behind(self, entry: Entry, number: int, now: int) -> Met | Bar | None:
        """Whoever waits for one of the call's budgets goes first; but a final bar is said at once."""
        behind: Met | None = None
        for budget in entry.budgets:
            bar = self.budgets.bars(budget, entry.estimate, now)
            if bar is not None and bar.final:
                return bar
            place = Bucket("", f"budget:{budget.id}")
            if behind is None and self._line.ahead(place, number).requests:
                behind = Met(place, bar=bar or self.budgets.standing(budget, now))
        return behind

    def _barred_key(self, entry: Entry, key: Key, number: int, now: int) -> Met | None:
        """The key's own limit that bars the call."""
        line, busy = self._line, self._busy.get(key.id, 0)
        if key.concurrency is not None:
            place = Bucket("", f"busy:{key.id}")
            ahead = line.ahead(place, number).requests if line.waiting else 0
            if busy >= key.concurrency or ahead:
                turns = (busy + ahead + 1) / max(key.concurrency, 1)
                return Met(place, wait=max(1.0, min(self._took * turns, _LONGEST) / SECOND))
        if key.rpm is None and key.tpm is None:
            return None
        place, estimate = _window(key.id), entry.estimate
        before = line.ahead(place, number)
        least, most = estimate.tokens_least, estimate.tokens_most
        if key.tpm is not None and least <= key.tpm:
            most = min(most, key.tpm)
        room = self._quota.room(place, most, now, before)
        if room.at > now and not busy and not before.requests and room.window == "tpm":
            # As with budgets: the last call of a minute may go alone, when the least it takes fits.
            room = self._quota.room(place, least, now)
        if room.at <= now and not before.requests:
            return None
        return Met(place, at=max(room.at, now), window=room.window or "rpm", tokens=most)

    def more(self, ticket: Braked, trial: Tried) -> tuple[Charged, ...]:
        """Hold what this try may cost, before it is sent; returns it for the intent. () for a call without entry.

        The try is told the most output tokens that it may have (``output_estimate``).
        Of a call in parts each try holds its own, and the call what the parts after it may take besides.
        Raises Refused 402, 403 or 429 where it has no room: budgets of its project, or earlier tries that may have
        cost money.
        """
        entry = ticket.entry
        if entry is None or entry.over:
            return ()
        budgets = entry.budgets
        projects = self.budgets.of_project(trial.target.project)
        share = ticket.share
        if not projects and not entry.tries and trial.target == entry.target and share is None:
            entry.tries[trial.number] = entry.held
            trial.output_estimate = entry.output
            return entry.held
        if not budgets and not projects:
            return ()
        now, estimate, output = self.clock.now(), entry.estimate, entry.output
        if trial.target != entry.target or not budgets:
            found = self._appraiser.appraise(ticket, trial.target, now)
            if found is None:
                return ()
            estimate, output = found.estimate, found.output
        before, concerned = entry.before(ticket.trials, trial), (*budgets, *projects)
        if share is None:
            held = self.budgets.more(entry.call, concerned, estimate, now, before)
        else:
            ask = partial(self.budgets.more, entry.call, now=now, before=before)
            held = entry.part(share, concerned, estimate, before, ask)
        if isinstance(held, Bar):
            if held.final:
                raise self._notices.spent(ticket, held, trial.target.model, now)
            raise limits.held(held, max(1.0, self._took / SECOND))
        entry.tries[trial.number] = held
        trial.output_estimate = output
        return held

    def barred(self, ticket: Braked, target: Target) -> float | None:
        """For how many seconds a budget bars a try at this target; None: none does."""
        bar = self.bar(ticket, target)
        if bar is None:
            return None
        if not bar.final:
            return max(1.0, self._took / SECOND)
        return inf if bar.resets_at >= NEVER else max(1.0, (bar.resets_at - self.clock.now()) / SECOND)

    def refusal(self, ticket: Braked, target: Target) -> Refused:
        """What a call is told that budgets keep from every target; this is the first of them."""
        bar = self.bar(ticket, target)
        if bar is None:
            return limits.freed(target.project)
        if not bar.final:
            return limits.held(bar, max(1.0, self._took / SECOND))
        return self._notices.spent(ticket, bar, target.model, self.clock.now())

    def bar(self, ticket: Braked, target: Target) -> Bar | None:
        """What a budget of the call, or of this target's project, has against a try there now; changes nothing.

        The first try at the target that the call was let in for has its room in the call's own budgets.
        """
        entry, concerned = ticket.entry, self.budgets.of_project(target.project)
        if entry is not None and entry.budgets and (entry.tries or target != entry.target):
            concerned = (*entry.budgets, *concerned)
        if not concerned:
            return None
        now = self.clock.now()
        found = self._appraiser.appraise(ticket, target, now)
        if found is None:
            return None
        estimate, share = found.estimate, ticket.share
        before = entry.before(ticket.trials) if entry is not None else lambda _: 0
        asked: Sequence[Budget] = concerned
        if entry is not None and share is not None:
            asked, estimate = entry.beyond(share, concerned, estimate, before)
        rows = (self.budgets.bars(one, estimate, now, ticket.call_id, before(one)) for one in asked)
        bars = [bar for bar in rows if bar is not None]
        return next((bar for bar in bars if bar.final), bars[0] if bars else None)

    def settle(
        self, ticket: Braked, attempts: Sequence[Attempt], request_hash: int = 0
    ) -> tuple[Charged, ...]:
        """Let a call out: charge what its tries took, free what else it held. Returns what its row must charge.

        Without attempts nothing was sent, and everything comes back. ``request_hash`` is that of the body.
        """
        entry = ticket.entry
        if entry is None or entry.over:
            return ()
        entry.over = True
        now = self.clock.now()
        self._free(entry, attempts, now)
        charged: tuple[Charged, ...] = ()
        if not attempts:
            self.budgets.release(entry.call)
        elif entry.held or entry.tries:
            charged = self.budgets.settle(entry.call, entry.actual(attempts), now)
            if charged:
                self._notices.soft(ticket, entry.budgets, now)
        for one in attempts:
            if one.verdict is Kind.OK and one.usage is not None and one.usage.output:
                self._estimates.learn_output(one.model, one.usage.output + one.usage.thoughts)
        if entry.key is not None and attempts and self.runaway is not None:
            nano = sum(one.cost.billed or 0 for one in attempts if one.cost is not None)
            alarm = self.runaway.seen(entry.key.id, nano, request_hash, now)
            if alarm is not None:
                self._alarm(ticket, entry.key, alarm)
        self._line.poke()
        return charged

    def leave(self, ticket: Braked) -> None:
        """Let a call out that never came to a try."""
        self.settle(ticket, ())

    def _undo(self, entry: Entry) -> None:
        """A call that was let in has left before it knew."""
        self._free(entry, (), self.clock.now())
        self.budgets.release(entry.call)
        self._line.poke()

    def _free(self, entry: Entry, attempts: Sequence[Attempt], now: int) -> None:
        """The key's slot and its tokens of the minute."""
        if entry.key is not None:
            left = self._busy.get(entry.key.id, 0) - 1
            if left > 0:
                self._busy[entry.key.id] = left
            else:
                self._busy.pop(entry.key.id, None)
        if entry.window is not None:
            if attempts:
                self._quota.settle(entry.window, tokens(attempts), None, now)
            else:
                self._quota.give_back(entry.window, now, sent=False)
        if attempts:
            self._took += _SHARE * (max(0, now - entry.began) - self._took)

    def _turned_away(self, entry: Entry, met: Met) -> Refused:
        """The refusal of a call whose patience is over."""
        if met.bar is not None:
            return limits.held(met.bar, max(1.0, self._took / SECOND))
        assert entry.key is not None
        key = self._keys.get(entry.key.id, entry.key)
        return (
            limits.rate(key, met.window, met.at, self.clock.now())
            if met.window
            else limits.busy(key, met.wait)
        )

    def _alarm(self, ticket: Braked, key: Key, alarm: Alarm) -> None:
        log.warning("the key %s runs away: %s", key.name, alarm.sentence)
        ticket.events += (Event(alarm.at, f"runaway_{alarm.kind}", key.name, alarm.sentence),)
        if self._stop:
            self._stopped[key.id] = alarm.sentence
            self.stops.append((key.id, alarm.at, alarm.sentence))

    def shown(self) -> dict[str, object]:
        """What readers of the gateway's state see: how budgets stand, and what keys have under way and in line."""
        return {
            "budgets": [
                {
                    "name": row.budget.name,
                    "unit": row.budget.unit,
                    "amount": row.budget.amount,
                    "spent": row.spent,
                    "held": row.held,
                    # That of a rolling span moves by itself, so that the state would be written each second.
                    "resets_at": row.resets_at if row.budget.period != ROLLING else 0,
                }
                for row in self.budgets.state(self.clock.now())
            ],
            "busy": {self._keys[key].name: count for key, count in self._busy.items() if key in self._keys},
            "waiting": self._line.waiting,
        }

    def _limits(self, bucket: Bucket) -> Limits:
        key = self._keys.get(int(bucket.family.rpartition(":")[2] or 0))
        return Limits(rpm=key.rpm, tpm=key.tpm) if key is not None else _NO_LIMITS


def _window(key: int) -> Bucket:
    """Where a key's calls and tokens of the minute are counted."""
    return Bucket("", f"key:{key}")
