"""Budgets under their own clock: no number of calls at once passes a line by more than one call's error."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gemgate.core.budget import BadBudget, Bar, Budget, Budgets, Charged, Estimate, check, resets_at, slot
from gemgate.core.windows import NEVER

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
DAY = 24 * HOUR
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    """A moment of Berlin's clocks."""
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * SECOND)


NOON = at("2026-11-20T12:00")


def budget(number: int = 1, amount: int = 100, **fields: object) -> Budget:
    plain: dict[str, object] = {"scope": "all", "unit": "money", "period": "day", "name": f"b{number}"}
    return Budget(id=number, amount=amount, **(plain | fields))  # type: ignore[arg-type]


def needs(least: int, most: int | None = None) -> Estimate:
    return Estimate(least, least if most is None else most, least, least if most is None else most)


def held(found: tuple[Charged, ...] | Bar) -> tuple[Charged, ...]:
    assert not isinstance(found, Bar), found
    return found


def barred(found: tuple[Charged, ...] | Bar) -> Bar:
    assert isinstance(found, Bar), found
    return found


def sums(budgets: Budgets, now: int) -> list[tuple[int, int]]:
    return [(one.spent, one.held) for one in budgets.state(now)]


def test_two_hundred_calls_of_fixed_cost_on_room_for_fifty() -> None:
    budgets, one = Budgets([budget(amount=50 * 7)]), [budget(amount=50 * 7)]
    found = [budgets.hold(b"%d" % call, one, needs(3, 7), NOON) for call in range(200)]
    assert [isinstance(row, Bar) for row in found] == [False] * 50 + [True] * 150
    assert not any(row.final for row in found if isinstance(row, Bar))  # a hold may still come back
    for call in range(50):
        assert budgets.settle(b"%d" % call, lambda _: 7, NOON) == (Charged(1, slot(one[0], NOON), 7),)
    last = barred(budgets.hold(b"again", one, needs(3, 7), NOON))
    assert (last.final, last.spent, last.held) == (True, 350, 0)
    assert last.resets_at == at("2026-11-21T01:00")  # midnight of UTC


def test_the_last_call_goes_alone_and_may_pass_the_line_by_its_own_error() -> None:
    rows = [budget(amount=100)]
    budgets = Budgets(rows, [Charged(1, slot(rows[0], NOON), 95)])
    held(budgets.hold(b"one", rows, needs(5, 40), NOON))
    wait = barred(budgets.hold(b"two", rows, needs(5, 40), NOON))
    assert (wait.final, wait.spent, wait.held) == (False, 95, 40)
    budgets.settle(b"one", lambda _: 40, NOON)
    assert sums(budgets, NOON) == [(135, 0)]
    assert barred(budgets.hold(b"two", rows, needs(0, 1), NOON)).final


def test_a_call_larger_than_the_whole_budget_never_fits() -> None:
    rows = [budget(amount=100)]
    bar = barred(Budgets(rows).hold(b"one", rows, needs(101), NOON))
    assert (bar.final, bar.resets_at) == (True, NEVER)


def test_of_several_bars_the_final_one_is_named() -> None:
    rows = [budget(1, 10), budget(2, 10)]
    budgets = Budgets(rows, [Charged(2, slot(rows[1], NOON), 10)])
    held(budgets.hold(b"one", rows[:1], needs(10), NOON))
    bar = barred(budgets.hold(b"two", rows, needs(5), NOON))
    assert (bar.budget.id, bar.final) == (2, True)


def test_a_call_is_charged_in_the_period_in_which_it_began() -> None:
    rows = [
        budget(amount=100, zone="Europe/Berlin"),
        budget(2, 100, period="hour"),
        budget(3, 100, period="month"),
    ]
    budgets = Budgets(rows)
    late = at("2026-11-30T23:59:59")
    began = held(budgets.hold(b"one", rows, needs(90), late))
    assert [row.slot for row in began] == [slot(row, late) for row in rows]
    after = late + 2 * SECOND
    assert sums(budgets, after) == [(0, 0), (0, 0), (0, 90)]  # months are UTC's here
    held(budgets.hold(b"two", rows[:2], needs(90), after))
    assert budgets.settle(b"one", lambda _: 80, after) == tuple(
        Charged(row.budget, row.slot, 80) for row in began
    )
    assert sums(budgets, after) == [(0, 90), (0, 90), (80, 0)]


