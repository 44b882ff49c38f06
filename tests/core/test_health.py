"""Breakers as conversations, as a machine that may do anything, and in a pure outage."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gemgate.core.health import DENIALS, FIRST, LONGEST, LONGEST_PROBE, Change, Health, Standing, State
from gemgate.core.lanes import MOST_FAILURES, SHORTEST
from gemgate.core.pursuit import End, Met, Move, Race, Terms, Told, Try, Wait, pursue
from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Scope, Verdict

S = 1_000_000
T0 = 1_790_000_000 * S
A = Target("pro", "one")
A2 = Target("pro", "two")
B = Target("flash", "one")

OK = Verdict(kind=Kind.OK, status=200, billed=True)
BUSY = Verdict(kind=Kind.BUSY, status=503, reason="overloaded", message="Overloaded.", scope=Scope.MODEL)
INVALID = Verdict(kind=Kind.REFUSED, status=400, reason="invalid", scope=Scope.CALLER)
CONNECT = Verdict(kind=Kind.BROKEN, status=502, reason="connect", scope=Scope.UPSTREAM)
EMPTY = Verdict(kind=Kind.BROKEN, status=502, reason="empty_answer", scope=Scope.UPSTREAM, billed=True)
MINUTE = Verdict(kind=Kind.BUSY, status=429, reason="quota_minute", scope=Scope.TARGET, retry_after=30.0)


def broken(reason: str, kind: Kind = Kind.BROKEN, status: int = 502) -> Verdict:
    return Verdict(kind=kind, status=status, reason=reason)


def fails(health: Health, verdict: Verdict = BUSY, at: int = T0, target: Target = A) -> tuple[Change, ...]:
    """A try that was sent a tenth of a second before ``at`` fails then. Chance 0.5: no jitter."""
    return health.met(target, verdict, at - S // 10, at, 0.5)


def test_the_first_failure_opens_and_says_so() -> None:
    health = Health()
    assert fails(health) == (
        Change(T0, "model", "pro", "open", "overloaded", "Overloaded.", T0 + FIRST, failures=1),
    )
    assert health.open_at(A, T0) == (T0 + FIRST, "breaker")
    assert health.open_at(A2, T0) == (T0 + FIRST, "breaker")
    assert health.open_at(B, T0) == (T0, "")


def test_a_success_that_was_sent_later_closes_at_once() -> None:
    health = Health()
    fails(health)
    assert health.met(A, OK, T0 - S // 10, T0 + 5, 0.5) == ()  # sent with it, not after it
    assert health.open_at(A, T0 + 5)[1] == "breaker"
    (change,) = health.met(A2, OK, T0 - S // 10 + 1, T0 + 6, 0.5)
    assert (change.scope, change.state, change.until) == ("model", "closed", 0)
    assert health.open_at(A, T0 + 6) == (T0 + 6, "")


def test_a_failure_after_a_later_success_stands_alone() -> None:
    health = Health()
    health.met(A, OK, T0 - S // 20, T0 - 1, 0.5)
    assert fails(health) == ()
    assert health.open_at(A, T0) == (T0, "")


def test_a_success_in_the_future_proves_nothing() -> None:
    health = Health()
    health.met(A, OK, T0 + 3600 * S, T0 + 3600 * S, 0.5)  # the clock was set back since
    assert fails(health) != ()


def test_half_open_lets_one_probe_through() -> None:
    health = Health()
    fails(health)
    now = T0 + FIRST
    assert health.open_at(A, now) == (now, "")
    assert health.begin(A, now)
    assert health.open_at(A, now)[1] == "probing"
    assert health.open_at(A2, now)[0] > now
    (change,) = health.met(A, OK, now, now + S // 10, 0.5)
    assert change.state == "closed"
    assert health.states(now + S // 10) == []


def test_a_failed_probe_doubles_the_time_up_to_thirty_seconds() -> None:
    health = Health()
    now, spans = T0, []
    for _ in range(9):
        (change,) = health.met(A, BUSY, now, now, 0.5)
        spans.append((change.until - now) / S)
        now = change.until
        assert health.begin(A, now)
    assert spans == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 0.375), (1.0, 0.625)])
def test_jitter_is_a_quarter(chance: float, seconds: float) -> None:
    (change,) = Health().met(A, BUSY, T0, T0, chance)
    assert (change.until - T0) / S == seconds


def test_a_delay_that_google_names_is_kept() -> None:
    named = Verdict(kind=Kind.BUSY, status=503, reason="overloaded", retry_after=7.0)
    (change,) = fails(Health(), named)
    assert change.until == T0 + 7 * S


def test_stragglers_neither_lengthen_nor_take_the_probes_place() -> None:
    health = Health()
    fails(health)
    assert health.met(A, BUSY, T0 - S // 20, T0 + S // 4, 0.5) == ()
    now = T0 + FIRST
    assert health.begin(A, now)
    assert health.met(A, BUSY, T0 - S // 20, now + 1, 0.5) == ()
    health.left(A, now + 1, T0 - S // 20)
    assert health.open_at(A, now + 1)[1] == "probing"
    health.left(A, now + 1, now)
    assert health.open_at(A, now + 1) == (now + 1, "")


def test_a_second_try_in_spite_of_the_probe_does_not_take_its_place() -> None:
    health = Health()
    fails(health)
    now = T0 + FIRST
    assert health.begin(A, now)
    assert not health.begin(A2, now + 1)
    health.left(A2, now + 2, now + 1)
    assert health.open_at(A, now + 2)[1] == "probing"


def test_a_success_between_two_failures_does_not_close() -> None:
    health = Health()
    fails(health)
    health.met(A, BUSY, T0 - 10, T0 + 1, 0.5)
    assert health.met(A, OK, T0 - 20, T0 + 2, 0.5) == ()
    assert health.met(A, OK, T0 - 9, T0 + 3, 0.5) != ()


def test_a_probe_that_is_slow_gives_its_place_to_another() -> None:
    health = Health()
    for late in range(MOST_FAILURES + 1):  # an outage, so that silence closes nothing
        health.met(A, BUSY, T0 - 3 * S, T0 + late, 0.5)  # the first failure took three seconds
    now = T0 + FIRST
    assert health.begin(A, now)
    assert health.open_at(A, now + 6 * S - 1)[1] == "probing"
    assert health.open_at(A, now + 6 * S) == (now + 6 * S, "")


# Silence


def flying(*ages: float, target: Target = A) -> Health:
    """Tries that were sent so many seconds before T0, and one more that fails at T0 after a tenth of a second."""
    health = Health()
    for age in ages:
        health.begin(target, T0 - round(age * S))
    fails(health)
    return health


def test_silence_of_later_tries_shows_that_a_failure_stood_alone() -> None:
    health = flying(0.08, 0.06, 0.04, 0.02)
    # The oldest must be out for 0.15 s, and all together for 0.35 s: 0.2 s now, and four times as fast.
    at = T0 + S * 7 // 100
    assert health.open_at(A, T0) == (at, "breaker")
    assert health.open_at(A2, at - 1) == (at, "breaker")
    assert health.open_at(A, at) == (at, "")
    assert health.states(at - 1) != []
    assert health.states(at) == []
    assert health.barring(A, at) is None
    assert not health.begin(A, at)  # no probe: it is closed
    (change,) = health.met(B, OK, T0, at + 5, 0.5)
    assert change == Change(at, "model", "pro", "closed", "overloaded", "Overloaded.", failures=1)
    assert health.met(B, OK, T0, at + 6, 0.5) == ()


def test_a_single_witness_must_be_silent_for_long() -> None:
    health = flying(0.05)
    assert health.open_at(A, T0)[0] == T0 + S * 3 // 10
    slow = Health()
    slow.begin(A, T0 - S)
    slow.met(A, BUSY, T0 - 2 * S, T0, 0.5)  # a failure of two seconds: the witness must be out for three
    now = T0 + FIRST  # half-open, and its probe is another witness
    assert slow.begin(A, now)
    assert slow.open_at(A, now)[1] == "probing"
    assert slow.open_at(A, T0 + 2 * S) == (T0 + 2 * S, "")


@pytest.mark.parametrize("gone", ["answered", "left", "refused by quota"])
def test_who_is_no_longer_out_is_no_witness(gone: str) -> None:
    health = flying(0.2, 0.05)  # the first was sent before the one that failed: it says nothing
    if gone == "answered":
        assert health.met(A, OK, T0 - S // 20, T0 + 1, 0.5)[0].state == "closed"
        return
    if gone == "left":
        health.left(A, T0 + 1, T0 - S // 20)
    else:
        health.met(A, MINUTE, T0 - S // 20, T0 + 1, 0.5)
    assert health.open_at(A, T0 + 1) == (T0 + FIRST, "breaker")


def test_what_was_sent_before_the_failed_try_is_no_witness() -> None:
    assert flying(0.3, 0.2, 0.11).open_at(A, T0) == (T0 + FIRST, "breaker")


def test_a_witness_is_one_that_the_same_breaker_bars() -> None:
    assert flying(0.09, target=B).open_at(A, T0) == (T0 + FIRST, "breaker")
    assert flying(0.09, target=A2).open_at(A, T0)[0] < T0 + FIRST  # the model's, on another project


def test_a_second_failure_asks_for_twice_the_silence_of_later_tries_and_a_third_for_an_answer() -> None:
    health = flying(0.08, 0.06, 0.05, 0.04)
    health.met(A, BUSY, T0 - S * 8 // 100, T0, 0.5)
    assert health.open_at(A, T0)[0] == T0 + -(-(700_000 - 150_000) // 3)
    health.met(A, BUSY, T0 - S * 6 // 100, T0 + 1, 0.5)
    assert health.open_at(A, T0 + 1) == (T0 + FIRST, "breaker")
    assert health.met(A, OK, T0 - S * 5 // 100, T0 + 2, 0.5)[0].state == "closed"


def test_a_probe_is_a_witness_too() -> None:
    health = flying()
    now = T0 + FIRST
    assert health.begin(A, now)
    assert health.open_at(A, now)[1] == "probing"
    assert health.open_at(A, now + S * 35 // 100) == (now + S * 35 // 100, "")


def test_many_witnesses_must_still_be_out_longer_than_the_failures_took() -> None:
    quick = Health()
    for late in range(20):
        quick.begin(A, T0 - S // 50 + late)
    quick.met(A, BUSY, T0 - S // 50 - 1, T0, 0.5)  # a failure of a fiftieth of a second
    assert quick.open_at(A, T0)[0] == T0 - S // 50 + 150_000
    quick.met(A, BUSY, T0 - S // 5, T0, 0.5)  # and one of a fifth
    assert quick.open_at(A, T0)[0] == T0 - S // 50 + 300_000


def test_silence_that_misled_is_not_believed_again() -> None:
    health = flying(0.08, 0.06, 0.04, 0.02)
    now = T0 + S // 10
    for late in range(20):
        assert not health.begin(A, now + late)
    changes = health.met(A, BUSY, T0 - S * 8 // 100, now + 30, 0.5)  # it was out when the breaker closed
    assert [change.state for change in changes] == ["closed", "open"]
    assert health.open_at(A, now + S // 3) == (now + 30 + FIRST, "breaker")


def test_another_failure_after_silence_is_a_first_one_again() -> None:
    health = flying(0.08, 0.06, 0.04, 0.02)
    now = T0 + S // 10
    for late in range(20):
        assert not health.begin(A, now + late)
    health.met(A, BUSY, now, now + 30, 0.5)  # it was sent after the closing
    assert health.open_at(A, now + S // 3) == (now + S // 3, "")


@pytest.mark.parametrize(
    "verdict",
    [
        broken("exhausted", Kind.BUSY, 429),
        Verdict(kind=Kind.BUSY, status=503, reason="overloaded", retry_after=2.0),
        broken("region", Kind.REFUSED, 400),
    ],
    ids=lambda verdict: verdict.reason,
)
def test_silence_does_not_outweigh_what_google_asks_for(verdict: Verdict) -> None:
    health = Health()
    for late in range(50):
        health.begin(A, T0 + late)
    (change,) = health.met(A, verdict, T0, T0 + S // 10, 0.5)
    assert health.open_at(A, T0 + S)[0] == change.until


def test_a_failed_probe_is_no_first_failure() -> None:
    health = Health()
    fails(health)
    now = T0 + FIRST
    assert health.begin(A, now)
    health.begin(A, now + 1)
    health.begin(A, now + 2)
    (change,) = health.met(A, BUSY, now, now + S // 10, 0.5)
    assert health.open_at(A, now + S)[0] == change.until


def test_tries_at_one_moment_are_counted_and_ends_may_be_told_twice() -> None:
    health = Health()
    for _ in range(3):
        health.begin(A, T0)
    health.left(A, T0 + 1, T0)
    health.met(A, BUSY, T0, T0 + 1, 0.5)
    assert health.open_at(A, T0 + S * 2 // 5) == (T0 + S * 2 // 5, "")  # the third is still out
    for _ in range(3):
        health.left(A, T0 + 2, T0)
    assert health.open_at(A, T0 + S * 2 // 5)[1] == "breaker"


# What weighs on what


@pytest.mark.parametrize(
    ("verdict", "scope", "name", "seconds"),
    [
        (BUSY, "model", "pro", 0.5),
        (broken("internal", Kind.BUSY, 500), "model", "pro", 0.5),
        (broken("deadline", Kind.BUSY, 504), "model", "pro", 0.5),
        (broken("gateway", Kind.BUSY, 502), "model", "pro", 0.5),
        (broken("exhausted", Kind.BUSY, 429), "target", "pro@one", 2.0),
        (CONNECT, "upstream", "", 0.5),
        (broken("connect_timeout"), "upstream", "", 0.5),
        (broken("tls"), "upstream", "", 0.5),
        (broken("disconnected"), "target", "pro@one", 0.5),
        (broken("first_byte_timeout", status=504), "target", "pro@one", 0.5),
        (broken("stall_timeout", status=504), "target", "pro@one", 0.5),
        (broken("garbage"), "target", "pro@one", 0.5),
        (EMPTY, "target", "pro@one", 0.5),
        (broken("overloaded", Kind.CUT, 503), "model", "pro", 0.5),
        (broken("cut", Kind.CUT), "target", "pro@one", 0.5),
        (broken("model_closed", Kind.REFUSED, 404), "target", "pro@one", 60.0),
        (broken("project_suspended", Kind.REFUSED, 403), "project", "one", 60.0),
        (broken("project_disabled", Kind.REFUSED, 403), "project", "one", 60.0),
        (broken("region", Kind.REFUSED, 400), "project", "one", 60.0),
        (broken("prepaid", Kind.SPENT, 402), "project", "one", 60.0),
    ],
    ids=lambda value: f"{value.kind}-{value.reason}" if isinstance(value, Verdict) else None,
)
def test_what_cools_down(verdict: Verdict, scope: str, name: str, seconds: float) -> None:
    health = Health()
    (change,) = fails(health, verdict)
    assert (change.scope, change.name, (change.until - T0) / S) == (scope, name, seconds)
    assert health.open_at(A, T0)[1] == ("closed" if seconds > 50 else "breaker")
    state = health.barring(A, T0)
    assert state is not None
    assert (state.scope, state.reason) == (scope, verdict.reason)


@pytest.mark.parametrize(
    "verdict",
    [
        MINUTE,
        broken("quota_day", Kind.SPENT, 429),
        broken("quota_storage", Kind.REFUSED, 429),
        INVALID,
        broken("not_found", Kind.REFUSED, 404),
        broken("total_timeout", status=504),
        broken("credentials_doubled", Kind.REFUSED, 400),
        broken("key_invalid", Kind.REFUSED, 400),
        broken("model_unknown", Kind.REFUSED, 404),
        Verdict(kind=Kind.CANCELLED, reason="hedged"),
        OK,
    ],
    ids=lambda verdict: f"{verdict.kind}-{verdict.reason}",
)
def test_what_opens_no_breaker_of_a_target(verdict: Verdict) -> None:
    health = Health()
    assert fails(health, verdict) == ()
    assert health.open_at(A, T0) == (T0, "")
    assert health.barring(A, T0) is None


@pytest.mark.parametrize(
    "verdict",
    [
        broken("model_unknown", Kind.REFUSED, 404),
        broken("model_closed", Kind.REFUSED, 404),
        BUSY,
        EMPTY,
        broken("internal", Kind.BUSY, 500),
    ],
    ids=lambda verdict: verdict.reason,
)
def test_what_a_call_without_a_model_met_bars_nobody(verdict: Verdict) -> None:
    health = Health(known=lambda _model: False)
    nameless = Target("", "one")
    for number in range(DENIALS + 1):
        assert fails(health, verdict, T0 + number, nameless) == ()
    assert health.open_at(nameless, T0 + 9) == (T0 + 9, "")
    assert health.barring(nameless, T0 + 9) is None
    assert health.states(T0 + 9) == []
    fails(health, verdict, T0, Target("nope", "one"))
    assert health.open_at(nameless, T0 + 9) == health.open_at(A, T0 + 9) == (T0 + 9, "")


def test_a_call_without_a_model_waits_for_the_way_and_for_its_project() -> None:
    health = Health()
    nameless = Target("", "one")
    fails(health, CONNECT, target=nameless)
    assert health.open_at(nameless, T0)[1] == "breaker"
    health = Health()
    fails(health, broken("project_suspended", Kind.REFUSED, 403), target=A)
    assert health.open_at(nameless, T0)[1] == "closed"
    assert health.open_at(Target("", "two"), T0) == (T0, "")


def test_a_breaker_of_no_model_that_an_earlier_version_kept_is_forgotten() -> None:
    health = Health()
    kept = [
        State(T0, scope, name, "open", "model_unknown", until=T0 + S)
        for scope, name in (("model", ""), ("target", "@one"), ("model", "pro"))
    ]
    health.restore(kept, T0)
    assert [state.name for state in health.states(T0)] == ["pro"]


def test_only_a_model_that_nobody_knows_is_shut_by_a_404() -> None:
    unknown = broken("model_unknown", Kind.REFUSED, 404)
    health = Health(known=lambda model: model == "pro")
    assert fails(health, unknown) == ()
    (change,) = fails(health, unknown, target=B)
    assert (change.scope, change.name, change.until) == ("model", "flash", T0 + 60 * S)
    health = Health(known=lambda model: False)
    health.met(B, OK, T0 - 9, T0 - 8, 0.5)
    assert fails(health, unknown, target=B) == ()


def test_a_refused_request_is_an_answer() -> None:
    health = Health()
    fails(health)
    (change,) = health.met(A, INVALID, T0 + FIRST, T0 + FIRST, 0.5)
    assert change.state == "closed"


def test_a_quota_refusal_counts_neither_way_but_frees_the_probes_place() -> None:
    health = Health()
    fails(health)
    now = T0 + FIRST
    assert health.begin(A, now)
    assert health.met(A, MINUTE, now, now + 1, 0.5) == ()
    assert [state.state for state in health.states(now + 1)] == ["half-open"]
    assert health.open_at(A, now + 1) == (now + 1, "")


def test_whatever_comes_from_google_shows_that_the_way_is_free() -> None:
    health = Health()
    fails(health, CONNECT)
    assert health.open_at(B, T0)[1] == "breaker"
    now = T0 + FIRST
    assert health.begin(A, now)
    changes = health.met(A, BUSY, now, now + 1, 0.5)
    assert [(change.scope, change.state) for change in changes] == [("upstream", "closed"), ("model", "open")]
    assert health.open_at(B, now + 1) == (now + 1, "")


# Keys

KEY = "one/1"


@pytest.mark.parametrize(
    ("reason", "first"), [("key_invalid", 60), ("key_leaked", 3600), ("unauthenticated", 60)]
)
def test_a_bad_key_is_shut_and_its_project_is_not(reason: str, first: int) -> None:
    health = Health()
    (change,) = health.met_key(KEY, broken(reason, Kind.REFUSED, 400), T0)
    assert (change.scope, change.name, change.until) == ("key", KEY, T0 + first * S)
    assert health.key_at(KEY, T0) == T0 + first * S
    assert health.key_at("one/2", T0) == T0
    assert health.open_at(A, T0) == (T0, "")
    after = T0 + (first + 1) * S
    assert health.key_at(KEY, after) == after
    (change,) = health.met_key(KEY, OK, after)
    assert change.state == "closed"


def test_what_is_shut_for_good_is_asked_ever_more_seldom() -> None:
    health, now, spans = Health(), T0, []
    for _ in range(9):
        (change,) = health.met_key(KEY, broken("key_invalid", Kind.REFUSED, 400), now)
        assert health.met_key(KEY, broken("key_invalid", Kind.REFUSED, 400), now + S) == ()  # was out already
        spans.append((change.until - now) // S)
        now = change.until
    assert spans == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_only_denials_in_a_row_shut_a_key() -> None:
    denied = broken("denied", Kind.REFUSED, 403)

    def row(*told: Callable[[Health], object]) -> list[bool]:
        health = Health()
        return [bool(one(health)) for one in told]

    def deny(health: Health, at: int = T0) -> object:
        return health.met_key(KEY, denied, at)

    assert row(*[deny] * DENIALS) == [False] * (DENIALS - 1) + [True]
    assert row(deny, deny, lambda health: health.met_key(KEY, OK, T0), deny, deny) == [False] * 5
    assert row(deny, deny, lambda health: health.met(A, OK, T0, T0, 0.5), deny, deny) == [False] * 5
    assert row(deny, deny, lambda health: health.met(Target("m", "on"), OK, T0, T0, 0.5), deny)[-1]
    assert row(deny, deny, lambda health: deny(health, T0 + 3600 * S)) == [False] * 3


def test_the_gateways_own_fault_shuts_no_key() -> None:
    health = Health()
    assert health.met_key(KEY, broken("credentials_doubled", Kind.REFUSED, 400), T0) == ()


# Restarts and bounds


def test_what_was_known_is_known_again() -> None:
    health = Health()
    fails(health)
    fails(health, broken("region", Kind.REFUSED, 400), target=A2)
    health.met_key(KEY, broken("key_leaked", Kind.REFUSED, 403), T0)
    later = Health()
    later.restore(health.states(T0), T0 + 1)
    for target in (A, A2, B):
        assert later.open_at(target, T0 + 1) == health.open_at(target, T0 + 1)
    assert later.key_at(KEY, T0 + 1) == health.key_at(KEY, T0 + 1)
    assert later.states(T0 + S) == health.states(T0 + S)
    assert later.met(A, OK, T0 + 1, T0 + 2, 0.5)[0].state == "closed"
    (change,) = later.met(A, BUSY, T0 + S, T0 + S, 0.5)
    assert change.failures == 1


def test_names_that_callers_make_up_are_bounded() -> None:
    health = Health(known=lambda model: False)
    for number in range(3000):
        fails(health, broken("model_unknown", Kind.REFUSED, 404), T0 + number, Target(f"m{number}", "one"))
        health.met(Target(f"n{number}", "one"), OK, T0, T0, 0.5)
    assert len(health.states(T0)) <= 2048
    assert health.open_at(Target("m2999", "one"), T0 + 3000)[1] == "closed"


# Anything may happen

VERDICTS = st.sampled_from(
    [OK, OK, BUSY, BUSY, CONNECT, EMPTY, MINUTE, INVALID, broken("exhausted", Kind.BUSY, 429)]
)


class Breakers(RuleBasedStateMachine):
    """Tries on three targets, each sent only while its target stands, ending in any order with any verdict."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health()
        self.now = T0
        self.flying: list[tuple[Target, int, bool]] = []
        self.failed: dict[tuple[str, str], int] = {}  # when the latest failed try of an open breaker was sent
        self.openings: dict[tuple[str, str], int] = {}  # in a row
        self.flown: list[tuple[Target, int, int]] = []  # tries that ended, with when they were sent and ended

    @rule(there=st.sampled_from([A, A2, B]))
    def send(self, there: Target) -> None:
        target = there
        at, why = self.health.open_at(target, self.now)
        assert at >= self.now
        assert (at == self.now) == (why == "")
        if at > self.now:
            return
        bars = [state for state in self.health.states(self.now) if weighs(state.scope, state.name, target)]
        assert all(state.state == "half-open" for state in bars)
        probe = self.health.begin(target, self.now)
        assert probe == bool(bars)
        self.flying.append((target, self.now, probe))
        if probe:
            assert self.health.open_at(target, self.now)[1] == "probing"

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), verdict=VERDICTS, chance=st.floats(0, 1))
    def end(self, data: st.DataObject, verdict: Verdict, chance: float) -> None:
        target, sent_at, _ = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        before = {(state.scope, state.name): state for state in self.health.states(self.now)}
        for change in self.health.met(target, verdict, sent_at, self.now, chance):
            key = (change.scope, change.name)
            if change.state == "closed":
                failed = self.failed.pop(key)
                del self.openings[key]
                by_answer = sent_at > failed and weighs(*key, target)
                assert by_answer or self.silent(key, failed, change.at)
            else:
                assert weighs(*key, target)
                previous = self.openings.get(key, 0)
                self.openings[key] = change.failures
                assert change.failures == previous + 1
                assert key not in before or before[key].until <= sent_at
                first = 2 * S if verdict.reason == "exhausted" else FIRST
                span = min(LONGEST, first << previous)
                assert 0.74 * span <= change.until - self.now <= 1.26 * span
                self.failed[key] = sent_at
        self.flown.append((target, sent_at, self.now))
        for key in self.failed:
            if weighs(*key, target) and verdict.reason and verdict.kind is not Kind.REFUSED:
                self.failed[key] = (
                    max(self.failed[key], sent_at) if caused(verdict) == key[0] else self.failed[key]
                )

    def silent(self, key: tuple[str, str], failed: int, at: int) -> bool:
        """Whether a try was out at that moment that was sent with the failed one or later, and long ago."""
        out = [(target, sent_at) for target, sent_at, _ in self.flying]
        out += [(target, sent_at) for target, sent_at, ended in self.flown if ended >= at]
        return any(weighs(*key, target) and failed <= sent_at <= at - SHORTEST for target, sent_at in out)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        target, sent_at, _ = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.health.left(target, self.now, sent_at)
        self.flown.append((target, sent_at, self.now))

    @rule(span=st.sampled_from([1, S // 20, S // 2, 3 * S, 40 * S]))
    def pass_time(self, span: int) -> None:
        self.now += span

    @rule()
    def restart(self) -> None:
        states = self.health.states(self.now)
        self.health = Health()
        self.health.restore(states, self.now)
        self.failed = {(state.scope, state.name): state.opened_at for state in states}
        self.openings = {(state.scope, state.name): state.failures for state in states}
        self.flying = []

    @invariant()
    def half_open_has_one_probe(self) -> None:
        for state in self.health.states(self.now):
            if state.state == "half-open":
                young = [
                    sent_at
                    for target, sent_at, probe in self.flying
                    if probe
                    and sent_at >= state.until
                    and weighs(state.scope, state.name, target)
                    and self.now - sent_at < S  # the shortest term of a probe
                ]
                assert len(young) <= 1

    @invariant()
    def times_are_sane(self) -> None:
        for state in self.health.states(self.now):
            assert state.opened_at <= self.now
            assert state.opened_at < state.until <= state.opened_at + 1.26 * LONGEST
            assert state.failures >= 1


def weighs(scope: str, name: str, target: Target) -> bool:
    """Whether a breaker bars a target."""
    names = {
        "upstream": "",
        "project": target.project,
        "model": target.model,
        "target": f"{target.model}@{target.project}",
    }
    return names.get(scope) == name


def caused(verdict: Verdict) -> str:
    """The scope that a failure of the machine's weighs on."""
    return {"overloaded": "model", "connect": "upstream", "quota_minute": ""}.get(verdict.reason, "target")


TestBreakers = Breakers.TestCase
TestBreakers.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 5), VERDICTS), max_size=30))
def test_after_the_first_failure_nothing_but_probes_until_a_later_success(
    steps: list[tuple[int, Verdict]],
) -> None:
    """One target, tries in a row: while anything about it is sick, each is a probe; when all is well, none is."""
    health, now = Health(), T0
    sick: set[str] = set()
    for pause, verdict in steps:
        now += pause * S // 4 + 1
        at, _ = health.open_at(A, now)
        now = max(now, at)
        assert health.begin(A, now) == bool(sick)
        health.met(A, verdict, now, now, 0.5)
        if verdict.ok or verdict is INVALID:
            sick = set()
        else:
            sick |= {caused(verdict)} - {""}
            if verdict.kind is Kind.BUSY:
                sick -= {"upstream"}


