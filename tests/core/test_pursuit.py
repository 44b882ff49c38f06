"""The pursuit as conversations, and its laws on worlds that change while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gemgate.core.actions import RULES, Action, rule
from gemgate.core.health import Standing
from gemgate.core.pursuit import (
    MOST_BILLED,
    MOST_KEYS,
    End,
    Met,
    Move,
    Race,
    Terms,
    Told,
    Try,
    Wait,
    pursue,
)
from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Scope, Verdict

A = Target("pro", "one")
A2 = Target("pro", "two")
B = Target("flash", "one")
C = Target("lite", "one")

OK = Verdict(kind=Kind.OK, status=200, billed=True)
INVALID = Verdict(kind=Kind.REFUSED, status=400, reason="invalid", scope=Scope.CALLER)
DAY = Verdict(kind=Kind.SPENT, status=429, reason="quota_day", scope=Scope.TARGET)
CONNECT = Verdict(kind=Kind.BROKEN, status=502, reason="connect", scope=Scope.UPSTREAM)
EMPTY = Verdict(kind=Kind.BROKEN, status=502, reason="empty_answer", scope=Scope.UPSTREAM, billed=True)
NOT_FOUND = Verdict(kind=Kind.REFUSED, status=404, reason="not_found", scope=Scope.CALLER)
UNKNOWN = Verdict(kind=Kind.REFUSED, status=404, reason="model_unknown", scope=Scope.MODEL)
BAD_KEY = Verdict(kind=Kind.REFUSED, status=400, reason="key_invalid", scope=Scope.KEY)
DENIED = Verdict(kind=Kind.REFUSED, status=403, reason="denied", scope=Scope.KEY)


def busy(seconds: float = 0.0) -> Verdict:
    """An overload; with a delay that Google names."""
    return Verdict(kind=Kind.BUSY, status=503, reason="overloaded", scope=Scope.MODEL, retry_after=seconds)


def minute(seconds: float = 0.0) -> Verdict:
    """A window of a minute is full."""
    return Verdict(kind=Kind.BUSY, status=429, reason="quota_minute", scope=Scope.TARGET, retry_after=seconds)


@dataclass
class World:
    """A view that tests write into, and the pursuit's clock."""

    standings: dict[Target, Standing] = field(default_factory=dict)
    hedge: float | None = None
    luck: float = 1.0
    now: float = 0.0
    until: dict[Target, tuple[float, str]] = field(default_factory=dict)  # barred until a moment

    def standing(self, target: Target) -> Standing:
        at, why = self.until.get(target, (0.0, ""))
        if at > self.now:
            return Standing(at - self.now, why, room=why.startswith(("quota", "queue")))
        return self.standings.get(target, Standing())

    def hedge_after(self, target: Target) -> float | None:
        return self.hedge

    def chance(self) -> float:
        return self.luck


Answers = Verdict | tuple[Verdict, ...] | Callable[[World], Verdict]


def talk(
    targets: Iterable[Target], *answers: Answers, terms: Terms | None = None, world: World | None = None
) -> tuple[list[Move], End]:
    """Answer each try in turn (a race with one or two verdicts); waits pass on the world's clock."""
    world = world or World()
    left = list(answers)
    moves: list[Move] = []
    pursuit = pursue(Plan(tuple(targets)), terms or Terms(), world)
    told: Told | None = None
    while True:
        try:
            move = next(pursuit) if told is None else pursuit.send(told)
        except StopIteration as stop:
            assert not left, f"nobody asked for {left}"
            end = stop.value
            assert isinstance(end, End)
            return moves, end
        moves.append(move)
        if isinstance(move, Wait):
            world.now += move.seconds
            told = Told(world.now)
            continue
        answer = left.pop(0)
        first = move.first if isinstance(move, Race) else move.target
        targets_met = (first, move.second) if isinstance(move, Race) else (first,)
        verdicts = answer if isinstance(answer, tuple) else (answer(world) if callable(answer) else answer,)
        told = Told(world.now, tuple(map(Met, targets_met, verdicts)))


def asked(targets: Iterable[Target], *answers: Answers, **more: object) -> list[Move]:
    """The moves alone."""
    return talk(targets, *answers, **more)[0]  # type: ignore[arg-type]


def shuts(target: Target, until: float, why: str, verdict: Verdict) -> Callable[[World], Verdict]:
    """An answer that teaches: the target is barred until a moment."""

    def answer(world: World) -> Verdict:
        world.until[target] = (until, why)
        return verdict

    return answer


