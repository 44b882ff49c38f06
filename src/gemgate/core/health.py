"""Breakers: what cools down after which failure, and how it comes back.

Laws:

- a breaker opens at the first failure of its scope, unless a try that was sent after the failed one has already
  succeeded: then the failure stood alone;
- a first opening closes by silence, too: when tries that were sent with the failed one or after it are still out,
  the oldest for 1.5 times as long as the failure took (0.15 s at least) and all together for 0.35 s. So one failure
  among many good answers costs others little. A second failure, of whatever try, asks for twice as much silence
  of later ones; a third makes it an outage, which only a success or a probe ends. If silence misled (a try that
  was out when it closed fails after all), the breaker that this opens does not close by silence again. Nor does
  one whose failure named a delay: Google asked to be left alone;
- in an outage the tries on a dead target are those that were out when its first failure came back, and the probes,
  and none else where failures take the same time. Where they take from 0.02 to 0.5 s at random, silence misleads
  in one outage of ten until the next failure is heard: at 50 calls/s that costs half a try on average and about
  ten at worst, on a route of one target, where all who wait go out together, two on average and twenty at worst;
- a success closes a breaker only when its try was sent after the last failed try was sent; how late it ends does
  not matter, so one good answer to a later try heals at once what one bad answer opened;
- open for 0.5 s at first, twice as long after each failed probe, at most 30 s (each give or take a quarter); then
  half-open: one probe at a time, and no other try;
- failures of tries that were sent before a breaker became half-open change neither its length nor its probe: they
  say nothing new;
- a probe's place comes back when its try ends, or when it has been out for much longer than the failure took: a
  slow answer is no failure, and a lost probe must not shut a target for ever;
- what Google says for good (a bad key, a suspended project, a closed model) is shut for a minute, then up to an hour;
- refused requests count as answers; 429s that name a window count neither way;
- calls that name no model (files, lists, things made by their ids) have no breaker of a model or a target: what one
  of them met says nothing of the next.

No clock: times are UTC microseconds and come in; so does chance, a number from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gemgate.core.actions import Action, rule
from gemgate.core.blame import FIRST, FIRST_OF, LONGEST_SHUT, SHUT, SILENT, came, names_a_delay, scope
from gemgate.core.breaker import (
    LONGEST_PROBE,
    SHORTEST_PROBE,
    WAY,
    Breaker,
    Change,
    Key,
    State,
    change_of,
    keys_of,
    name_of,
    state_of,
)
from gemgate.core.lanes import Lane, Silence
from gemgate.core.routing import Target
from gemgate.core.verdict import Kind, Verdict

__all__ = [
    "DENIALS",
    "FIRST",
    "LONGEST",
    "LONGEST_PROBE",
    "Change",
    "Health",
    "Standing",
    "State",
]

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
LONGEST = 30 * _SECOND
ASK_AGAIN = _SECOND // 2
"""How long to wait (µs) before asking again whether a probe that is out has answered."""
DENIALS = 3
"""So many denials in a row, without an answer between, shut a key: one may be the caller's own fault."""
_FORGOTTEN = 10 * _MINUTE
_MOST = 2048  # names come from callers, too
_BY_MODEL = frozenset({"model", "target"})


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a target stands for one call now.

    ``at``: seconds until it may be tried, 0.0 now, infinity never. ``why`` it may not: empty, ``quota:rpm`` (and
    the other windows), ``queue``, ``breaker``, ``probing``, ``closed``, ``budget`` or ``paused``. ``room``: it
    lacks room in a window or in the line, and not time alone.
    """

    at: float = 0.0
    why: str = ""
    room: bool = False


def _everyone(_model: str) -> bool:
    return True


class Health:
    """All breakers of one gateway.

    ``known`` says whether the catalogue knows a model. A 404 for a known one means the method or the version, so
    it shuts nothing: one mistaken client must not close a model for all. Without it no model is shut by a 404.
    """

    def __init__(self, known: Callable[[str], bool] = _everyone) -> None:
        self._known = known
        self._breakers: dict[Key, Breaker] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}  # by model and project
        self._reached = -1  # when the latest try was sent that came back from Google at all
        self._trusted: dict[Key, int] = {}  # when a breaker last closed by silence
        self._told: list[Change] = []  # those closings, until the next try's end tells of them
        self._denied: dict[str, tuple[int, int]] = {}  # denials in a row of a key, and the last one

    def open_at(self, target: Target, now: int) -> tuple[int, str]:
        """When a try may go there (``now``: at once), and what bars it: breaker, probing, closed or nothing."""
        if not self._breakers:
            return now, ""
        when, why = now, ""
        for key in keys_of(target):
            breaker = self._breakers.get(key)
            if breaker is None or breaker.quiet(now):
                continue
            at, bar = breaker.until, "closed" if breaker.reason in SHUT else "breaker"
            if breaker.until <= now:
                if not breaker.busy(now):
                    continue
                at, bar = min(now + ASK_AGAIN, breaker.place_until), "probing"
            if breaker.silence is not None:
                at = min(at, breaker.silence.at())
            if at > when:
                when, why = at, bar
        return when, why

    def begin(self, target: Target, now: int) -> bool:
        """A try goes out, sent at ``now``. True when it is a probe: its place is taken until it ends."""
        key = (target.model, target.project)
        lane = self._lanes.get(key) or self._lane(key)
        lane.out[now] = lane.out.get(now, 0) + 1
        return self._begin(target, lane, now) if self._breakers else False

    def _begin(self, target: Target, lane: Lane, now: int) -> bool:
        probe = False
        for key in keys_of(target):
            breaker = self._breakers.get(key)
            if breaker is None:
                continue
            if breaker.quiet(now):
                del self._breakers[key]
                _bound(self._trusted)
                self._trusted[key] = now
                self._told.append(change_of(key, breaker, now, "closed"))
                continue
            if breaker.silence is not None:
                breaker.silence.add(now, lane)
            if breaker.until <= now and not breaker.busy(now):
                breaker.holder = (target, now)
                breaker.place_until = now + breaker.term
                probe = True
        return probe

    def met(
        self, target: Target, verdict: Verdict, sent_at: int, now: int, chance: float
    ) -> tuple[Change, ...]:
        """A try that was sent at ``sent_at`` ended at ``now``. Returns what changed, for the record."""
        if verdict.ok:
            if self._denied:
                of_it = f"{target.project}/"
                self._denied = {key: row for key, row in self._denied.items() if not key.startswith(of_it)}
            self._note(target, sent_at)
            changes = self._close(keys_of(target), sent_at, now) if self._breakers else ()
        else:
            self.left(target, now, sent_at)
            changes = self._failed(target, verdict, sent_at, now, chance)
        if self._told:
            changes = (*self._told, *changes)
            self._told = []
        return changes

    def _failed(
        self, target: Target, verdict: Verdict, sent_at: int, now: int, chance: float
    ) -> tuple[Change, ...]:
        if verdict.kind is Kind.CANCELLED or verdict.reason in SILENT:
            return ()
        of = scope(verdict)
        if of in _BY_MODEL and (
            not target.model or (verdict.reason == "model_unknown" and self._is_known(target.model))
        ):
            of = ""
        changes: tuple[Change, ...] = ()
        if verdict.kind is Kind.REFUSED and not of and rule(verdict).action is Action.ANSWER:
            self._note(target, sent_at)
            changes = self._close(keys_of(target), sent_at, now)
        elif came(verdict):
            self._reached = max(self._reached, sent_at)
            changes = self._close((WAY,), sent_at, now)
        if verdict.reason in SHUT and of:
            return changes + self._shut((of, name_of(of, target)), verdict, now)
        if not of or sent_at < self._latest(of, target) <= now:
            return changes  # after the success of a later try: this failure stood alone
        return changes + self._fail(of, target, verdict, (sent_at, now), chance)

    def met_key(self, credential: str, verdict: Verdict, now: int) -> tuple[Change, ...]:
        """What a try says of its key (``project/1``). Tell of good answers too: they end a row of denials."""
        if verdict.ok and not (self._denied or self._breakers):
            return ()
        key = ("key", credential)
        if rule(verdict).action is not Action.KEY:
            if verdict.ok:
                self._denied.pop(credential, None)
                return self._close((key,), now, now)
            return ()
        if verdict.reason == "denied":
            count, last = self._denied.get(credential, (0, 0))
            count = count + 1 if now - last < _FORGOTTEN else 1
            self._denied[credential] = (count, now)
            if count < DENIALS:
                return ()
        return self._shut(key, verdict, now)

    def left(self, target: Target, now: int, sent_at: int) -> None:
        """A try that was sent at ``sent_at`` ended without a word on the target (the client is gone).

        If it was a probe, its place is free again. Its silence speaks no more.
        """
        key = (target.model, target.project)
        lane = self._lanes.get(key)
        if lane is not None:
            lane.ended(sent_at)
            if not lane.out and lane.good < 0:
                del self._lanes[key]  # names that callers make up
        for key in keys_of(target) if self._breakers else ():
            breaker = self._breakers.get(key)
            if breaker is not None and breaker.holder is not None:
                holder, begun = breaker.holder
                if _same(holder, target) and sent_at >= min(begun, breaker.until):
                    breaker.holder = None

    def key_at(self, credential: str, now: int) -> int:
        """When a key (``project/1``) may be used: ``now``, or later."""
        breaker = self._breakers.get(("key", credential)) if self._breakers else None
        return now if breaker is None else max(now, breaker.until)

    def barring(self, target: Target, now: int) -> State | None:
        """What bars a target the longest, with its reason and Google's words; None when it stands."""
        found = [
            state_of(key, self._breakers[key], now)
            for key in keys_of(target)
            if key in self._breakers
            and self._breakers[key].until > now
            and not self._breakers[key].quiet(now)
        ]
        return max(found, key=lambda state: state.until, default=None)

    def states(self, now: int) -> list[State]:
        """Every breaker that is not closed."""
        return [
            state_of(key, breaker, now) for key, breaker in self._breakers.items() if not breaker.quiet(now)
        ]

    def restore(self, states: Iterable[State], now: int) -> None:
        """Take over what an earlier process knew. A probe that was out then is none of ours."""
        for state in states:
            nameless = state.scope in _BY_MODEL and not state.name.partition("@")[0]
            if state.state != "closed" and state.opened_at <= now and not nameless:
                breaker = Breaker(state.opened_at, state.until, state.failures)
                breaker.reason, breaker.message = state.reason, state.message
                self._breakers[state.scope, state.name] = breaker

    def _is_known(self, model: str) -> bool:
        return self._known(model) or any(
            lane.good >= 0 and good == model for (good, _), lane in self._lanes.items()
        )

    def _lane(self, key: tuple[str, str]) -> Lane:
        _bound(self._lanes)
        lane = self._lanes[key] = Lane()
        return lane

    def _note(self, target: Target, sent_at: int) -> None:
        if sent_at > self._reached:
            self._reached = sent_at
        key = (target.model, target.project)
        lane = self._lanes.get(key) or self._lane(key)
        lane.ended(sent_at)
        if sent_at > lane.good:
            lane.good = sent_at

    def _latest(self, of: str, target: Target) -> int:
        """When the latest try was sent that went well for the target's breaker of this scope; -1 for none."""
        if of == "upstream":
            return self._reached
        return max((lane.good for lane in self._behind(of, target)), default=-1)

    def _behind(self, of: str, target: Target) -> list[Lane]:
        """The lanes that the target's breaker of this scope bars: target, model or upstream."""
        if of == "target":
            lane = self._lanes.get((target.model, target.project))
            return [] if lane is None else [lane]
        every = of == "upstream"
        return [lane for (model, _), lane in self._lanes.items() if every or model == target.model]

    def mended(self, now: int) -> tuple[Change, ...]:
        """There is a new configuration: keys and projects that were shut may be others now, and are asked again."""
        shut = [
            key for key, one in self._breakers.items() if one.reason in SHUT and key[0] in ("key", "project")
        ]
        self._denied.clear()
        return tuple(change_of(key, self._breakers.pop(key), now, "closed") for key in shut)

    def _fail(
        self, of: str, target: Target, verdict: Verdict, times: tuple[int, int], chance: float
    ) -> tuple[Change, ...]:
        sent_at, now = times
        key = (of, name_of(of, target))
        breaker = self._breakers.get(key)
        if breaker is not None and sent_at < breaker.until:
            breaker.failed_sent = max(breaker.failed_sent, sent_at)
            if breaker.silence is not None and not breaker.silence.fails(sent_at, now - sent_at):
                breaker.silence = None
            return ()
        failures = breaker.failures + 1 if breaker is not None else 1
        span = min(LONGEST, FIRST_OF.get(verdict.reason, FIRST) << min(failures - 1, 10))
        span = round(span * (0.75 + chance / 2))
        named = min(verdict.retry_after, 60.0) * _SECOND if verdict.kind is Kind.BUSY else 0.0
        changes = self._open(key, verdict, now, max(span, round(named)), (sent_at, failures))
        misled = sent_at < self._trusted.get(key, -1) <= now
        if breaker is None and not misled and not names_a_delay(verdict):
            self._breakers[key].silence = Silence(sent_at, now - sent_at, self._behind(of, target))
        return changes

    def _shut(self, key: Key, verdict: Verdict, now: int) -> tuple[Change, ...]:
        breaker = self._breakers.get(key)
        if breaker is not None and breaker.reason in SHUT and now < breaker.until:
            return ()  # a try that was out already says nothing new
        failures = breaker.failures + 1 if breaker is not None and breaker.reason in SHUT else 1
        span = min(LONGEST_SHUT, SHUT[verdict.reason][1] << min(failures - 1, 10))
        return self._open(key, verdict, now, span, (now, failures))

    def _open(
        self, key: Key, verdict: Verdict, now: int, span: int, failed: tuple[int, int]
    ) -> tuple[Change, ...]:
        sent_at, failures = failed
        breaker = Breaker(now, now + span, failures)
        breaker.failed_sent = sent_at
        breaker.reason, breaker.message = verdict.reason, verdict.message
        breaker.term = min(LONGEST_PROBE, max(SHORTEST_PROBE, 2 * (now - sent_at)))
        if key not in self._breakers:
            _bound(self._breakers)
        self._breakers[key] = breaker
        return (change_of(key, breaker, now, "open"),)

    def _close(self, keys: Iterable[Key], sent_at: int, now: int) -> tuple[Change, ...]:
        changes = []
        for key in keys:
            breaker = self._breakers.get(key)
            if breaker is not None and sent_at > breaker.failed_sent:
                del self._breakers[key]
                changes.append(change_of(key, breaker, now, "closed"))
        return tuple(changes)


def _bound(rows: dict[Any, Any]) -> None:
    """Make place for another row: the oldest goes."""
    if len(rows) >= _MOST:
        del rows[next(iter(rows))]


def _same(one: Target, other: Target) -> bool:
    return one.model == other.model and one.project == other.project