# A pure outage


class Town:
    """Calls at a steady rate, driven through the pursuit and one Health by a heap of moments (seconds)."""

    def __init__(self, answer: Callable[[Target, float], tuple[float, Verdict]], terms: Terms) -> None:
        self.answer = answer
        self.terms = terms
        self.health = Health()
        self.now = 0.0
        self.tries: list[tuple[Target, float, bool]] = []
        self.ends: list[tuple[float, End]] = []  # how long each call took, and its end
        self.first_failure: float | None = None
        self.disturbed: set[Generator[Move, Told, End]] = set()  # calls not answered by one try, sent at once
        self._order = count()
        self._waiting: list[tuple[tuple[Target, ...], Callable[[], None]]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (moment, next(self._order), what))

    def standing(self, target: Target) -> Standing:
        now = T0 + round(self.now * S)
        at, why = self.health.open_at(target, now)
        return Standing((at - now) / S, why)

    def hedge_after(self, target: Target) -> float | None:
        return None

    def chance(self) -> float:
        return 0.5

    def call(self, plan: Plan) -> None:
        self._step(pursue(plan, self.terms, self), None, self.now)

    def _step(self, pursuit: Generator[Move, Told, End], told: Told | None, began: float) -> None:
        try:
            move = next(pursuit) if told is None else pursuit.send(told)
        except StopIteration as stop:
            self.ends.append((self.now - began, stop.value))
            return
        assert not isinstance(move, Race)
        if told is not None or not isinstance(move, Try) or move.target != A:
            self.disturbed.add(pursuit)
        if isinstance(move, Wait):
            done = False

            def wake() -> None:
                nonlocal done
                if not done:
                    done = True
                    self._step(pursuit, Told(self.now - began), began)

            self.at(self.now + move.seconds, wake)
            if move.targets:
                self._waiting.append((move.targets, wake))
            return
        target, sent = move.target, T0 + round(self.now * S)
        self.tries.append((target, self.now, self.health.begin(target, sent)))
        span, verdict = self.answer(target, self.now)

        def over() -> None:
            if not verdict.ok and self.first_failure is None:
                self.first_failure = self.now
            if self.health.met(target, verdict, sent, T0 + round(self.now * S), 0.5):
                self._poke()
            self._step(pursuit, Told(self.now - began, (Met(target, verdict),)), began)

        self.at(self.now + span, over)

    def _poke(self) -> None:
        """A breaker changed: whoever waits for one of its targets goes, as the gateway's waiting room does."""
        waiting, self._waiting = self._waiting, []
        for targets, wake in waiting:
            if any(self.standing(target).at <= 0.0 for target in targets):
                wake()
            else:
                self._waiting.append((targets, wake))

    def run(self, plan: Plan, rate: int, seconds: int) -> None:
        for number in range(rate * seconds):
            self.at(number / rate, lambda: self.call(plan))
        while self._heap:
            self.now, _, what = heapq.heappop(self._heap)
            what()

    def on(self, target: Target) -> list[tuple[float, bool]]:
        return [(at, probe) for one, at, probe in self.tries if one == target]