# Plain ends


def test_an_answer_ends_the_call() -> None:
    moves, end = talk([A, B], OK)
    assert moves == [Try(A)]
    assert end == End(Met(A, OK), "answered")


@pytest.mark.parametrize(
    "verdict",
    [
        INVALID,
        NOT_FOUND,
        Verdict(kind=Kind.CUT, status=503, reason="overloaded", billed=True),
        Verdict(kind=Kind.CANCELLED),
        Verdict(kind=Kind.BROKEN, status=504, reason="total_timeout", billed=True),
    ],
    ids=lambda verdict: f"{verdict.kind}-{verdict.reason}",
)
def test_final_words_are_never_repeated(verdict: Verdict) -> None:
    moves, end = talk([A, A2, B], verdict)
    assert moves == [Try(A)]
    assert end.met == Met(A, verdict)
    assert end.reason == ("answered" if verdict.kind is Kind.CUT else "refused")


def test_a_plan_without_targets_has_no_way() -> None:
    assert talk([]) == ([], End(None, "no_way"))


# Where the next try goes


def test_the_first_target_that_stands_is_tried() -> None:
    world = World(until={A: (3.0, "quota:rpm"), A2: (2.0, "breaker")})
    assert asked([A, A2, B], OK, world=world) == [Try(B)]


def test_the_same_model_on_another_project_goes_first_at_once() -> None:
    assert asked([A, B, A2], busy(), OK) == [Try(A), Try(A2)]
    assert asked([A, B, A2], minute(40), OK) == [Try(A), Try(A2)]


def test_an_isolated_fault_is_repeated_once_here_before_another_model() -> None:
    assert asked([A, B], busy(), OK) == [Try(A), Wait(0.25), Try(A)]
    assert asked([A, B], busy(), busy(), OK) == [Try(A), Wait(0.25), Try(A), Try(B)]


def test_a_breaker_that_opened_sends_the_call_on_at_once() -> None:
    world = World()
    assert asked([A, B], shuts(A, 9.0, "breaker", busy()), OK, world=world) == [Try(A), Try(B)]


def test_a_pause_that_leads_past_the_patience_is_not_made() -> None:
    assert asked([A, B], busy(31), OK) == [Try(A), Try(B)]


def test_when_nothing_else_is_ready_the_call_waits_and_repeats() -> None:
    world = World()
    moves = asked([A], shuts(A, 1.5, "breaker", busy()), OK, world=world)
    assert moves == [Try(A), Wait(1.5, (A,)), Try(A)]


def test_whoever_stands_first_is_waited_for() -> None:
    world = World(until={A: (5.0, "quota:rpm"), B: (2.0, "queue")})
    assert asked([A, B], OK, world=world) == [Wait(2.0, (A, B)), Try(B)]


def test_a_wait_that_was_too_short_is_followed_by_longer_ones() -> None:
    world = World(standings={A: Standing(0.001, "queue", room=True)}, luck=0.0)
    moves, end = talk([A], world=world, terms=Terms(patience=2.0))
    waits = [move.seconds for move in moves if isinstance(move, Wait)]
    assert waits == pytest.approx([0.001, 0.08, 0.16, 0.32, 0.64, 0.799])
    assert (end.met, end.reason) == (None, "no_room")


# Repeats


def test_full_jitter_doubles_up_to_eight_seconds() -> None:
    terms = Terms(patience=100.0, repeats=2)
    assert asked([A], busy(), busy(), busy(), terms=terms) == [Try(A), Wait(0.25), Try(A), Wait(0.5), Try(A)]
    world = World(luck=0.5)
    assert asked([A], busy(), OK, world=world) == [Try(A), Wait(0.125), Try(A)]
    world = World(luck=0.0)
    assert asked([A], busy(), OK, world=world) == [Try(A), Try(A)]


def test_a_delay_that_google_names_is_kept_also_when_chance_is_shorter() -> None:
    assert asked([A], busy(3), OK) == [Try(A), Wait(3), Try(A)]


def test_a_windows_delay_is_the_views_to_know() -> None:
    world = World()
    answer = shuts(A, 26.5, "quota:tpm", minute(26.5))
    assert asked([A], answer, OK, world=world) == [Try(A), Wait(26.5, (A,)), Try(A)]


