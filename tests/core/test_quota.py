"""The quota brain under its own clock: no window is ever exceeded, and room comes when it is said to come."""

from __future__ import annotations

import datetime
import json
import pathlib
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemgate.core.quota import NEVER, Ahead, Bucket, Hold, Limits, Quota, Room, Used, Window
from gemgate.core.verdict import Kind, Verdict, Violation
from gemgate.dialects.gemini import verdict as reading

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
MARGIN = SECOND
SLOT, SPEND_SLOT = SECOND // 10, SECOND
PACIFIC = zoneinfo.ZoneInfo("America/Los_Angeles")
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case
    for case in json.loads((pathlib.Path(__file__).parent.parent / "cases" / "refusals.json").read_text())
}
FLASH, LITE = Bucket("one", "flash"), Bucket("one", "lite")
OTHER = Bucket("two", "flash")
LIMITS = Limits(rpm=4, tpm=100, rpd=12, tpd=300)
SPEND = 1000


def at(text: str) -> int:
    """A moment of California's clocks."""
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=PACIFIC).timestamp() * SECOND)


def day_of(moment: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(moment / SECOND, PACIFIC).date()


NOON = at("2026-11-20T12:00")


def quota(
    limits: Limits | Callable[[Bucket], Limits] = LIMITS, spend: int | None = SPEND, account: str = "bills"
) -> Quota:
    """Two projects on one account."""
    return Quota(limits if callable(limits) else lambda _: limits, lambda _: account, lambda _: spend)


class Try:
    """What the test itself knows of one try."""

    def __init__(self, hold: Hold, tokens: int, nano: int, sent_at: int) -> None:
        self.hold, self.tokens, self.nano, self.sent_at = hold, tokens, nano, sent_at
        self.requests = 1


class World:
    """A clock, a quota, and a plain list of all tries."""

    def __init__(self, start: int, brain: Quota) -> None:
        self.now = start
        self.quota = brain
        self.tries: list[Try] = []

    def arrive(self, bucket: Bucket, tokens: int, nano: int) -> None:
        if self.quota.room(bucket, tokens, self.now, nano=nano).at > self.now:
            return
        hold = self.quota.take(bucket, tokens, nano, self.now)
        self.tries.append(Try(hold, tokens, nano, self.now))
        self.check_now(bucket)

    def settle(self, which: int, tokens: int | None, nano: int | None) -> None:
        if self.tries:
            one = self.tries[which % len(self.tries)]
            self.quota.settle(one.hold, tokens, nano, self.now)
            if not one.hold.over:
                one.tokens = one.tokens if tokens is None else tokens
                one.nano = one.nano if nano is None else nano

    def give_back(self, which: int, sent: bool) -> None:
        if self.tries:
            one = self.tries[which % len(self.tries)]
            self.quota.give_back(one.hold, self.now, sent=sent)
            one.requests = one.requests if sent else 0
            one.tokens = one.nano = 0

    def check_now(self, bucket: Bucket) -> None:
        """What has just been taken fits with all that went before it, as it is known now."""
        mine = [one for one in self.tries if one.hold.bucket == bucket]
        minute = [one for one in mine if one.sent_at > self.now - MINUTE]
        day = [one for one in mine if day_of(one.sent_at) == day_of(self.now)]
        ten = [one for one in self.tries if one.sent_at > self.now - 10 * MINUTE]
        assert sum(one.requests for one in minute) <= 4
        assert sum(one.tokens for one in minute) <= 100
        assert sum(one.requests for one in day) <= 12
        assert sum(one.tokens for one in day) <= 300
        assert sum(one.nano for one in ten) <= SPEND

    def used(self) -> Iterable[Used]:
        """The record of all tries."""
        return [
            Used(one.hold.bucket, one.sent_at, one.requests, one.tokens, one.nano)
            for one in self.tries
            if one.requests or one.tokens or one.nano
        ]


starts = st.one_of(
    st.sampled_from(["2026-03-07T23:58", "2026-03-08T23:58", "2026-10-31T23:58", "2026-11-01T23:58"]).map(at),
    st.integers(at("2026-01-01T00:00"), at("2026-12-31T00:00")),
)
pauses = st.one_of(
    st.integers(0, 2 * SECOND),
    st.integers(0, 3 * MINUTE),
    st.sampled_from([0, SLOT, MINUTE, MINUTE + MARGIN, 10 * MINUTE, 3 * HOUR, 12 * HOUR]),
)
arrivals = st.tuples(
    st.just("arrive"), st.sampled_from([FLASH, FLASH, LITE, OTHER]), st.integers(0, 60), st.integers(0, 400)
)
endings = st.one_of(
    st.tuples(st.just("less"), st.integers(0, 30), st.integers(0, 100), st.integers(0, 100)),
    st.tuples(st.just("back"), st.integers(0, 30), st.booleans()),
)
wrong = st.tuples(
    st.just("settle"),
    st.integers(0, 30),
    st.one_of(st.none(), st.integers(0, 200)),
    st.one_of(st.none(), st.integers(0, 1500)),
)


def moves(*more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[int, Any]]]:
    return st.lists(st.tuples(pauses, st.one_of(arrivals, arrivals, arrivals, *more)), max_size=30)