@pytest.mark.parametrize("fault", [BUSY, broken("disconnected"), broken("internal", Kind.BUSY, 500)])
@pytest.mark.parametrize("span", [0.02, 0.7])
def test_an_outage_of_sixty_seconds_costs_the_tries_in_flight_and_the_probes(
    fault: Verdict, span: float
) -> None:
    def answer(target: Target, now: float) -> tuple[float, Verdict]:
        if target == A and 10.0 <= now < 70.0:
            return span, fault
        return (0.2 if target == A else 0.3), OK

    town = Town(answer, Terms())
    town.run(Plan((A, B)), rate=50, seconds=80)
    assert len(town.ends) == 4000
    assert all(end.reason == "answered" for _, end in town.ends)
    assert town.first_failure is not None
    dead = [(at, probe) for at, probe in town.on(A) if 10.0 <= at < 70.0]
    flying = [at for at, _ in dead if at <= town.first_failure]
    probes = [at for at, probe in dead if probe]
    assert len(dead) <= len(flying) + len(probes)
    assert len(probes) <= 10
    # It is found again, once, and then used by all.
    assert [probe for at, probe in town.on(A) if at > 70.0 + 37.5 + 1.0].count(True) == 0
    spans = sorted(took for took, _ in town.ends)
    assert spans[int(0.99 * len(spans))] <= 2 * 0.3 + 0.001 + (span if span > 0.3 else 0.0)