@pytest.mark.parametrize(("allowed", "tries"), [(0, 1), (1, 2), (2, 3), (5, 3)])
def test_a_target_leaves_after_its_repeats(allowed: int, tries: int) -> None:
    moves, end = talk([A], *[busy()] * tries, terms=Terms(repeats=allowed))
    assert moves.count(Try(A)) == tries
    assert end.reason == "no_way"
    assert end.met is not None


def test_a_deadline_is_repeated_once() -> None:
    late = Verdict(kind=Kind.BUSY, status=504, reason="deadline", scope=Scope.MODEL)
    assert asked([A], late, late) == [Try(A), Wait(0.25), Try(A)]


def test_money_that_may_be_spent_allows_one_repeat_in_all() -> None:
    moves, end = talk([A, A2, B], EMPTY, EMPTY)
    assert moves == [Try(A), Try(A2)]
    assert (end.met, end.reason) == (Met(A2, EMPTY), "no_way")


# Leaving


@pytest.mark.parametrize("reason", sorted(name for name, row in RULES.items() if row.action is Action.NEXT))
def test_what_asks_for_the_next_never_comes_back(reason: str) -> None:
    verdict = Verdict(kind=Kind.SPENT, status=429, reason=reason)
    moves, end = talk([A, A2, B], verdict, verdict, verdict)
    assert moves == [Try(A), Try(A2), Try(B)]
    assert end.reason == "no_way"


def test_another_key_goes_at_once_while_the_view_has_one() -> None:
    assert asked([A, B], BAD_KEY, OK) == [Try(A), Try(A)]
    last = shuts(A, 3600.0, "closed", BAD_KEY)
    assert asked([A, B], BAD_KEY, last, OK) == [Try(A), Try(A), Try(B)]


def test_keys_are_bounded() -> None:
    moves, end = talk([A], *[BAD_KEY] * (MOST_KEYS + 1))
    assert moves == [Try(A)] * (MOST_KEYS + 1)
    assert end.reason == "no_way"
    assert asked([A], DENIED, DENIED) == [Try(A), Try(A)]


def test_a_thing_of_an_unknown_owner_is_sought_on_every_project() -> None:
    seek = Terms(seek=True)
    assert asked([A, A2], NOT_FOUND, OK, terms=seek) == [Try(A), Try(A2)]
    end = talk([A, A2], NOT_FOUND, NOT_FOUND, terms=seek)[1]
    assert (end.met, end.reason) == (Met(A, NOT_FOUND), "no_way")
    once_only = Terms(seek=True, retryable=False)
    assert asked([A, A2], NOT_FOUND, OK, terms=once_only) == [Try(A), Try(A2)]


def test_not_found_is_no_answer_while_an_owner_could_not_be_asked() -> None:
    world = World(until={A2: (60.0, "breaker")})
    end = talk([A, A2], NOT_FOUND, world=world, terms=Terms(seek=True))[1]
    assert (end.met, end.reason) == (None, "out_of_patience")


@pytest.mark.parametrize(
    ("verdict", "again"),
    [
        (minute(), True),
        (CONNECT, True),
        (Verdict(kind=Kind.BUSY, status=429, reason="exhausted"), True),
        (Verdict(kind=Kind.BUSY, status=429, reason="exhausted", billed=True), False),
        (DAY, True),
        (BAD_KEY, True),
        (busy(), False),
        (Verdict(kind=Kind.BUSY, status=499, reason="cancelled"), False),
        (Verdict(kind=Kind.BROKEN, status=502, reason="disconnected", billed=True), False),
        (Verdict(kind=Kind.BROKEN, status=504, reason="first_byte_timeout", billed=True), False),
    ],
    ids=lambda value: value.reason if isinstance(value, Verdict) else str(value),
)
def test_what_must_not_happen_twice_is_repeated_only_when_it_surely_did_not_happen(
    verdict: Verdict, again: bool
) -> None:
    terms = Terms(retryable=False)
    if again:
        assert len([move for move in asked([A, A2], verdict, OK, terms=terms) if isinstance(move, Try)]) == 2
    else:
        moves, end = talk([A, A2], verdict, terms=terms)
        assert (moves, end.met, end.reason) == ([Try(A)], Met(A, verdict), "no_way")


# Patience


def test_nothing_begins_after_the_patience_but_the_first_try() -> None:
    def late(world: World) -> Verdict:
        world.now = 30.5
        return busy()

    moves, end = talk([A, A2], late)
    assert (moves, end.reason) == ([Try(A)], "out_of_patience")
    assert asked([A], OK, terms=Terms(patience=0.0)) == [Try(A)]