def test_a_further_try_of_a_call_from_the_day_before_has_the_room_of_that_day() -> None:
    rows = [budget(amount=100, zone="Europe/Berlin")]
    budgets = Budgets(rows)
    late, after = at("2026-11-30T23:59:59"), at("2026-12-01T00:00:01")
    began = held(budgets.hold(b"one", rows, needs(60), late))
    assert barred(budgets.more(b"one", rows, needs(60), after, lambda _: 60)).final
    more = held(budgets.more(b"one", rows, needs(40), after, lambda _: 60))
    assert more == (Charged(1, began[0].slot, 40),)
    assert sums(budgets, after) == [(0, 0)]
    assert budgets.settle(b"one", lambda _: 100, after) == (Charged(1, began[0].slot, 100),)


def test_a_further_try_holds_anew_what_the_one_before_did_not_take() -> None:
    rows = [budget(amount=100)]
    budgets = Budgets(rows)
    held(budgets.hold(b"one", rows, needs(70), NOON))
    assert held(budgets.more(b"one", rows, needs(80), NOON, lambda _: 0))[0].amount == 80
    assert sums(budgets, NOON) == [(0, 80)]
    assert held(budgets.more(b"one", rows, needs(10, 90), NOON, lambda _: 80))[0].amount == 90
    assert sums(budgets, NOON) == [(0, 170)]  # alone it may go on
    assert barred(budgets.more(b"one", rows, needs(30, 90), NOON, lambda _: 80)).final
    assert sums(budgets, NOON) == [(0, 170)]


def test_a_rolling_budget_frees_what_left_the_span_and_says_when() -> None:
    rows = [budget(amount=100, period="rolling", seconds=3600)]
    budgets = Budgets(rows)
    for minute in (0, 10, 20):
        now = NOON + minute * MINUTE
        held(budgets.hold(b"%d" % minute, rows, needs(30), now))
        budgets.settle(b"%d" % minute, lambda _: 30, now)
    now = NOON + 30 * MINUTE
    small, large = (barred(budgets.hold(b"x", rows, needs(need), now)) for need in (20, 60))
    assert (small.resets_at, large.resets_at) == (NOON + 61 * MINUTE, NOON + 71 * MINUTE)
    assert barred(budgets.hold(b"x", rows, needs(20), small.resets_at - 1)).final
    held(budgets.hold(b"x", rows, needs(20), small.resets_at))


def test_a_clock_that_is_set_back_frees_nothing() -> None:
    for period in ({"period": "day"}, {"period": "rolling", "seconds": 3600}):
        rows = [budget(amount=100, **period)]
        budgets = Budgets(rows)
        held(budgets.hold(b"one", rows, needs(60), NOON))
        budgets.settle(b"one", lambda _: 60, NOON)
        assert barred(budgets.hold(b"two", rows, needs(60), NOON - DAY)).final


def test_models_without_a_price_pass_budgets_of_tokens_or_with_leave_only() -> None:
    unpriced = Estimate(None, None, 5, 10)
    rows = [budget(1), budget(2, unit="tokens")]
    budgets = Budgets(rows)
    bar = barred(budgets.hold(b"one", rows, unpriced, NOON))
    assert (bar.budget.id, bar.final, bar.unpriced, bar.resets_at) == (1, True, True, NEVER)
    allowing = [budget(1, unpriced=True), rows[1]]
    budgets.reload(allowing)
    assert [row.amount for row in held(budgets.hold(b"one", allowing, unpriced, NOON))] == [0, 10]
    assert [row.amount for row in budgets.settle(b"one", lambda _: 7, NOON)] == [7, 7]


def test_which_budgets_a_call_has_to_pass() -> None:
    rows = [
        budget(1),
        budget(2, scope="key", of="app"),
        budget(3, scope="tag", of="team:a"),
        budget(4, scope="tag", of="b"),
        budget(5, scope="route", of="cheap"),
        budget(6, scope="project", of="one"),
        budget(7, disabled_at=1),
    ]
    budgets = Budgets(rows)

    def ids(key: str, tags: tuple[str, ...], route: str, *projects: str) -> list[int]:
        return [row.id for row in budgets.of(key, tags, route, projects)]

    assert ids("", (), "") == [1]
    assert ids("app", ("team:a",), "cheap") == [1, 2, 3, 5]
    assert ids("other", ("b", "team:a", "b"), "", "one", "two") == [1, 4, 3, 6]
    assert budgets.any
    assert not Budgets([]).any
    assert not Budgets([]).of("app", ("b",), "cheap", ("one",))