def test_a_single_target_that_is_dead_is_probed_and_not_hammered() -> None:
    town = Town(lambda target, now: (0.05, BUSY if 5.0 <= now < 65.0 else OK), Terms())
    town.run(Plan((A,)), rate=50, seconds=100)
    assert town.first_failure is not None
    dead = [(at, probe) for at, probe in town.on(A) if 5.0 <= at < 65.0]
    flying = [at for at, _ in dead if at <= town.first_failure]
    assert len(dead) <= len(flying) + 10
    # Those that began within a patience of its recovery waited for it.
    assert sum(end.reason == "answered" for _, end in town.ends[-500:]) == 500


def test_isolated_faults_do_not_stop_the_traffic_of_a_single_target() -> None:
    numbers = count()

    def answer(target: Target, now: float) -> tuple[float, Verdict]:
        return (0.1, BUSY) if next(numbers) % 100 == 99 else (0.5, OK)

    town = Town(answer, Terms())
    town.run(Plan((A,)), rate=50, seconds=60)
    assert len(town.ends) == 3000
    assert all(end.reason == "answered" for _, end in town.ends)
    assert town.health.states(T0 + 3600 * S) == []
    # A call that meets a closed door waits for the next good answer, not for the breaker's whole time.
    assert max(took for took, _ in town.ends) <= 3.0