def test_a_call_does_not_wait_in_vain() -> None:
    world = World(until={A: (31.0, "quota:rpd"), B: (40.0, "quota:rpm")})
    moves, end = talk([A, B], world=world)
    assert (moves, end.met, end.reason, end.retry_after) == ([], None, "no_room", 31.0)
    assert [one.why for _, one in end.standings] == ["quota:rpd", "quota:rpm"]


def test_room_that_comes_at_the_last_moment_is_taken() -> None:
    world = World(until={A: (30.0, "quota:rpm")})
    assert asked([A], OK, world=world) == [Wait(30.0, (A,)), Try(A)]


# What the client is told


def test_room_is_missing_only_when_nothing_else_is() -> None:
    world = World(until={A: (50.0, "quota:rpm"), B: (40.0, "breaker")})
    assert talk([A, B], world=world)[1].reason == "out_of_patience"
    world = World(standings={A: Standing(math.inf, "quota:rpm", room=True)})
    end = talk([A], world=world)[1]
    assert (end.reason, end.retry_after) == ("no_room", None)
    world = World(standings={A: Standing(3600.0, "closed")})
    assert talk([A], world=world)[1].reason == "no_way"


def test_a_closed_target_does_not_hide_that_another_lacks_room() -> None:
    world = World(until={A: (3600.0, "closed"), B: (50.0, "quota:rpm")})
    end = talk([A, B], world=world)[1]
    assert (end.reason, end.retry_after) == ("no_room", 50.0)


def test_a_bad_key_is_no_reason_to_leave_a_target_that_only_cools_down() -> None:
    world = World()
    assert asked([A], shuts(A, 2.0, "breaker", BAD_KEY), OK, world=world) == [Try(A), Wait(2.0, (A,)), Try(A)]


def test_a_day_that_is_spent_is_lack_of_room() -> None:
    world = World()
    end = talk([A], shuts(A, 5000.0, "quota:rpd", DAY), world=world)[1]
    assert (end.met, end.reason, end.retry_after) == (Met(A, DAY), "no_room", 5000.0)


def test_the_fault_of_the_asked_target_outweighs_those_of_our_detours() -> None:
    opened = shuts(A, 60.0, "breaker", busy())
    for detour in (UNKNOWN, INVALID):
        end = talk([A, B], opened, detour, world=World())[1]
        assert end.met == Met(A, busy())
    end = talk([A, B], opened, shuts(B, 3600, "closed", BAD_KEY), world=World())[1]
    assert end.met == Met(A, busy())
    end = talk([A, B, C], UNKNOWN, UNKNOWN, UNKNOWN)[1]
    assert end.met == Met(A, UNKNOWN)


def test_a_detours_fault_is_no_answer_while_the_asked_target_only_lacks_room() -> None:
    world = World(until={A: (50.0, "quota:rpm")})
    end = talk([A, B], UNKNOWN, world=world)[1]
    assert (end.met, end.reason, end.retry_after) == (None, "no_room", 0.0)


def test_another_model_that_refuses_the_request_is_not_asked_again_on_another_project() -> None:
    world = World(until={A: (60.0, "breaker")})
    moves = asked([A, B, Target("flash", "two"), C], INVALID, OK, world=world)
    assert moves == [Try(B), Try(C)]


def test_the_last_fault_is_told_when_all_are_the_worlds_own() -> None:
    terms = Terms(repeats=0)
    end = talk([A, B], busy(), CONNECT, terms=terms)[1]
    assert end.met == Met(B, CONNECT)


# Hedging

HEDGE = Terms(hedge=True)


def test_a_slow_first_try_is_raced_by_the_same_model() -> None:
    assert asked([A, B, A2], OK, terms=HEDGE, world=World(hedge=1.5)) == [Race(A, A2, 1.5)]
    assert asked([A, B], OK, terms=HEDGE, world=World(hedge=1.5)) == [Race(A, A, 1.5)]


def test_the_first_good_answer_of_a_race_wins() -> None:
    end = talk([A, A2], (busy(), OK), terms=HEDGE, world=World(hedge=1.0))[1]
    assert end == End(Met(A2, OK), "answered")
    end = talk([A, A2], (INVALID, OK), terms=HEDGE, world=World(hedge=1.0))[1]
    assert end == End(Met(A2, OK), "answered")