def test_a_reload_keeps_what_was_spent_and_is_held() -> None:
    rows = [budget(1), budget(2)]
    budgets = Budgets(rows)
    held(budgets.hold(b"one", rows, needs(40), NOON))
    held(budgets.hold(b"two", rows, needs(30), NOON))
    budgets.settle(b"one", lambda _: 35, NOON)
    larger = [budget(1, 200), budget(2, unit="tokens"), budget(3)]
    at_ = slot(larger[2], NOON)
    budgets.reload(larger, [Charged(1, at_, 34), Charged(2, at_, 5), Charged(3, at_, 11)])
    # The first counts on (the store does not know all yet); the second counts other things now; the third is new.
    assert sums(budgets, NOON) == [(35, 30), (5, 0), (11, 0)]
    assert [row.budget for row in budgets.settle(b"two", lambda _: 30, NOON)] == [1, 2]
    assert sums(budgets, NOON)[0] == (65, 0)
    budgets.reload(larger, [Charged(1, at_, 70)])  # another process has charged it too
    assert sums(budgets, NOON)[0] == (70, 0)
    budgets.reload([])
    assert budgets.state(NOON) == []
    assert held(budgets.hold(b"three", larger, needs(10**9), NOON)) == ()


def test_the_soft_line() -> None:
    rows = [budget(amount=100, soft=0.5), budget(2, 100, soft=1.0)]
    budgets = Budgets(rows, [Charged(1, slot(rows[0], NOON), 49), Charged(2, slot(rows[1], NOON), 120)])
    assert budgets.soft(rows, NOON) == []
    held(budgets.hold(b"one", rows[:1], needs(1), NOON))
    budgets.settle(b"one", lambda _: 1, NOON)
    assert budgets.soft(rows, NOON) == [(rows[0], 0.5)]
    assert budgets.soft(rows, NOON + DAY) == []
    assert budgets.soft([budget(9)], NOON) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -5},
        {"scope": "key"},
        {"of": "app"},
        {"soft": 0.0},
        {"soft": 1.1},
        {"period": "rolling"},
        {"period": "rolling", "seconds": 59},
        {"period": "rolling", "seconds": 366 * 86_400 + 1},
        {"zone": "Europe/Atlantis"},
    ],
)
def test_what_no_budget_can_be(fields: dict[str, object]) -> None:
    with pytest.raises(BadBudget, match="'b1'"):
        check(budget(**fields))  # type: ignore[arg-type]


def test_what_a_budget_can_be() -> None:
    check(budget())
    check(budget(scope="tag", of="a", period="rolling", seconds=60, soft=1.0, zone="Asia/Kolkata"))


KINDS = st.sampled_from(
    [
        {"period": "hour"},
        {"period": "day", "zone": "Europe/Berlin"},
        {"period": "rolling", "seconds": 60},
        {"period": "rolling", "seconds": 3601},
    ]
)


