"""Breakers: what cools down after which failure, and how it comes back.

Laws:

- a breaker opens at the first failure of its scope, unless a try that was sent after the failed one has already
  succeeded: then the failure stood alone;
- a success closes a breaker only when its try was sent after the last failed try was sent; how late it ends does
  not matter, so one good answer to a later try heals at once what one bad answer opened;
- open for 0.5 s at first, twice as long after each failed probe, at most 30 s (each give or take a quarter); then
  half-open: one probe at a time, and no other try;
- failures of tries that were sent before a breaker became half-open change neither its length nor its probe: they
  say nothing new;
- a probe's place comes back when its try ends, or when it has been out for much longer than the failure took: a
  slow answer is no failure, and a lost probe must not shut a target for ever;
- what Google says for good (a leaked key, a suspended project, a closed model) is shut for a fixed time instead;
- refused requests count as answers; 429s that name a window count neither way.

No clock: times are UTC microseconds and come in; so does chance, a number from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gemgate.core.actions import Action, is_quota, rule
from gemgate.core.routing import Target
from gemgate.core.verdict import Kind, Verdict

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_MINUTE = 60 * _SECOND
FIRST = _SECOND // 2
LONGEST = 30 * _SECOND
ASK_AGAIN = _SECOND // 2
"""How long to wait (µs) before asking again whether a probe that is out has answered."""
SHORTEST_PROBE, LONGEST_PROBE = _SECOND, 60 * _SECOND
DENIALS = 3
"""So many denials in a row, without an answer between, shut a key: one may be the caller's own fault."""
_FORGOTTEN = 10 * _MINUTE
_MOST = 2048  # names come from callers, too