def play(world: World, story: list[tuple[int, Any]]) -> None:
    for pause, (what, *rest) in story:
        world.now += pause
        if what == "arrive":
            world.arrive(*rest)
        elif what == "settle":
            world.settle(*rest)
        elif what == "back":
            world.give_back(*rest)
        elif world.tries:
            which, tokens, nano = rest
            one = world.tries[which % len(world.tries)]
            world.settle(which, one.tokens * tokens // 100, one.nano * nano // 100)


# (1) No window is ever exceeded.


@settings(max_examples=100)
@given(starts, moves(endings, wrong))
def test_no_try_is_taken_that_does_not_fit_with_the_truth_known_by_then(
    start: int, story: list[tuple[int, Any]]
) -> None:
    play(World(start, quota()), story)


@settings(max_examples=120)
@given(starts, moves(endings), st.data())
def test_no_interval_holds_more_than_its_limit(
    start: int, story: list[tuple[int, Any]], data: st.DataObject
) -> None:
    """With estimates that are never too low: rolling and fixed, as sent and as they arrive at Google."""
    world = World(start, quota())
    play(world, story)
    delays = [data.draw(st.integers(0, MARGIN)) for _ in world.tries]
    skew = data.draw(st.integers(-MARGIN, MARGIN))
    for arrived in (
        [(one.sent_at, one) for one in world.tries],
        [(one.sent_at + delay, one) for one, delay in zip(world.tries, delays, strict=True)],
    ):
        check_intervals(arrived, 10 * MINUTE, lambda one: one.nano, SPEND)
        for bucket in (FLASH, LITE, OTHER):
            mine = [(moment, one) for moment, one in arrived if one.hold.bucket == bucket]
            check_intervals(mine, MINUTE, lambda one: one.requests, 4)
            check_intervals(mine, MINUTE, lambda one: one.tokens, 100)
    for bucket in (FLASH, LITE, OTHER):
        days: dict[datetime.date, list[Try]] = {}
        for one in world.tries:
            if one.hold.bucket == bucket:
                days.setdefault(day_of(one.sent_at + skew), []).append(one)
        for tries in days.values():
            assert sum(one.requests for one in tries) <= 12
            assert sum(one.tokens for one in tries) <= 300


def check_intervals(
    tries: list[tuple[int, Try]], span: int, amount: Callable[[Try], int], limit: int
) -> None:
    """Every interval that begins with a try, and every one of the clock."""
    fixed: dict[int, int] = {}
    for begin, _ in tries:
        assert sum(amount(one) for moment, one in tries if begin <= moment < begin + span) <= limit
    for moment, one in tries:
        fixed[moment // span] = fixed.get(moment // span, 0) + amount(one)
    assert all(total <= limit for total in fixed.values())


# (2) Room comes when it is said to come.


@settings(max_examples=100)
@given(starts, moves(endings, wrong), st.integers(0, 100), st.integers(0, SPEND))
def test_there_is_room_at_the_time_named_and_none_before(
    start: int, story: list[tuple[int, Any]], tokens: int, nano: int
) -> None:
    world = World(start, quota())
    play(world, story)
    found = world.quota.room(FLASH, tokens, world.now, nano=nano)
    assert found.at >= world.now
    assert (found.at == world.now) == (found.window == "")
    if found.at > world.now:
        for earlier in sorted({world.now + (found.at - world.now) // 2, found.at - SLOT, found.at - 1}):
            if earlier >= world.now:
                assert world.quota.room(FLASH, tokens, earlier, nano=nano) == found
    assert world.quota.room(FLASH, tokens, found.at, nano=nano) == Room(found.at)


@settings(max_examples=100)
@given(starts, moves(), st.lists(st.integers(1, 40), max_size=3), st.integers(1, 40))
def test_room_is_right_when_those_ahead_take_theirs_in_order(
    start: int, story: list[tuple[int, Any]], sizes: list[int], mine: int
) -> None:
    brain = quota(Limits(rpm=4, tpm=160), None)
    world = World(start, brain)
    for pause, (_, bucket, tokens, nano) in story:
        world.now += pause
        if brain.room(bucket, tokens, world.now).at <= world.now:
            brain.take(bucket, tokens, nano, world.now)
    said = brain.room(FLASH, mine, world.now, Ahead(len(sizes), sum(sizes))).at
    now = world.now
    for size in sizes:
        now = brain.room(FLASH, size, now).at
        brain.take(FLASH, size, 0, now)
    assert brain.room(FLASH, mine, now).at == said


@pytest.mark.parametrize(("place", "minutes"), [(0, 1), (3, 1), (4, 2), (7, 2), (8, 3), (400, 101)])
def test_each_further_full_window_of_people_ahead_takes_a_span(place: int, minutes: int) -> None:
    brain = quota(Limits(rpm=4), None)
    for _ in range(4):
        brain.take(FLASH, 1, 0, NOON)
    assert brain.room(FLASH, 1, NOON, Ahead(place, place)).at == NOON + minutes * (MINUTE + MARGIN + SLOT)


def test_what_is_larger_than_a_limit_never_has_room() -> None:
    brain = quota()
    assert brain.room(FLASH, 101, NOON) == Room(NEVER, "tpm")
    assert quota(Limits(tpd=50)).room(FLASH, 51, NOON) == Room(NEVER, "tpd")
    assert quota(Limits(rpd=0)).room(FLASH, 0, NOON) == Room(NEVER, "rpd")
    assert quota(Limits(rpm=0)).room(FLASH, 0, NOON, Ahead(3, 0)) == Room(NEVER, "rpm")
    assert quota(Limits(), spend=0).room(FLASH, 1, NOON) == Room(NEVER, "spend")
    assert quota(Limits(), spend=None).room(FLASH, 10**9, NOON, Ahead(10**6, 10**12)) == Room(NOON)


def test_a_window_in_the_way_is_named() -> None:
    brain = quota(Limits(rpm=2, tpm=100, rpd=3, tpd=1000), 50)
    first = brain.take(FLASH, 70, 10, NOON)
    assert brain.room(FLASH, 31, NOON).window == "tpm"
    brain.settle(first, 10, 50, NOON + SECOND)
    assert brain.room(FLASH, 31, NOON + SECOND) == Room(NOON + 602 * SECOND, "spend")
    brain.settle(first, None, 10, NOON + SECOND)
    brain.take(FLASH, 1, 1, NOON + SECOND)
    assert brain.room(FLASH, 1, NOON + SECOND) == Room(NOON + 61 * SECOND + SLOT, "rpm")
    brain.take(FLASH, 1, 1, NOON + 2 * MINUTE)
    assert brain.room(FLASH, 1, NOON + 2 * MINUTE) == Room(at("2026-11-21T00:00") + MARGIN, "rpd")


def test_projects_of_one_account_spend_together_and_others_alone() -> None:
    shared, alone = quota(Limits(), 100), quota(Limits(), 100, account="")
    for brain in (shared, alone):
        brain.take(FLASH, 1, 100, NOON)
    assert shared.room(OTHER, 1, NOON).window == "spend"
    assert alone.room(OTHER, 1, NOON) == Room(NOON)
    assert alone.room(LITE, 1, NOON).window == "spend"
    assert [(row.project, row.family, row.used) for row in shared.windows(NOON) if row.window == "spend"] == [
        ("", "bills", 100)
    ]
    assert ("one", "", 100) in [
        (row.project, row.family, row.used) for row in alone.windows(NOON) if row.window == "spend"
    ]


def test_money_that_nobody_expected_counts_from_the_sending_of_its_try() -> None:
    brain = quota(Limits(), 100)
    early = brain.take(FLASH, 1, 0, NOON)
    brain.take(FLASH, 1, 40, NOON + MINUTE)
    brain.settle(early, 1, 60, NOON + 2 * MINUTE)
    assert brain.room(FLASH, 1, NOON + 2 * MINUTE) == Room(NOON + 602 * SECOND, "spend")


def test_telling_the_truth_twice_or_after_giving_back_changes_nothing() -> None:
    brain = quota()
    held = brain.take(FLASH, 50, 100, NOON)
    brain.settle(held, 60, None, NOON)
    brain.settle(held, 60, 200, NOON)
    brain.settle(held, None, None, NOON)
    assert used(brain, NOON) == {"rpm": 1, "tpm": 60, "rpd": 1, "tpd": 60, "spend": 200}
    brain.give_back(held, NOON, sent=True)
    assert used(brain, NOON) == {"rpm": 1, "tpm": 0, "rpd": 1, "tpd": 0, "spend": 0}
    brain.give_back(held, NOON, sent=False)
    brain.give_back(held, NOON, sent=False)
    brain.settle(held, 60, 200, NOON)
    assert used(brain, NOON) == {"rpm": 0, "tpm": 0, "rpd": 0, "tpd": 0, "spend": 0}


def used(brain: Quota, now: int) -> dict[str, int]:
    return {row.window: row.used for row in brain.windows(now) if row.family in ("flash", "bills")}


# (3) A restart loses nothing.


@settings(max_examples=100)
@given(
    starts,
    moves(endings, wrong),
    st.integers(0, 100),
    st.integers(0, 2),
    pauses,
    st.sampled_from(list(CASES)),
)
def test_after_a_restart_the_windows_are_as_full_as_before(
    start: int, story: list[tuple[int, Any]], tokens: int, waiting: int, pause: int, refused: str
) -> None:
    world = World(start, quota())
    play(world, story)
    world.quota.learn(FLASH, judged(refused), world.now)
    again = quota()
    again.restore(reversed(rows(world)), reversed(list(world.used())), world.now)
    assert in_order(again.windows(world.now)) == rows(world)
    world.now += pause
    for bucket in (FLASH, LITE, OTHER):
        for ahead in (Ahead(), Ahead(waiting, 20 * waiting)):
            before = world.quota.room(bucket, tokens, world.now, ahead)
            assert again.room(bucket, tokens, world.now, ahead) == before


def rows(world: World) -> list[Window]:
    return in_order(world.quota.windows(world.now))


def in_order(windows: Iterable[Window]) -> list[Window]:
    return sorted(windows, key=lambda row: (row.project, row.family, row.window))


def test_a_day_is_the_larger_of_the_record_and_the_last_look_at_the_window() -> None:
    midnight = at("2026-11-20T00:00")
    for said, recorded, full in ((12, 3, True), (3, 12, True), (5, 5, False)):
        brain = quota()
        seen = Window("one", "flash", "rpd", 12, "config", said, since=midnight)
        brain.restore([seen], [Used(FLASH, NOON - HOUR, recorded, 0)], NOON)
        assert (brain.room(FLASH, 1, NOON).window == "rpd") is full
    brain = quota()
    brain.restore([Window("one", "flash", "rpd", 12, "config", 12, since=midnight - 24 * HOUR)], [], NOON)
    assert brain.room(FLASH, 1, NOON) == Room(NOON)


def test_what_the_record_says_of_the_future_counts_from_now() -> None:
    brain = quota()
    brain.restore([], [Used(FLASH, NOON + HOUR, 4, 10, 10)], NOON)
    assert brain.room(FLASH, 1, NOON) == Room(NOON + MINUTE + MARGIN + SLOT, "rpm")


# (4) What refusals teach.


def judged(name: str) -> Verdict:
    case = CASES[name]
    return reading.judge_error(case["status"], json.dumps(case["body"]).encode())


MIDNIGHT = at("2026-11-21T00:00") + MARGIN


@pytest.mark.parametrize(
    ("name", "window", "until", "limit"),
    [
        ("quota_rpd_free", "rpd", MIDNIGHT, 20),
        ("openai_429_array", "rpd", MIDNIGHT, 20),
        ("quota_rpm_free", "rpm", NOON + 56_200_000, 2),
        ("quota_tpm_free", "tpm", NOON + 26_500_000, 250_000),
        ("quota_limit_zero", "rpm", NEVER, 0),
        ("quota_rpd_paid", "rpd", NOON + 68_933_149_597, 250),
        ("quota_tpm_paid_tier1", "tpm", NOON + 45_811_975, 1_000_000),
        ("prepay_depleted", "spend", NOON + MINUTE, None),
    ],
)
def test_a_refusal_closes_the_window_it_names(name: str, window: str, until: int, limit: int | None) -> None:
    case = CASES[name]
    family = next((one.family for one in judged(name).violations), "") or "flash"
    bucket = Bucket("one", family)
    brain = quota(Limits(), None)
    assert brain.learn(bucket, judged(name), NOON) == until
    assert brain.room(bucket, 1, NOON).at == until
    assert brain.room(bucket, 1, NOON).window == window or until == NEVER
    row = next(row for row in brain.windows(NOON) if row.window == window)
    assert (row.limit, row.closed_until, row.room_at, row.reason) == (limit, until, until, case["reason"])
    assert row.source == ("learned" if limit is not None else "")
    if until < NEVER:
        assert brain.room(bucket, 1, until - 1).at == until
        assert brain.room(bucket, 1, until) == Room(until)
    # Another project is not concerned, unless the money is gone.
    assert (brain.room(Bucket("two", family), 1, NOON).at > NOON) == (window == "spend")
    assert (brain.room(Bucket("one", "strange"), 1, NOON).at > NOON) == (window == "spend")


def test_every_kind_of_quota_refusal_on_file_was_tried() -> None:
    names = {name for name, case in CASES.items() if case["status"] in (402, 429)}
    assert names - {"exhausted_bare", "quota_storage"} <= {
        *("quota_rpd_free", "openai_429_array", "quota_rpm_free", "quota_tpm_free", "quota_limit_zero"),
        *("quota_rpd_paid", "quota_tpm_paid_tier1", "prepay_depleted"),
    }


@pytest.mark.parametrize(
    "name",
    [*sorted(name for name, case in CASES.items() if case["status"] not in (402, 429)), "exhausted_bare"],
)
def test_what_names_no_window_teaches_nothing(name: str) -> None:
    brain = quota()
    assert brain.learn(FLASH, judged(name), NOON) == 0
    assert brain.room(FLASH, 1, NOON) == Room(NOON)


def limits(brain: Quota) -> dict[str, tuple[int | None, str]]:
    """The limits in force for the first bucket, and where they are from."""
    return {row.window: (row.limit, row.source) for row in brain.windows(NOON) if row.family == "flash"}


def refusal(reason: str, *violations: Violation, retry_after: float = 0.0, quota: str = "") -> Verdict:
    return Verdict(
        kind=Kind.BUSY, status=429, reason=reason, retry_after=retry_after, quota=quota, violations=violations
    )


@given(starts)
def test_a_free_daily_refusal_closes_to_midnight_whatever_its_delay(now: int) -> None:
    brain = quota(Limits(), None)
    free = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    until = brain.learn(FLASH, refusal("quota_day", quota=free, retry_after=7200.0), now)
    assert day_of(until - MARGIN) == day_of(now) + datetime.timedelta(days=1) or until == now + MINUTE
    assert day_of(until - MARGIN - 1) == day_of(now)
    assert (until == now + MINUTE) == (day_of(now - MINUTE) < day_of(now))


def test_a_daily_refusal_in_the_first_minute_of_a_day_may_mean_the_day_before() -> None:
    brain = quota(Limits(), None)
    midnight = at("2026-11-21T00:00")
    assert brain.learn(FLASH, refusal("quota_day"), midnight + SECOND) == midnight + SECOND + MINUTE
    assert brain.learn(FLASH, refusal("quota_day"), midnight + MINUTE) == at("2026-11-22T00:00") + MARGIN


def test_a_limit_of_zero_heals_by_a_new_configuration_alone() -> None:
    brain = quota(Limits(rpm=10), None)
    brain.learn(FLASH, judged("quota_limit_zero"), NOON)
    assert limits(brain)["rpm"] == (0, "learned")
    assert brain.room(FLASH, 1, NOON + 400 * 24 * HOUR).at == NEVER
    brain.reload(lambda _: Limits(rpm=10), lambda _: "", lambda _: None)
    assert brain.room(FLASH, 1, NOON) == Room(NOON)
    assert limits(brain)["rpm"] == (10, "config")


@pytest.mark.parametrize(
    "refused", ["quota_limit_zero", "quota_rpd_paid", "quota_rpm_free", "prepay_depleted"]
)
def test_only_the_success_of_a_try_sent_after_a_closing_ends_it(refused: str) -> None:
    brain = quota(Limits(), None)
    bucket = Bucket("one", next((one.family for one in judged(refused).violations), "flash"))
    before = brain.take(bucket, 1, 1, NOON)
    brain.learn(bucket, judged(refused), NOON + 1)
    after = brain.take(bucket, 1, 1, NOON + 2)
    brain.settle(before, 1, 1, NOON + 3)
    brain.settle(after, None, 1, NOON + 3)
    assert brain.room(bucket, 1, NOON + 3).at > NOON + 3
    brain.settle(after, 1, 1, NOON + 4)
    # A learned limit of 2 a minute is no closing: it is true, and reached.
    expected = "rpm" if refused == "quota_rpm_free" else ""
    assert brain.room(bucket, 1, NOON + 4).window == expected
    assert [row for row in brain.windows(NOON + 4) if row.closed_until] == []


def test_a_minute_refusal_without_a_delay_closes_for_a_minute_and_a_short_one_for_a_second() -> None:
    brain = quota(Limits(), None)
    assert brain.learn(FLASH, refusal("quota_minute"), NOON) == NOON + MINUTE
    assert brain.learn(LITE, refusal("quota_tokens", retry_after=0.2), NOON) == NOON + SECOND
    assert brain.room(LITE, 0, NOON) == Room(NOON + SECOND, "tpm")
    # A later word does not shorten an earlier one.
    brain.learn(FLASH, refusal("quota_minute", retry_after=1.0), NOON)
    assert brain.room(FLASH, 1, NOON).at == NOON + MINUTE


def test_a_configured_limit_stays_when_it_is_lower_and_a_tiers_is_replaced() -> None:
    def learned(known: Limits, said: int) -> tuple[int | None, str]:
        brain = quota(known, None)
        brain.learn(FLASH, refusal("quota_minute", Violation("rpm", said, "flash")), NOON)
        return limits(brain)["rpm"]

    assert learned(Limits(rpm=5), 10) == (5, "config")
    assert learned(Limits(rpm=5), 3) == (3, "learned")
    assert learned(Limits(rpm=5, tier=("rpm",)), 10) == (10, "learned")
    assert learned(Limits(rpm=5, tier=("rpm",)), 3) == (3, "learned")
    assert learned(Limits(), 10) == (10, "learned")
    assert [row.source for row in tried(quota(Limits(rpm=5, tier=("rpm",)), None)).windows(NOON)][:1] == [
        "tier"
    ]


def tried(brain: Quota) -> Quota:
    brain.take(FLASH, 1, 1, NOON)
    return brain


def test_a_family_that_google_counts_elsewhere_is_closed_there_too() -> None:
    brain = quota(Limits(), None)
    verdict = refusal("quota_minute", Violation("rpm", 5, "gemini-3.1-pro"), retry_after=30.0)
    assert brain.learn(Bucket("one", "gemini-3.1-pro-odd"), verdict, NOON) == NOON + 30 * SECOND
    for family in ("gemini-3.1-pro-odd", "gemini-3.1-pro"):
        assert brain.room(Bucket("one", family), 1, NOON).at == NOON + 30 * SECOND
    assert brain.room(Bucket("two", "gemini-3.1-pro"), 1, NOON) == Room(NOON)


def test_several_violations_close_each_its_window_and_a_nameless_one_names_no_limit() -> None:
    brain = quota(Limits(), None)
    both = refusal("quota_minute", Violation("rpm", 5), Violation("tpm", 900), retry_after=9.0)
    brain.learn(FLASH, both, NOON)
    closed = {row.window: (row.limit, row.closed_until) for row in brain.windows(NOON) if row.closed_until}
    assert closed == {"rpm": (5, NOON + 9 * SECOND), "tpm": (900, NOON + 9 * SECOND)}
    brain.learn(LITE, refusal("quota_minute", Violation("", 3), retry_after=9.0), NOON)
    assert [row.limit for row in brain.windows(NOON) if row.family == "lite"] == [None] * 4
    brain.learn(OTHER, refusal("quota_day", quota="GenerateContentInputTokensPerModelPerDay-FreeTier"), NOON)
    assert [row.window for row in brain.windows(NOON) if row.project == "two" and row.closed_until] == ["tpd"]


def test_a_zero_in_a_refusal_that_heals_is_not_taken_for_a_limit() -> None:
    brain = quota(Limits(), None)
    brain.learn(
        FLASH, refusal("quota_minute", Violation("rpm", 5), Violation("tpm", 0), retry_after=9.0), NOON
    )
    assert brain.room(FLASH, 1, NOON) == Room(NOON + 9 * SECOND, "rpm")
    assert brain.room(FLASH, 1, NOON + 9 * SECOND) == Room(NOON + 9 * SECOND)
    assert limits(brain)["tpm"] == (None, "")


def test_a_paid_day_that_rolls_is_not_counted_to_midnight() -> None:
    brain = quota(Limits(rpd=3, tier=("rpd",)), None)
    for _ in range(3):
        brain.take(FLASH, 1, 1, NOON)
    brain.learn(FLASH, refusal("quota_day", Violation("rpd", 3), retry_after=6776.0), NOON)
    assert brain.room(FLASH, 1, NOON) == Room(NOON + 6776 * SECOND, "rpd")
    assert brain.room(FLASH, 1, NOON + 6776 * SECOND) == Room(NOON + 6776 * SECOND)


def test_a_reload_keeps_use_and_learning_but_for_windows_whose_numbers_changed() -> None:
    brain = quota(Limits(rpm=10, tpm=100, tier=("rpm", "tpm")), SPEND)
    brain.take(FLASH, 60, 700, NOON)
    brain.learn(FLASH, refusal("quota_minute", Violation("rpm", 2), Violation("tpm", 90)), NOON - 2 * MINUTE)
    brain.reload(lambda _: Limits(rpm=10, tpm=1000, tier=("rpm", "tpm")), lambda _: "bills", lambda _: 800)
    rows = {row.window: row for row in brain.windows(NOON)}
    assert (rows["rpm"].limit, rows["rpm"].source, rows["rpm"].used) == (2, "learned", 1)
    assert (rows["tpm"].limit, rows["tpm"].source, rows["tpm"].used) == (1000, "tier", 60)
    assert (rows["spend"].limit, rows["spend"].used) == (800, 700)
    # The project moves to an account of its own: its old spend stays where it was.
    brain.reload(lambda _: Limits(), lambda project: f"of {project}", lambda _: 800)
    assert brain.room(FLASH, 1, NOON, nano=800) == Room(NOON)


def test_families_that_callers_invent_do_not_pile_up_and_what_counts_is_kept() -> None:
    brain = quota(Limits(rpm=4, rpd=12), None)
    for _ in range(12):
        brain.take(FLASH, 1, 1, NOON)
    brain.learn(LITE, judged("quota_limit_zero"), NOON)
    held = brain.take(OTHER, 1, 1, NOON + 2 * MINUTE)
    for number in range(5000):
        brain.room(Bucket("one", f"invented-{number}"), 1, NOON + 2 * MINUTE)
    assert len(brain._counted) <= 1000
    now = NOON + 2 * MINUTE
    assert brain.room(FLASH, 1, now).window == "rpd"
    assert brain.room(LITE, 1, now).at == NEVER
    brain.give_back(held, now, sent=False)
    assert {row.family for row in brain.windows(now)} == {"flash", "lite", "gemini-3.1-pro", "bills"}


@given(moves(endings, wrong))
def test_asking_changes_nothing(story: list[tuple[int, Any]]) -> None:
    quiet, asked = World(NOON, quota()), World(NOON, quota())
    for pause, move in story:
        play(quiet, [(pause, move)])
        for tokens in (0, 1, 50, 200):
            asked.quota.room(FLASH, tokens, asked.now, Ahead(3, 90))
        asked.quota.windows(asked.now)
        play(asked, [(pause, move)])
    assert rows(quiet) == rows(asked)
