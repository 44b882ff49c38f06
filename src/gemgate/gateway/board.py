"""What the gateway knows now of quota, health and pace: the one place where these meet the clock.

Laws:

- everything here belongs to the event loop's thread; nothing waits;
- looking (``Sight.standing``) changes nothing; ``take`` charges, and each take is ended once by ``met``, ``left``
  or ``unsent`` and settled once by ``settled``;
- a call that found room may go only when nobody waits in line for the same window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import msgspec

from gemgate.core.actions import UNREACHED
from gemgate.core.call import Cost, Streaming
from gemgate.core.estimate import Estimates
from gemgate.core.health import Change, Health, Standing, State
from gemgate.core.line import Line
from gemgate.core.pace import Allowance, Pace
from gemgate.core.quota import NEVER, Bucket, Hold, Quota
from gemgate.core.routing import Target
from gemgate.core.spending import CONTEXT
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.request import Asked
from gemgate.gateway.clock import Clock
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.ticket import Ticket, Trial

READY = Standing()
PAUSED = Standing(math.inf, "paused")
TAUGHT = frozenset({"quota_minute", "quota_tokens", "quota_day", "quota_zero", "prepaid"})
_SECOND = 1_000_000


class Board:
    """Windows, breakers, pace and the line of those who wait.

    ``poke`` is called when a way may have opened, while there are ``waiters``. ``budget_bar`` says for how many
    seconds a budget bars a call there; None while there is no budget.
    """

    def __init__(self, clock: Clock, snapshot: Snapshot) -> None:
        self.clock = clock
        self.chance = Random()  # noqa: S311 - jitter is no secret
        self.quota = Quota(
            snapshot.limits, snapshot.account, snapshot.spend, snapshot.settings.routing.margin
        )
        self.health = Health(lambda model: self._snapshot.catalog.card(model) is not None)
        self.pace = Pace()
        self.estimates = Estimates()
        self.line = Line()
        self.allowance = Allowance(snapshot.settings.routing.hedge_allowance)
        self.changes: list[Change] = []
        self.waiters = 0
        self.poke: Callable[[], None] = _nothing
        self.budget_bar: Callable[[Ticket, Target], float | None] | None = None
        self._snapshot = snapshot
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def reload(self, snapshot: Snapshot, *, configured: bool = True) -> None:
        """A new snapshot: what was used and learned stays. ``configured``: of a new configuration, and not only of
        other stored things, so that keys and projects may be others too."""
        self._snapshot = snapshot
        self._buckets.clear()
        self.quota.reload(snapshot.limits, snapshot.account, snapshot.spend)
        if configured:
            self.allowance = Allowance(snapshot.settings.routing.hedge_allowance)
            self.changes += self.health.mended(self.clock.now())
        self.poke()

    def paused(self, target: Target) -> bool:
        """Whether an administrator lets no new tries go there: also those of calls that began before."""
        return target.project in self._snapshot.paused

    def bucket(self, target: Target) -> Bucket:
        """What Google counts this target's calls in."""
        key = (target.project, target.model)
        found = self._buckets.get(key)
        if found is None:
            if len(self._buckets) > 10_000:
                self._buckets.clear()  # names come from callers
            found = self._buckets[key] = Bucket(target.project, self._snapshot.catalog.family(target.model))
        return found

    def take(self, trial: Trial, sight: Sight) -> None:
        """Charge a try that goes out now; one that waited in line has its room already."""
        if not trial.routed:
            return
        now = self.clock.now()
        trial.sent_at = now
        if not trial.holds and sight.metered:
            trial.holds = sight.charge(trial.target, now)
        self.health.begin(trial.target, now)

    def give_back(self, holds: tuple[Hold, ...], *, sent: bool) -> None:
        """What was charged for a try that did not leave, or that Google refused."""
        now = self.clock.now()
        for hold in holds:
            self.quota.give_back(hold, now, sent=sent)

    def met(self, trial: Trial, found: Verdict) -> None:
        """A try has been judged: teach windows and breakers."""
        if not trial.routed:
            return
        now = self.clock.now()
        target = trial.target
        if found.kind is Kind.OK:
            # A whole answer is settled in a moment; a stream has its input counted long before its end.
            usage = trial.meter.usage if trial.meter is not None and not trial.ended else None
            if usage is not None and usage.input:
                for hold in trial.holds:
                    self.quota.settle(hold, usage.input, None, now)
        elif trial.holds:
            if not found.billed or found.reason in UNREACHED:  # Google took no tokens in
                self.give_back(trial.holds, sent=found.reason not in UNREACHED)
            if found.reason in TAUGHT:
                self.quota.learn(trial.holds[0].bucket, found, now)
        if found.ok and target.model and not trial.holds:
            # That tokens were counted, or a file was read, says nothing of the model that should generate.
            self.health.left(target, now, trial.sent_at)
            changes: tuple[Change, ...] = ()
        else:
            changes = self.health.met(target, found, trial.sent_at, now, self.chance.random())
        if found.scope is Scope.KEY or found.ok:
            changes += self.health.met_key(trial.credential, found, now)
        if changes:
            self.changes += changes
        if self.waiters and (changes or found.kind is not Kind.OK or trial.holds):
            self.poke()

    def left(self, trial: Trial) -> None:
        """A try was given up before it could be judged."""
        if not trial.routed:
            return
        self.health.left(trial.target, self.clock.now(), trial.sent_at)
        self.poke()

    def unsent(self, trial: Trial) -> None:
        """A try did not go out after all."""
        if not trial.routed:
            return
        self.health.left(trial.target, self.clock.now(), trial.sent_at)
        self.unused(trial)

    def unused(self, granted: Trial) -> None:
        """Room that was taken in line is not needed. Nothing went out, so no breaker hears of it."""
        self.give_back(granted.holds, sent=False)
        granted.holds = ()
        self.poke()

    def settled(self, trial: Trial, ticket: Ticket, usage: Usage | None, cost: Cost | None) -> None:
        """A try's row is being written: the windows get the truth, and the estimates learn from it."""
        if usage is not None and ticket.asked is not None and trial.verdict is not None and trial.verdict.ok:
            self._learn_held(trial, ticket, ticket.asked, usage)
        if not trial.routed:
            return
        found, target = trial.verdict, trial.target
        if found is not None and found.kind is Kind.CUT:
            self.changes += self.health.met(
                target, found, trial.sent_at, self.clock.now(), self.chance.random()
            )
        if not trial.holds or ticket.asked is None:
            return
        seen = trial.meter is not None and trial.meter.usage is not None
        tokens = usage.input if seen and usage is not None else None
        nano = cost.billed if cost is not None else None
        now = self.clock.now()
        self.quota.settle(trial.holds[0], tokens, nano, now)
        for hold in trial.holds[1:]:
            self.quota.settle(hold, tokens, None, now)
        if tokens and found is not None and found.kind is Kind.OK:
            if not ticket.asked.held:  # else its bytes say little of its tokens
                self.estimates.learn(target.model, trial.input_estimate, tokens)
            if nano is not None:
                self.estimates.learn_nano(target.model, nano)
        if found is not None and (found.kind is Kind.OK or found.reason == "hedged"):
            # What a race's loser had taken when it was called off counts too: else only the quick are seen.
            span = (trial.first_byte or trial.ended) - trial.started
            self.pace.add(pace_name(target, ticket.streaming), span / 1e9 * self.clock.speed)
        if self.waiters:
            self.poke()

    def _learn_held(self, trial: Trial, ticket: Ticket, asked: Asked, usage: Usage) -> None:
        """What Google holds of an answered call's input has a size now; so has an interaction that was made."""
        names = asked.held
        if names:
            seen = self.estimates.tokens(trial.target.model, asked.input_estimate)
            self.estimates.learn_held(names, usage, seen)
        if ticket.match is not None and ticket.match.reading is Reading.INTERACTION:
            made = trial.meter.response if trial.meter is not None else ""
            if made:
                self.estimates.learn_size(f"interactions/{made.removeprefix('interactions/')}", usage.total)