def test_a_probe_of_a_slow_model_does_not_hold_all_others_back() -> None:
    """One fault in a quiet hour; then answers take twenty seconds, longer than most would wait."""
    numbers = count()
    town = Town(lambda target, now: (0.1, BUSY) if next(numbers) == 0 else (20.0, OK), Terms(patience=10.0))
    town.run(Plan((A,)), rate=1, seconds=8)
    assert all(end.reason == "answered" for _, end in town.ends)
    assert LONGEST_PROBE > 20 * S


@pytest.mark.parametrize("plan", [Plan((A, B)), Plan((A,))], ids=["two targets", "one target"])
@pytest.mark.parametrize(("share", "most"), [(0.01, 0.08), (0.02, 0.16)])
def test_isolated_failures_divert_or_delay_few_calls(plan: Plan, share: float, most: float) -> None:
    """Four minutes of 50 calls/s, answers of about a second. Those that meet the failure themselves count, too."""
    disturbed = []
    for seed in range(4):
        chance = Random(seed)

        def answer(target: Target, now: float, chance: Random = chance) -> tuple[float, Verdict]:
            if target == A and chance.random() < share:
                return chance.uniform(0.05, 0.15), BUSY
            return chance.uniform(0.8, 1.2), OK

        town = Town(answer, Terms())
        town.run(plan, rate=50, seconds=60)
        assert all(end.reason == "answered" for _, end in town.ends)
        disturbed.append(len(town.disturbed) / len(town.ends))
    assert sum(disturbed) / len(disturbed) <= most
    assert max(disturbed) <= 1.5 * most