def test_a_lost_race_goes_on_as_other_tries_do() -> None:
    moves = asked([A, A2, B], (DAY, DAY), OK, terms=HEDGE, world=World(hedge=1.0))
    assert moves == [Race(A, A2, 1.0), Try(B)]


@pytest.mark.parametrize(
    ("terms", "hedge"),
    [(Terms(), 1.0), (HEDGE, None), (Terms(hedge=True, retryable=False), 1.0), (HEDGE, 31.0)],
)
def test_no_race_without_leave_or_knowledge_or_time(terms: Terms, hedge: float | None) -> None:
    assert asked([A, A2], OK, terms=terms, world=World(hedge=hedge)) == [Try(A)]


# Laws, on worlds that change while the call runs

reasons = st.sampled_from(sorted(RULES))


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """Any verdict that the dialect and the transport make, and some that they do not."""
    reason = draw(reasons)
    kinds = [Kind.OK, Kind.BUSY, Kind.BROKEN, Kind.SPENT, Kind.REFUSED, Kind.CUT, Kind.CANCELLED]
    kind = draw(
        st.sampled_from(kinds if draw(st.integers(0, 3)) == 0 else [Kind.BUSY, Kind.BROKEN, Kind.SPENT])
    )
    return Verdict(
        kind=kind,
        status=draw(st.sampled_from([0, 200, 400, 403, 404, 429, 499, 500, 502, 503, 504])),
        reason=reason,
        retry_after=draw(st.sampled_from([0.0, 0.0, 0.5, 40.0])),
        billed=draw(st.integers(0, 4)) == 0,
    )


PLANS = st.lists(
    st.builds(Target, st.sampled_from(["m", "n", "o"]), st.sampled_from(["p", "q"])), unique=True, max_size=5
)
TERMS = st.builds(
    Terms,
    patience=st.sampled_from([0.0, 0.3, 5.0, 30.0, 600.0]),
    repeats=st.integers(0, 4),
    hedge=st.booleans(),
    retryable=st.integers(0, 4).map(bool),
    seek=st.booleans(),
)
STANDINGS = st.one_of(
    st.just(Standing()),
    st.just(Standing()),
    st.builds(Standing, st.sampled_from([0.001, 0.4, 3.0, 50.0, math.inf]), st.just("breaker")),
    st.builds(Standing, st.sampled_from([0.0005, 2.0, 61.0]), st.just("quota:rpm"), st.just(True)),
    st.builds(Standing, st.just(0.5), st.just("probing")),
)


def drive(
    pursuit: Generator[Move, Told, End], move_made: Callable[[Move], Told], most: int = 5000
) -> tuple[list[Move], End]:
    """Run to the end; a pursuit of too many moves fails."""
    moves: list[Move] = []
    told: Told | None = None
    for _ in range(most):
        try:
            move = next(pursuit) if told is None else pursuit.send(told)
        except StopIteration as stop:
            return moves, stop.value
        moves.append(move)
        told = move_made(move)
    raise AssertionError(f"more than {most} moves")


class Wild(World):
    """A world that answers at random and looks different at every question."""

    def __init__(self, data: st.DataObject, terms: Terms) -> None:
        super().__init__()
        self.data = data
        self.terms = terms
        self.said: dict[Target, Standing] = {}
        self.left: set[Target] = set()
        self.tries: dict[Target, int] = {}
        self.billed = 0

    def standing(self, target: Target) -> Standing:
        self.said[target] = self.data.draw(STANDINGS)
        return self.said[target]

    def hedge_after(self, target: Target) -> float | None:
        return self.data.draw(st.sampled_from([None, 0.2, 4.0, 700.0]))

    def chance(self) -> float:
        return self.data.draw(st.sampled_from([0.0, 0.4, 1.0]))

    def make(self, move: Move) -> Told:
        """Hold the move against the laws, and let time pass."""
        first = not self.tries
        if isinstance(move, Wait):
            assert move.seconds >= 0.0
            assert self.now + move.seconds <= self.terms.patience + 1e-9
            woken = move.targets and self.data.draw(st.integers(0, 3)) == 0
            self.now += move.seconds * (0.5 if woken else 1.0) + self.data.draw(st.sampled_from([0.0, 0.004]))
            return Told(self.now)
        assert first or self.now <= self.terms.patience
        targets = [move.target] if isinstance(move, Try) else [move.first, move.second]
        if isinstance(move, Race):
            assert first
            assert self.now + move.after <= self.terms.patience
            assert move.first.model == move.second.model
            assert self.terms.hedge
            assert self.terms.retryable
            if self.data.draw(st.booleans()):
                targets = targets[:1]
        met = []
        for target in targets:
            assert self.said[target].at <= 0.0
            assert target not in self.left
            assert self.billed <= MOST_BILLED
            self.tries[target] = self.tries.get(target, 0) + 1
            verdict = self.data.draw(verdicts())
            met.append(Met(target, verdict))
        for one in met:
            self.billed += one.verdict.billed and not one.verdict.ok
            if one.verdict.kind is Kind.SPENT or rule(one.verdict).action is Action.NEXT:
                self.left.add(one.target)
        self.now += self.data.draw(st.sampled_from([0.0, 0.1, 2.0, 40.0]))
        return Told(self.now, tuple(met))


