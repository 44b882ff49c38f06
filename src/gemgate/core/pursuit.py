"""How a call is pursued: which move comes next, given how the targets stand and what the tries met.

Laws:

- this generator is the only retry loop on the call path; its driver (``gateway.pursue``) adds none;
- it sees no clock and no network: it yields a move and is told what came of it and how late it is;
- nothing begins after the call's patience, but for the first try: no try, no race, no wait that would lead past it;
- no target is tried while it does not stand (the ``View`` says so), and none that has left the call's list;
- an answer, a refusal that is the caller's own fault, a cut and a client that left end the call at once;
- after a passing fault the same model on another project goes first, at once; then one repeat here, if the breaker
  did not open; then the next target; then whoever stands first;
- where money may have been spent on failures, the call is repeated once in all; a call that must not happen twice
  is repeated only after tries that Google surely did not execute;
- the client gets the fault of the target that it asked for, not one of a detour of ours.

A test is a conversation: ``asked(pursue(plan, terms, view), busy(3), ok) == [Try(a), Try(b)]``.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Protocol

import msgspec

from gemgate.core.actions import Action, is_quota, rule, surely_not_executed
from gemgate.core.health import Standing
from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Verdict

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
MOST_BILLED = 1
"""Repeats of a call in all after tries that Google may have billed."""
MOST_KEYS = 5
_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0
_WAKES = 64
"""Waits in a row that a breaker may end early; after that only room or time does, so that a call has an end."""
_SLACK = 0.001  # a sleep may end that much too early

# Refusals that another model than the asked one may give to a request that the asked one takes.
_OF_A_DETOUR = frozenset(
    {"invalid", "precondition", "context_overflow", "signature_missing", "signature_corrupt"}
)
_OUR_DETOURS = frozenset({"model_unknown", "model_closed", "credentials_doubled"})
_LACKS_ROOM = ("quota", "queue")


class Terms(msgspec.Struct, frozen=True):
    """What one call allows.

    ``patience``: seconds after which nothing more begins. ``repeats``: most repeats on one target. ``hedge``: the
    call's first try may be raced by a second when it is slow. ``retryable``: the call may happen twice. ``seek``:
    nobody knows which project owns what it names, so ``not found`` means the next one.
    """

    patience: float = 30.0
    repeats: int = 2
    hedge: bool = False
    retryable: bool = True
    seek: bool = False


class Try(msgspec.Struct, frozen=True):
    """Send the call to this target now."""

    target: Target


class Wait(msgspec.Struct, frozen=True):
    """Wait ``seconds``; with ``targets`` only until one of them may be tried.

    Two waits without a try between are one wait: a place in a line is kept.
    """

    seconds: float
    targets: tuple[Target, ...] = ()


class Race(msgspec.Struct, frozen=True):
    """Send to ``first``, and to ``second`` too when ``first`` has shown no first byte after ``after`` seconds.

    ``second`` is the same model on another project, or the same target once more. It goes out only if it still
    stands then. The first good answer wins.
    """

    first: Target
    second: Target
    after: float


class Met(msgspec.Struct, frozen=True):
    """The end of one try."""

    target: Target
    verdict: Verdict


class Told(msgspec.Struct, frozen=True):
    """What came of a move: ``now`` in seconds since the pursuit began, and the tries that ended (two in a race)."""

    now: float
    met: tuple[Met, ...] = ()


class End(msgspec.Struct, frozen=True):
    """The end of a pursuit.

    ``met`` is the try whose answer the client gets (the very object that was told); None when there was none, or
    only faults of our own detours while a better way lacks nothing but time. ``reason``: ``answered``; ``refused``
    (final words of Google's); ``no_room`` (what remains is barred by quota or queue alone); ``no_way`` (no target
    is left, or none heals); ``out_of_patience``. ``retry_after``: seconds until the first target stands again,
    None for never. ``standings`` of all targets at the end, but for an answered or refused call: nobody asks then.
    """

    met: Met | None
    reason: str
    retry_after: float | None = None
    standings: tuple[tuple[Target, Standing], ...] = ()


class View(Protocol):
    """How the world looks to one call at the moment of asking. Looking changes nothing."""

    def standing(self, target: Target) -> Standing:
        """Whether a try may go to this target now, or when, and what bars it."""

    def hedge_after(self, target: Target) -> float | None:
        """Seconds without a first byte after which a second try is worth it; None: not now."""

    def chance(self) -> float:
        """A number from 0 to 1."""


Move = Try | Wait | Race


def pursue(plan: Plan, terms: Terms, view: View) -> Generator[Move, Told, End]:
    """Pursue a call through its plan. Yields moves, is sent what came of them, returns how the call ends."""
    chase = _Chase(plan, terms, view)
    while True:
        move = chase.next_move()
        if isinstance(move, End):
            return move
        told = yield move
        if len(told.met) == 1 and told.met[0].verdict.kind is Kind.OK:
            return End(told.met[0], "answered")
        chase.now = max(chase.now, told.now)
        if isinstance(move, Wait):
            continue
        end = chase.hear(told.met)
        if end is not None:
            return end


class _Chase:
    """The state of one pursuit."""

    now = 0.0
    _billed = 0
    _tried = False
    _waits = 0
    _again: Target | None = None  # it has just met a passing fault
    _here: Target | None = None  # it is waited for, to be repeated

    def __init__(self, plan: Plan, terms: Terms, view: View) -> None:
        self._plan = plan
        self._terms = terms
        self._view = view
        self.live = list(plan.targets)
        self._met: list[Met] = []
        self._failures: dict[Target, int] = {}
        self._keys: dict[Target, int] = {}
        self._resting: dict[Target, float] = {}
        self._spent: list[Target] = []

    def hear(self, met: tuple[Met, ...]) -> End | None:
        """Take in the ends of tries. Returns the end of the call, if they are one."""
        self._waits = 0
        final: Met | None = None
        for one in met:
            self._met.append(one)
            self._billed += one.verdict.billed and not one.verdict.ok
            if self._is_final(one) and (final is None or one.verdict.ok):
                final = one
        if final is not None:
            answered = final.verdict.kind in (Kind.OK, Kind.CUT)
            return End(final, "answered" if answered else "refused")
        for one in met:
            self._judge(one)
        executed = not self._terms.retryable and any(not surely_not_executed(one.verdict) for one in met)
        if self._billed > MOST_BILLED or executed:
            return self._end("no_way")
        return None

    def _is_final(self, met: Met) -> bool:
        if rule(met.verdict).action is not Action.ANSWER:
            return False
        return not (self._sought(met) or self._refused_elsewhere(met))

    def _sought(self, met: Met) -> bool:
        return self._terms.seek and met.verdict.reason == "not_found"

    def _refused_elsewhere(self, met: Met) -> bool:
        """Whether another model than the asked one refused the request: our choice, not the caller's fault."""
        found = met.verdict
        other = met.target.model != self._plan.targets[0].model
        return other and found.kind is Kind.REFUSED and found.reason in _OF_A_DETOUR

    def _judge(self, met: Met) -> None:
        """Note what a failed try asks for."""
        target, verdict = met.target, met.verdict
        asked = rule(verdict)
        self._again = self._here = None
        if asked.action is Action.KEY:
            count = self._keys[target] = self._keys.get(target, 0) + 1
            if count > min(asked.repeats, MOST_KEYS):
                self._leave(target)
            else:
                self._here = target  # another key, at once, if the view says that there is one
        elif asked.action is Action.AGAIN:
            count = self._failures[target] = self._failures.get(target, 0) + 1
            if count > min(asked.repeats, self._terms.repeats):
                self._leave(target)
                if is_quota(verdict):
                    self._spent.append(target)
            pause = self._view.chance() * min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (count - 1))
            if verdict.kind is Kind.BUSY and not is_quota(verdict):
                pause = max(pause, verdict.retry_after)
            self._resting[target] = self.now + pause
            self._again = target
        else:
            self._leave(target)
            if is_quota(verdict):
                self._spent.append(target)
            if self._refused_elsewhere(met):
                for one in [one for one in self.live if one.model == target.model]:
                    self._leave(one)

    def _leave(self, target: Target) -> None:
        if target in self.live:
            self.live.remove(target)

    def next_move(self) -> Move | End:
        """What to do now."""
        if self._tried and self.now > self._terms.patience:
            return self._end("out_of_patience")
        again, self._again = self._again, None
        here, self._here = self._here, None
        if again is not None:
            for target in self.live:
                if target.model == again.model and target != again and self._ready(target):
                    return self._send(target)
            pause = self._resting[again] - self.now
            repeat = again in self.live and self._failures[again] == 1
            if repeat and self._fits(pause) and self._view.standing(again).at <= 0.0:
                self._here = again
                if pause > 0.0:
                    return Wait(pause)
                here = again
        if here is not None and here in self.live and self._ready(here):
            return self._send(here)
        for target in self.live:
            if self._ready(target):
                return self._send(target)
        return self._wait()

    def _ready(self, target: Target) -> bool:
        rested = not self._resting or self._resting.get(target, 0.0) <= self.now + _SLACK
        return rested and self._view.standing(target).at <= 0.0

    def _fits(self, seconds: float) -> bool:
        return self.now + seconds <= self._terms.patience

    def _send(self, target: Target) -> Move:
        self._tried = True
        self._waits = 0
        self._here = None
        if self._terms.hedge and self._terms.retryable and not self._met:
            after = self._view.hedge_after(target)
            if after is not None and self._fits(after):
                return Race(target, self._second(target), after)
        return Try(target)

    def _second(self, first: Target) -> Target:
        """Who runs against a slow first: never another model, which the client did not ask for."""
        for target in self.live:
            if target.model == first.model and target != first and self._ready(target):
                return target
        return first

    def _wait(self) -> Wait | End:
        """Nobody is ready: wait for the first who will be, if that is within the patience."""
        first = math.inf
        barred = []
        for target in self.live:
            standing = self._view.standing(target)
            at, rest = standing.at, self._resting.get(target, 0.0) - self.now
            first = min(first, max(at, rest))
            if at > 0.0 and self._fits(at) and rest <= at and (standing.room or self._waits < _WAKES):
                barred.append(target)
        if not self.live or not self._fits(first):
            return self._end("out_of_patience")
        self._waits += 1
        seconds = first
        if self._waits > 1:
            # Not as soon as was said: look again, ever more seldom, and not all at the same moment.
            floor = min(_LONGEST_WAIT, _SHORTEST_WAIT * 2 ** min(self._waits, 10))
            seconds = max(first, floor * (1.0 + self._view.chance()))
        left = self._terms.patience - self.now
        return Wait(min(seconds, left), tuple(barred))

    def _end(self, reason: str) -> End:
        """The end without an answer. ``no_way`` stays; otherwise what remains says why."""
        standings = tuple((target, self._view.standing(target)) for target in self._plan.targets)
        first = math.inf
        remain = []
        for target, one in standings:
            first = min(first, max(one.at, self._resting.get(target, 0.0) - self.now))
            lacks_room = one.why.startswith(_LACKS_ROOM)
            shut = one.why == "closed" or (one.at == math.inf and not lacks_room)
            if (target in self.live and not shut) or (target in self._spent and lacks_room):
                remain.append(lacks_room)
        if not remain:
            reason = "no_way"
        elif reason != "no_way" and all(remain):
            reason = "no_room"
        met = self._last_word(reason != "no_way")
        return End(met, reason, None if math.isinf(first) else first, standings)

    def _last_word(self, waiting: bool) -> Met | None:
        """The try whose answer tells the client most. ``waiting``: some target lacks only time or room."""
        own = [met for met in self._met if not self._is_detour(met)]
        if own:
            return own[-1]
        if not self._met or waiting:
            return None
        first = [met for met in self._met if met.target == self._plan.targets[0]]
        return first[-1] if first else self._met[-1]

    def _is_detour(self, met: Met) -> bool:
        """Whether the fault is one of where we went, and not of what the client asked."""
        if self._sought(met):
            return True
        if met.target == self._plan.targets[0]:
            return False
        ours = met.verdict.reason in _OUR_DETOURS or rule(met.verdict).action is Action.KEY
        return ours or self._refused_elsewhere(met)