def extra(seed: int, shortest: float, longest: float, plan: Plan) -> int:
    """Tries on a target that is dead for 15 s beyond those out when its first failure came back, and the probes."""
    chance = Random(seed)

    def answer(target: Target, now: float) -> tuple[float, Verdict]:
        if target == A and 2.0 <= now < 17.0:
            return chance.uniform(shortest, longest), BUSY
        return chance.uniform(0.8, 1.2), OK

    town = Town(answer, Terms())
    town.run(plan, rate=50, seconds=18)
    assert town.first_failure is not None
    dead = [(at, probe) for at, probe in town.on(A) if 2.0 <= at < 17.0]
    return sum(at > town.first_failure and not probe for at, probe in dead)


@pytest.mark.parametrize("plan", [Plan((A, B)), Plan((A,))], ids=["two targets", "one target"])
@pytest.mark.parametrize("span", [0.02, 0.05, 0.2, 0.5])
def test_a_dead_target_that_fails_evenly_costs_no_try_more(plan: Plan, span: float) -> None:
    assert extra(0, span, span, plan) == 0


@pytest.mark.parametrize(
    ("plan", "mean", "worst"),
    [(Plan((A, B)), 1.0, 12), (Plan((A,)), 3.0, 25)],
    ids=["two targets", "one target"],
)
def test_a_dead_target_that_fails_unevenly_costs_few_tries_more(plan: Plan, mean: float, worst: int) -> None:
    """Failures take from 0.02 to 0.5 s, each by chance, so that silence may mislead.

    Where the extra tries come from: a few tries that would fail late look silent, the breaker closes, and at 50
    calls/s one more goes out every 20 ms until the next failure is heard. That happens in about one outage of ten.
    Where there is no other target, those that waited meanwhile go out, too, all together.
    """
    found = [extra(seed, 0.02, 0.5, plan) for seed in range(60)]
    assert sum(found) / len(found) <= mean
    assert sum(one <= 2 for one in found) >= 0.8 * len(found)
    assert max(found) <= worst