# Reasons that weigh on the model on every project, on the way to Google, and the spans of what is said for good.
_OF_THE_MODEL = frozenset({"overloaded", "internal", "deadline", "gateway", "cancelled"})
_OF_THE_WAY = frozenset({"connect", "connect_timeout", "tls"})
_SHUT = {
    "model_unknown": ("model", _HOUR),
    "model_closed": ("target", _HOUR),
    "project_suspended": ("project", _HOUR),
    "project_disabled": ("project", _HOUR),
    "region": ("project", _HOUR),
    "prepaid": ("project", 10 * _MINUTE),
    "key_invalid": ("key", _HOUR),
    "key_leaked": ("key", _HOUR),
    "unauthenticated": ("key", _HOUR),
    "denied": ("key", _HOUR),
}
_FIRST_OF = {"exhausted": 2 * _SECOND}
# The end of a call's own time says nothing of the target.
_SILENT = frozenset({"total_timeout", "quota_storage", "credentials_doubled", "body_length"})


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a target stands for one call now.

    ``at``: seconds until it may be tried, 0.0 now, infinity never. ``why`` it may not: empty, ``quota:rpm`` (and
    the other windows), ``queue``, ``breaker``, ``probing`` or ``closed``. ``room``: it lacks room in a window or
    in the line, and not time alone.
    """

    at: float = 0.0
    why: str = ""
    room: bool = False


class Change(msgspec.Struct, frozen=True):
    """A breaker changed at a moment (µs), for the record.

    ``scope`` is upstream, project, model, target or key; ``name`` what it is there (``model@project`` for targets,
    ``project/1`` for keys, empty for the upstream); ``state`` closed or open; ``until`` (µs) its next probe.
    ``reason`` and ``message`` are those of the failed try; ``failures`` counts the openings in a row.
    """

    at: int
    scope: str
    name: str
    state: str
    reason: str = ""
    message: str = ""
    until: int = 0
    failures: int = 0


class State(msgspec.Struct, frozen=True):
    """A breaker that is not closed: open, or half-open when ``until`` is over. Fields as in ``Change``."""

    opened_at: int
    scope: str
    name: str
    state: str
    reason: str = ""
    message: str = ""
    until: int = 0
    failures: int = 0


class _Breaker:
    __slots__ = (
        "failed_sent",
        "failures",
        "holder",
        "message",
        "opened_at",
        "place_until",
        "reason",
        "term",
        "until",
    )

    def __init__(self, opened_at: int, until: int, failures: int) -> None:
        self.opened_at = opened_at
        self.until = until
        self.failures = failures
        self.failed_sent = opened_at
        self.reason = ""
        self.message = ""
        self.term = SHORTEST_PROBE
        self.place_until = 0  # while a probe is out: when its place is given to another
        self.holder: tuple[Target, int] | None = None

    def busy(self, now: int) -> bool:
        """Whether a probe is out that may still come back."""
        return self.holder is not None and now < self.place_until


_Key = tuple[str, str]


def _everyone(_model: str) -> bool:
    return True


class Health:
    """All breakers of one gateway.

    ``known`` says whether the catalogue knows a model. A 404 for a known one means the method or the version, so
    it shuts nothing: one mistaken client must not close a model for all. Without it no model is shut by a 404.
    """

    def __init__(self, known: Callable[[str], bool] = _everyone) -> None:
        self._known = known
        self._breakers: dict[_Key, _Breaker] = {}
        # When the latest try was sent that succeeded, by model and project, and that came back from Google at all.
        self._good: dict[tuple[str, str], int] = {}
        self._reached = -1
        self._denied: dict[str, tuple[int, int]] = {}  # denials in a row of a key, and the last one

    def open_at(self, target: Target, now: int) -> tuple[int, str]:
        """When a try may go there (``now``: at once), and what bars it: breaker, probing, closed or nothing."""
        if not self._breakers:
            return now, ""
        when, why = now, ""
        for key in _keys(target):
            breaker = self._breakers.get(key)
            if breaker is None:
                continue
            at, bar = breaker.until, "closed" if breaker.reason in _SHUT else "breaker"
            if breaker.until <= now:
                if not breaker.busy(now):
                    continue
                at, bar = min(now + ASK_AGAIN, breaker.place_until), "probing"
            if at > when:
                when, why = at, bar
        return when, why

    def begin(self, target: Target, now: int) -> bool:
        """A try goes out, sent at ``now``. True when it is a probe: its place is taken until it ends."""
        if not self._breakers:
            return False
        probe = False
        for key in _keys(target):
            breaker = self._breakers.get(key)
            if breaker is not None and breaker.until <= now and not breaker.busy(now):
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
            return self._close(_keys(target), sent_at, now) if self._breakers else ()
        self.left(target, now, sent_at)
        if verdict.kind is Kind.CANCELLED or verdict.reason in _SILENT:
            return ()
        scope = self._scope(verdict, target)
        changes: tuple[Change, ...] = ()
        if verdict.kind is Kind.REFUSED and not scope and rule(verdict).action is Action.ANSWER:
            self._note(target, sent_at)
            changes = self._close(_keys(target), sent_at, now)
        elif _came(verdict):
            self._reached = max(self._reached, sent_at)
            changes = self._close((_WAY,), sent_at, now)
        if verdict.reason in _SHUT and scope:
            return changes + self._shut((scope, _name(scope, target)), verdict, now)
        if not scope or sent_at < self._latest(scope, target) <= now:
            return changes  # after the success of a later try: this failure stood alone
        return changes + self._fail((scope, _name(scope, target)), verdict, sent_at, now, chance)

    def met_key(self, credential: str, verdict: Verdict, now: int) -> tuple[Change, ...]:
        """What a try says of its key (``project/1``). Tell of good answers too: they end a row of denials."""
        key = ("key", credential)
        if rule(verdict).action is not Action.KEY:
            if verdict.ok and (self._denied or key in self._breakers):
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

    def left(self, target: Target, now: int, sent_at: int | None = None) -> None:
        """A try ended without a word on the target (the client is gone): a probe's place is free again.

        With ``sent_at`` only the try that was sent then or later gives its place back, not an older one.
        """
        for key in _keys(target) if self._breakers else ():
            breaker = self._breakers.get(key)
            if breaker is not None and breaker.holder is not None:
                holder, begun = breaker.holder
                if _same(holder, target) and (sent_at is None or sent_at >= min(begun, breaker.until)):
                    breaker.holder = None

    def key_at(self, credential: str, now: int) -> int:
        """When a key (``project/1``) may be used: ``now``, or later."""
        breaker = self._breakers.get(("key", credential)) if self._breakers else None
        return now if breaker is None else max(now, breaker.until)

    def barring(self, target: Target, now: int) -> State | None:
        """What bars a target the longest, with its reason and Google's words; None when it stands."""
        found = [
            _state(key, self._breakers[key], now)
            for key in _keys(target)
            if key in self._breakers and self._breakers[key].until > now
        ]
        return max(found, key=lambda state: state.until, default=None)

    def states(self, now: int) -> list[State]:
        """Every breaker that is not closed."""
        return [_state(key, breaker, now) for key, breaker in self._breakers.items()]

    def restore(self, states: Iterable[State], now: int) -> None:
        """Take over what an earlier process knew. A probe that was out then is none of ours."""
        for state in states:
            if state.state != "closed" and state.opened_at <= now:
                breaker = _Breaker(state.opened_at, state.until, state.failures)
                breaker.reason, breaker.message = state.reason, state.message
                self._breakers[state.scope, state.name] = breaker

    def _scope(self, verdict: Verdict, target: Target) -> str:
        """The kind of breaker that a failure weighs on; empty for none."""
        if is_quota(verdict):
            return ""
        shut = _SHUT.get(verdict.reason)
        if shut is not None:
            if shut[0] == "key" or (verdict.reason == "model_unknown" and self._is_known(target.model)):
                return ""
            return shut[0]
        if verdict.kind is Kind.REFUSED:
            return ""
        if verdict.reason in _OF_THE_MODEL:
            return "model"
        return "upstream" if verdict.reason in _OF_THE_WAY else "target"

    def _is_known(self, model: str) -> bool:
        return self._known(model) or any(good == model for good, _ in self._good)

    def _note(self, target: Target, sent_at: int) -> None:
        if sent_at > self._reached:
            self._reached = sent_at
        key = (target.model, target.project)
        if sent_at > self._good.get(key, -1):
            if key not in self._good and len(self._good) >= _MOST:
                del self._good[next(iter(self._good))]
            self._good[key] = sent_at

    def _latest(self, scope: str, target: Target) -> int:
        """When the latest try was sent that went well for the target's breaker of this scope; -1 for none."""
        if scope == "upstream":
            return self._reached
        if scope == "model":
            return max((at for (model, _), at in self._good.items() if model == target.model), default=-1)
        return self._good.get((target.model, target.project), -1)

    def _fail(self, key: _Key, verdict: Verdict, sent_at: int, now: int, chance: float) -> tuple[Change, ...]:
        breaker = self._breakers.get(key)
        if breaker is not None and sent_at < breaker.until:
            breaker.failed_sent = max(breaker.failed_sent, sent_at)
            return ()
        failures = breaker.failures + 1 if breaker is not None else 1
        span = min(LONGEST, _FIRST_OF.get(verdict.reason, FIRST) << min(failures - 1, 10))
        span = round(span * (0.75 + chance / 2))
        named = min(verdict.retry_after, 60.0) * _SECOND if verdict.kind is Kind.BUSY else 0.0
        return self._open(key, verdict, now, max(span, round(named)), (sent_at, failures))

    def _shut(self, key: _Key, verdict: Verdict, now: int) -> tuple[Change, ...]:
        breaker = self._breakers.get(key)
        failures = breaker.failures + 1 if breaker is not None else 1
        return self._open(key, verdict, now, _SHUT[verdict.reason][1], (now, failures))

    def _open(
        self, key: _Key, verdict: Verdict, now: int, span: int, failed: tuple[int, int]
    ) -> tuple[Change, ...]:
        sent_at, failures = failed
        breaker = _Breaker(now, now + span, failures)
        breaker.failed_sent = sent_at
        breaker.reason, breaker.message = verdict.reason, verdict.message
        breaker.term = min(LONGEST_PROBE, max(SHORTEST_PROBE, 2 * (now - sent_at)))
        if key not in self._breakers and len(self._breakers) >= _MOST:
            del self._breakers[next(iter(self._breakers))]
        self._breakers[key] = breaker
        return (_change(key, breaker, now, "open"),)

    def _close(self, keys: Iterable[_Key], sent_at: int, now: int) -> tuple[Change, ...]:
        changes = []
        for key in keys:
            breaker = self._breakers.get(key)
            if breaker is not None and sent_at > breaker.failed_sent:
                del self._breakers[key]
                changes.append(_change(key, breaker, now, "closed"))
        return tuple(changes)