class World(RuleBasedStateMachine):
    """Calls that come, are tried again, end and are lost, while time goes on; and a plain list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = at("2026-10-25T02:58")  # clocks go back in two minutes
        self.rows = [
            budget(1, 100, period="hour"),
            budget(2, 150, period="day", zone="Europe/Berlin"),
            budget(3, 120, period="rolling", seconds=90),
            budget(4, 130, period="rolling", seconds=3601, unit="tokens"),
        ]
        self.budgets = Budgets(self.rows)
        self.calls: dict[bytes, tuple[list[Budget], int, int]] = {}
        self.charged: list[Charged] = []
        self.number = 0
        self.error = 0

    @rule(seconds=st.sampled_from([0, 1, 30, 89, 400, 3599]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND + self.number

    @rule(least=st.integers(0, 60), error=st.integers(0, 60), which=st.sets(st.integers(0, 3), min_size=1))
    def come(self, least: int, error: int, which: set[int]) -> None:
        self.number += 1
        call, rows = b"%d" % self.number, [self.rows[place] for place in sorted(which)]
        before = sums(self.budgets, self.now)
        found = self.budgets.hold(call, rows, needs(least, least + error), self.now)
        if isinstance(found, Bar):
            assert sums(self.budgets, self.now) == before
            self._explained(found, rows, least, least + error)
            return
        assert [(row.budget, row.slot, row.amount) for row in found] == [
            (row.id, slot(row, self.now), least + error) for row in rows
        ]
        self.calls[call] = rows, self.now, least + error
        self.error = max(self.error, error)

    def _explained(self, bar: Bar, rows: list[Budget], least: int, most: int) -> None:
        """Whether a bar is final shows when all that is held comes back."""
        fresh = Budgets(self.rows, self.charged)
        again = fresh.hold(b"x", rows, needs(least, most), self.now)
        assert isinstance(again, Bar) == bar.final
        if bar.final and bar.resets_at < NEVER:
            assert self.now < bar.resets_at <= resets_at(bar.budget, self.now)
            fresh = Budgets(self.rows, self.charged)
            assert fresh.bars(bar.budget, needs(least), bar.resets_at - 1) is not None
            assert fresh.bars(bar.budget, needs(least), bar.resets_at) is None

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 99), least=st.integers(0, 40), error=st.integers(0, 40), took=st.booleans())
    def try_again(self, which: int, least: int, error: int, took: bool) -> None:
        call = sorted(self.calls)[which % len(self.calls)]
        rows, began, most = self.calls[call]
        before = most if took else 0
        found = self.budgets.more(call, rows, needs(least, least + error), self.now, lambda _: before)
        if not isinstance(found, Bar):
            assert {row.amount for row in found} == {least + error}
            self.calls[call] = rows, began, before + least + error
            self.error = max(self.error, error)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 99), share=st.integers(0, 4))
    def end(self, which: int, share: int) -> None:
        call = sorted(self.calls)[which % len(self.calls)]
        rows, began, most = self.calls.pop(call)
        actual = most * share // 4
        found = self.budgets.settle(call, lambda _: actual, self.now)
        assert found == tuple(Charged(row.id, slot(row, began), actual) for row in rows if actual)
        assert self.budgets.settle(call, lambda _: actual, self.now) == ()
        self.charged += found

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 99))
    def lose(self, which: int) -> None:
        call = sorted(self.calls)[which % len(self.calls)]
        del self.calls[call]
        self.budgets.release(call)

    @rule()
    def restart(self) -> None:
        """What was charged is all that must be known."""
        told = Budgets(self.rows, self.charged).state(self.now)
        assert [row.spent for row in told] == [row.spent for row in self.budgets.state(self.now)]

    @invariant()
    def nothing_passes_the_line_by_more_than_one_error(self) -> None:
        for row in self.rows:
            slots: dict[int, int] = {}
            for charged in self.charged:
                if charged.budget == row.id:
                    slots[charged.slot] = slots.get(charged.slot, 0) + charged.amount
            for rows, began, most in self.calls.values():
                if row in rows:
                    slots[slot(row, began)] = slots.get(slot(row, began), 0) + most
            if row.period != "rolling":
                assert max(slots.values(), default=0) <= row.amount + self.error, row
        for standing in self.budgets.state(self.now):
            assert standing.spent + standing.held <= standing.budget.amount + self.error
            assert standing.held == sum(
                most
                for rows, began, most in self.calls.values()
                if standing.budget in rows
                and (standing.budget.period == "rolling" or slot(standing.budget, began) >= standing.slot)
            )


World.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase


@given(
    KINDS,
    st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 30)), max_size=40),
    st.integers(0, 8000),
)
def test_what_was_charged_brings_a_restart_to_where_it_was(
    kind: dict[str, object], uses: list[tuple[int, int]], later: int
) -> None:
    row = budget(amount=10**6, **kind)
    budgets, charged = Budgets([row]), []
    now = NOON
    for place, (gap, amount) in enumerate(uses):
        now += gap * SECOND
        budgets.hold(b"%d" % place, [row], needs(amount), now)
        charged += budgets.settle(b"%d" % place, _always(amount), now + 7 * SECOND)
    now += later * SECOND
    assert Budgets([row], charged).state(now) == budgets.state(now)


def _always(amount: int) -> Callable[[Budget], int]:
    return lambda _: amount


def test_a_budget_that_was_removed_bars_nobody_who_waits_for_it() -> None:
    rows = [budget(amount=10), budget(2)]
    budgets = Budgets(rows)
    held(budgets.hold(b"a", rows, needs(7), NOON))
    barred(budgets.hold(b"b", rows, needs(7), NOON))
    budgets.reload([budget(amount=10, disabled_at=NOON), rows[1]])
    assert budgets.bars(rows[0], needs(7), NOON) is None
    assert held(budgets.hold(b"b", rows, needs(7), NOON)) == (Charged(2, slot(rows[1], NOON), 7),)