class Sight:
    """How one call sees the board (``core.pursuit.View``). ``granted`` has room taken for it in the line, and
    ``number`` is its place there, once it has waited."""

    __slots__ = (
        "_board",
        "_estimate",
        "_held",
        "_price",
        "_routed",
        "_ticket",
        "granted",
        "metered",
        "number",
    )

    def __init__(self, board: Board, ticket: Ticket) -> None:
        self._board = board
        self._ticket = ticket
        self.metered = metered(ticket)
        self._routed = ticket.snapshot.routed
        self._estimate = ticket.input_estimate
        held = ticket.asked.held if ticket.asked is not None else ()
        self._held = self._board.estimates.held(held) if held else None
        self._price: tuple[Target, Bucket, int, int] | None = None
        self.granted: Target | None = None
        self.number = 0

    def price(self, target: Target) -> tuple[Target, Bucket, int, int]:
        """What a try there is charged: bucket, input tokens, nano-dollars; remembered for the last target."""
        price = self._price
        if price is None or price[0] is not target:
            board = self._board
            estimates = board.estimates
            tokens = estimates.tokens(target.model, self._estimate)
            if self._held is not None:
                tokens += min(self._held.plain + self._held.cached, CONTEXT)
            price = self._price = (target, board.bucket(target), tokens, estimates.nano(target.model))
        return price

    def standing(self, target: Target) -> Standing:
        """Whether a try may go to this target now, or when."""
        board = self._board
        if board.paused(target):
            return PAUSED
        if not self._routed:
            return READY
        if board.budget_bar is not None and (bar := board.budget_bar(self._ticket, target)) is not None:
            return Standing(bar, "budget")
        now = board.clock.now()
        at, why = board.health.open_at(target, now)
        if at <= now:
            ticket = self._ticket
            at = ticket.snapshot.key_at(target.project, board.health, now, ticket.denied)
            why = "closed"
        if at > now:
            barred = Standing(_seconds(at, now), why)
            # A breaker heals in seconds: it must not hide that there is no room for longer, or never.
            found = self._room_for(target, now)
            return found if found.at > barred.at else barred
        return READY if target is self.granted else self._room_for(target, now)

    def _room_for(self, target: Target, now: int) -> Standing:
        """Room in the windows of the target, and in those of the route."""
        if not self.metered:
            return READY
        _, bucket, tokens, nano = self.price(target)
        found = self._room(bucket, tokens, nano, now)
        if found is READY and self._ticket.route_bucket is not None:
            found = self._room(self._ticket.route_bucket, tokens, 0, now)
            if found.why.startswith("quota:"):
                found = msgspec.structs.replace(found, why=found.why.replace(":", ":route:"))
        return found

    def _room(self, bucket: Bucket, tokens: int, nano: int, now: int) -> Standing:
        """Room in one bucket, behind all who wait for it."""
        board = self._board
        ahead = board.line.ahead(bucket, self.number)
        room = board.quota.room(bucket, tokens, now, ahead, nano)
        if room.at > now:
            return Standing(_seconds(room.at, now), f"quota:{room.window}", room=True)
        if ahead.requests:
            return Standing(0.001, "queue", room=True)
        return READY

    def barred(self, target: Target) -> Bucket:
        """The bucket in which the call must wait for this target."""
        _, own, tokens, nano = self.price(target)
        route = self._ticket.route_bucket
        if route is None or self._room(own, tokens, nano, self._board.clock.now()) is not READY:
            return own
        return route

    def fits(self, target: Target, now: int) -> bool:
        """Whether a try there has room in every bucket and no breaker against it, those in line left aside."""
        board = self._board
        _, own, tokens, nano = self.price(target)
        route = self._ticket.route_bucket
        return (
            not board.paused(target)
            and board.health.open_at(target, now)[0] <= now
            and board.quota.room(own, tokens, now, nano=nano).at <= now
            and (route is None or board.quota.room(route, tokens, now).at <= now)
        )

    def charge(self, target: Target, now: int) -> tuple[Hold, ...]:
        """Take the room for a try there."""
        quota, route = self._board.quota, self._ticket.route_bucket
        _, bucket, tokens, nano = self.price(target)
        hold = quota.take(bucket, tokens, nano, now)
        return (hold,) if route is None else (hold, quota.take(route, tokens, 0, now))

    def tokens(self, target: Target) -> int:
        """The input tokens that a try there is charged with."""
        return self.price(target)[2]

    def bar(self, target: Target) -> State | None:
        """The breaker that bars a target, or its project's only key."""
        board = self._board
        now = board.clock.now()
        found = board.health.barring(target, now)
        if found is None:
            found = next(
                (
                    state
                    for state in board.health.states(now)
                    if state.scope == "key" and state.name.rpartition("/")[0] == target.project
                ),
                None,
            )
        return found

    def hedge_after(self, target: Target) -> float | None:
        """Seconds without a first byte after which a second try is worth it; None while nothing is known."""
        return self._board.pace.p95(pace_name(target, self._ticket.streaming))

    def chance(self) -> float:
        """A number from 0 to 1."""
        return self._board.chance.random()


def metered(ticket: Ticket) -> bool:
    """Whether Google counts the call in the windows of a model."""
    return ticket.asked is not None and ticket.match is not None and ticket.match.generating


def pace_name(target: Target, streaming: Streaming) -> str:
    """Tries that are alike in how soon they show a first byte."""
    return f"{target.model}@{target.project}/{'unary' if streaming is Streaming.NONE else 'stream'}"


def _seconds(at: int, now: int) -> float:
    return math.inf if at >= NEVER else (at - now) / _SECOND


def _nothing() -> None:
    """Nobody waits yet."""