@given(PLANS, TERMS, st.data())
@settings(max_examples=300)
def test_no_world_makes_the_pursuit_break_its_laws(
    targets: list[Target], terms: Terms, data: st.DataObject
) -> None:
    world = Wild(data, terms)
    moves, end = drive(pursue(Plan(tuple(targets)), terms, world), world.make)
    event(end.reason)
    for tries in world.tries.values():
        assert tries <= 1 + min(terms.repeats, 2) + MOST_KEYS + 1  # and a race may take two at once
    waits = sum(isinstance(move, Wait) for move in moves)
    assert waits <= 16 * (8 + terms.patience) + 200
    assert (end.reason == "answered") == (end.met is not None and end.met.verdict.kind in (Kind.OK, Kind.CUT))
    if end.reason not in ("answered", "refused"):
        assert [target for target, _ in end.standings] == targets
        assert end.retry_after is None or end.retry_after >= 0.0


@dataclass
class Site:
    """A target of a world with rules: it fails until ``heals``, then answers; barred from some time to another."""

    heals: float
    fault: Verdict
    barred: tuple[float, float]
    why: str


FAULTS = st.sampled_from(
    [
        busy(),
        busy(2.0),
        minute(20.0),
        CONNECT,
        Verdict(kind=Kind.BUSY, status=500, reason="internal", scope=Scope.MODEL),
        DAY,
        UNKNOWN,
        BAD_KEY,
    ]
)
SITES = st.builds(
    Site,
    heals=st.sampled_from([0.0, 0.0, 1.0, 10.0, math.inf]),
    fault=FAULTS,
    barred=st.tuples(st.floats(0, 40), st.floats(0, 40)).map(lambda span: (min(span), max(span))),
    why=st.sampled_from(["breaker", "quota:rpm", "queue"]),
)


class Ruled(World):
    """Tries take a tenth of a second; waits take what they ask for."""

    def __init__(self, sites: dict[Target, Site], luck: float) -> None:
        super().__init__(luck=luck)
        self.sites = sites

    def standing(self, target: Target) -> Standing:
        site = self.sites[target]
        begun, over = site.barred
        if begun <= self.now < over:
            return Standing(over - self.now, site.why, room=site.why != "breaker")
        return Standing()

    def make(self, move: Move) -> Told:
        if isinstance(move, Wait):
            self.now += move.seconds
            return Told(self.now)
        assert isinstance(move, Try)
        site = self.sites[move.target]
        verdict = OK if self.now >= site.heals else site.fault
        self.now += 0.1
        return Told(self.now, (Met(move.target, verdict),))


@given(st.lists(SITES, min_size=1, max_size=4), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 2))
@settings(max_examples=300)
def test_a_call_is_answered_whenever_a_target_would_answer_in_time(
    sites: list[Site], luck: float, repeats: int
) -> None:
    targets = [Target(f"model-{number % 3}", f"project-{number}") for number in range(len(sites))]
    terms = Terms(patience=30.0, repeats=repeats)
    world = Ruled(dict(zip(targets, sites, strict=True)), luck)
    moves, end = drive(pursue(Plan(tuple(targets)), terms, world), world.make)
    # Those that answer whenever they are asked, and that stand for good from some moment within the patience on:
    # the call may have spent a second and a half on the tries of the others, and its last pause may hold it.
    sure = [site for site in sites if site.heals == 0.0 and site.barred[1] <= 25.0]
    event(end.reason)
    if sure:
        assert end.reason == "answered", (moves, end)
    if end.reason == "no_room":
        assert end.retry_after is None or any(one.why in ("quota:rpm", "queue") for _, one in end.standings)