def _name(scope: str, target: Target) -> str:
    if scope == "target":
        return f"{target.model}@{target.project}"
    return {"upstream": "", "project": target.project, "model": target.model}[scope]


_WAY: _Key = ("upstream", "")


def _keys(target: Target) -> tuple[_Key, ...]:
    """The breakers that bar a target, from the widest to its own."""
    return (
        _WAY,
        ("project", target.project),
        ("model", target.model),
        ("target", f"{target.model}@{target.project}"),
    )


def _same(one: Target, other: Target) -> bool:
    return one.model == other.model and one.project == other.project


def _came(verdict: Verdict) -> bool:
    """Whether the try brought anything from Google, so that the way there is free."""
    return (
        verdict.kind in (Kind.BUSY, Kind.SPENT, Kind.REFUSED, Kind.CUT) and verdict.reason not in _OF_THE_WAY
    )


def _change(key: _Key, breaker: _Breaker, now: int, state: str) -> Change:
    return Change(
        at=now,
        scope=key[0],
        name=key[1],
        state=state,
        reason=breaker.reason,
        message=breaker.message,
        until=breaker.until if state == "open" else 0,
        failures=breaker.failures,
    )


def _state(key: _Key, breaker: _Breaker, now: int) -> State:
    return State(
        opened_at=breaker.opened_at,
        scope=key[0],
        name=key[1],
        state="open" if breaker.until > now else "half-open",
        reason=breaker.reason,
        message=breaker.message,
        until=breaker.until,
        failures=breaker.failures,
    )
