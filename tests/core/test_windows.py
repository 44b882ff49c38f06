"""Rolling spans and Pacific days, counted against plain lists of uses."""

from __future__ import annotations

import datetime
import random
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.windows import COUNT, NEVER, SECOND, WEIGHT, Ahead, Day, Limits, Rolling

SPAN, WIDTH = 60 * SECOND, SECOND // 10
PACIFIC = zoneinfo.ZoneInfo("America/Los_Angeles")
START = 1_770_000_000 * SECOND

steps = st.one_of(
    st.integers(0, 3 * WIDTH),
    st.integers(0, 70 * SECOND),
    st.sampled_from([0, 1, WIDTH - 1, WIDTH, SPAN - 1, SPAN, SPAN + 1, SPAN + WIDTH]),
)
uses = st.lists(st.tuples(steps, st.integers(0, 2), st.integers(0, 50)), max_size=25)


def at(text: str) -> int:
    """A moment of California's clocks."""
    read = datetime.datetime.fromisoformat(text).replace(tzinfo=PACIFIC)
    return round(read.timestamp() * SECOND)


def pacific_day(moment: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(moment / SECOND, PACIFIC).date()


@given(uses)
def test_a_rolling_window_forgets_nothing_early_and_nothing_a_slot_late(
    rows: list[tuple[int, int, int]],
) -> None:
    rolling, now, seen = Rolling(SPAN, WIDTH), START, []
    for step, count, weight in rows:
        now += step
        rolling.charge(count, weight, now)
        seen.append((now, count, weight))
        rolling.expire(now)
        must = [row for row in seen if row[0] > now - SPAN]
        may = [row for row in seen if row[0] > now - SPAN - WIDTH]
        assert sum(row[1] for row in must) <= rolling.count <= sum(row[1] for row in may)
        assert sum(row[2] for row in must) <= rolling.weight <= sum(row[2] for row in may)
        assert len(rolling.entries) <= SPAN // WIDTH + 1


@given(uses, st.integers(1, 60))
def test_room_comes_when_it_is_said_to_come(rows: list[tuple[int, int, int]], need: int) -> None:
    rolling, now, limit = Rolling(SPAN, WIDTH), START, 60
    for step, count, weight in rows:
        now += step
        rolling.charge(count, weight, now)
    for what in (COUNT, WEIGHT):
        said = rolling.room_at(what, need, Ahead(), limit, now)
        assert now <= said <= now + SPAN + WIDTH
        if said > now:
            assert rolling.room_at(what, need, Ahead(), limit, max(now, said - WIDTH)) == said
            assert rolling.room_at(what, need, Ahead(), limit, said - 1) == said
    last = max(rolling.room_at(what, need, Ahead(), limit, now) for what in (COUNT, WEIGHT))
    for what in (COUNT, WEIGHT):
        assert rolling.room_at(what, need, Ahead(), limit, last) == last


@given(uses, st.integers(1, 3), st.integers(0, 20), st.integers(1, 40))
def test_those_ahead_who_take_their_room_in_order_leave_it_when_said(
    rows: list[tuple[int, int, int]], limit: int, waiting: int, size: int
) -> None:
    # A limit that holds a few calls of one size, with a rest that no call fits into.
    for what, one, cap in ((COUNT, 1, limit), (WEIGHT, size, limit * size + size // 2)):
        rolling, now = Rolling(SPAN, WIDTH), START
        for step, count, weight in rows:
            now += step
            rolling.charge(min(count, limit), min(weight, cap), now)
        said = rolling.room_at(what, one, Ahead(waiting, waiting * one), cap, now)
        for _ in range(waiting):
            now = rolling.room_at(what, one, Ahead(), cap, now)
            rolling.charge(1, size, now)
        assert rolling.room_at(what, one, Ahead(), cap, now) == said


@given(uses, st.data())
def test_what_is_put_right_late_counts_from_its_sending(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    rolling, plain, now = Rolling(SPAN, WIDTH), Rolling(SPAN, WIDTH), START
    entries, truths = [], []
    for step, count, weight in rows:
        now += step
        entries.append((rolling.charge(count, weight, now), weight))
        truths.append(data.draw(st.integers(0, 99)))
        plain.charge(count, truths[-1], now)
    for (entry, weight), truth in zip(entries, truths, strict=True):
        rolling.adjust(entry, 0, truth - weight)
    for one in (rolling, plain):
        one.expire(now)
    assert (rolling.count, rolling.weight) == (plain.count, plain.weight)


@given(uses, st.integers(0, 90 * SECOND), st.integers(1, 50))
def test_a_late_entry_takes_the_place_of_its_moment(
    rows: list[tuple[int, int, int]], ago: int, more: int
) -> None:
    rolling, now = Rolling(SPAN, WIDTH), START
    for step, count, weight in rows:
        now += step
        rolling.charge(count, weight, now)
    rolling.expire(now)
    before = rolling.weight
    rolling.adjust(rolling.late(now - ago), 0, more)
    slots = [entry.slot for entry in rolling.entries]
    assert slots == sorted(slots)
    rolling.expire(now)
    stays = rolling.leaves(now - ago) > now
    assert rolling.weight == before + (more if stays else 0)


@given(uses, st.randoms(use_true_random=False))
def test_a_restored_window_is_the_same(rows: list[tuple[int, int, int]], luck: random.Random) -> None:
    rolling, now, seen = Rolling(SPAN, WIDTH), START, []
    for step, count, weight in rows:
        now += step
        rolling.charge(count, weight, now)
        seen.append((now, count, weight))
    luck.shuffle(seen)
    again = Rolling(SPAN, WIDTH)
    again.restore(seen, now)
    rolling.expire(now)
    assert [(one.slot, one.count, one.weight) for one in again.entries] == [
        (one.slot, one.count, one.weight) for one in rolling.entries
    ]
    assert (again.count, again.weight) == (rolling.count, rolling.weight)


@pytest.mark.parametrize("back", [1, WIDTH, SPAN, 3600 * SECOND])
def test_a_clock_that_is_set_back_frees_nothing_and_heals_in_a_span(back: int) -> None:
    rolling = Rolling(SPAN, WIDTH)
    rolling.charge(5, 500, START)
    now = START - back
    assert rolling.room_at(COUNT, 1, Ahead(), 5, now) in range(now + SPAN, now + SPAN + 2 * WIDTH)
    rolling.charge(1, 1, now)
    rolling.expire(now + SPAN - 1)
    assert rolling.count == 6
    rolling.expire(now + SPAN + WIDTH)
    assert (rolling.count, rolling.weight, len(rolling.entries)) == (0, 0, 0)


def test_a_use_after_the_clock_was_set_back_does_not_stand_behind_the_future() -> None:
    rolling = Rolling(SPAN, WIDTH)
    rolling.charge(5, 500, START + 3600 * SECOND)
    rolling.charge(1, 1, START)
    assert rolling.room_at(COUNT, 6, Ahead(), 6, START + SPAN - 1) == rolling.leaves(START)
    rolling.expire(START + SPAN + WIDTH)
    assert (rolling.count, rolling.weight) == (0, 0)


# Days: midnight by the zone database, not by our own rules.
MIDNIGHTS = [
    *("2026-03-08T00:00", "2026-03-09T00:00"),  # the day of 23 hours begins and ends
    *("2026-11-01T00:00", "2026-11-02T00:00"),  # the day of 25 hours
    *("2026-07-04T00:00", "2026-12-31T00:00", "2027-01-01T00:00"),
]


@pytest.mark.parametrize("text", MIDNIGHTS)
def test_a_day_ends_at_midnight_in_california(text: str) -> None:
    midnight, margin = at(text), 2 * SECOND
    day = Day(margin)
    day.charge(1, 10, midnight - 3600 * SECOND)
    assert day.room_at(COUNT, 1, Ahead(), 1, midnight - 1) == midnight + margin
    assert day.room_at(COUNT, 1, Ahead(), 1, midnight + margin - 1) == midnight + margin
    assert day.room_at(COUNT, 1, Ahead(), 1, midnight + margin) == midnight + margin
    assert (day.since, day.count, day.weight) == (midnight, 0, 0)


@pytest.mark.parametrize("text", MIDNIGHTS)
def test_a_use_beside_midnight_counts_on_both_days(text: str) -> None:
    midnight, margin = at(text), 2 * SECOND
    for beside in (-margin, -1, 0, margin - 1):
        day = Day(margin)
        day.charge(1, 10, midnight - 3600 * SECOND)
        day.charge(2, 20, midnight + beside)
        assert (day.count, day.weight) == (3, 30)
        day.roll(midnight + margin)
        assert (day.count, day.weight) == (2, 20)
        day.adjust(0, -15, midnight + beside)
        day.adjust(0, -9, midnight - 3600 * SECOND)
        assert (day.count, day.weight) == (2, 5)
        following = day.rolls_at
        assert pacific_day(following) == pacific_day(midnight) + datetime.timedelta(days=1)
        day.roll(following)
        assert (day.count, day.weight) == (0, 0)


@given(st.integers(0, 400 * 86400), st.lists(st.integers(0, 100_000), max_size=12))
def test_every_use_of_the_day_counts_and_none_of_another(begin: int, gaps: list[int]) -> None:
    day, now, seen = Day(0), at("2026-01-01T00:00") + begin * SECOND, []
    for gap in gaps:
        now += gap * SECOND
        day.charge(1, gap, now)
        seen.append((now, gap))
        today = [weight for moment, weight in seen if pacific_day(moment) == pacific_day(now)]
        assert (day.count, day.weight) == (len(today), sum(today))


@given(
    st.sampled_from(MIDNIGHTS),
    st.integers(-90_000, 5),
    st.integers(1, 3),
    st.integers(0, 14),
    st.integers(1, 9),
)
def test_those_ahead_fill_the_days_in_order(
    text: str, second: int, limit: int, waiting: int, size: int
) -> None:
    for what, one, cap in ((COUNT, 1, limit), (WEIGHT, size, limit * size + size // 2)):
        day, now = Day(2 * SECOND), at(text) + second * SECOND
        said = day.room_at(what, one, Ahead(waiting, waiting * one), cap, now)
        for _ in range(waiting):
            now = day.room_at(what, one, Ahead(), cap, now)
            day.charge(1, size, now)
        assert day.room_at(what, one, Ahead(), cap, now) == said


def test_who_comes_after_ten_years_of_others_never_comes() -> None:
    assert Day(0).room_at(COUNT, 1, Ahead(10**9, 10**9), 1, START) == NEVER


def test_what_is_put_right_before_midnight_is_right_after_it() -> None:
    midnight = at("2026-07-04T00:00")
    day = Day(SECOND)
    day.charge(3, 30, midnight - 1)
    day.adjust(-1, -18, midnight - 1)
    day.roll(midnight + SECOND)
    assert (day.count, day.weight) == (2, 12)


def test_a_clock_that_is_set_back_by_days_keeps_what_was_counted() -> None:
    day = Day(SECOND)
    day.charge(5, 50, at("2026-07-04T12:00"))
    day.charge(1, 10, at("2026-07-02T12:00"))
    assert (day.count, day.weight, day.since) == (6, 60, at("2026-07-02T00:00"))
    day.roll(at("2026-07-03T00:01"))
    assert (day.count, day.weight) == (0, 0)


def test_configured_limits_stand_over_those_of_the_tier() -> None:
    both = Limits(rpm=5, tpd=0).over(Limits(rpm=10, tpm=250, rpd=20))
    assert both == Limits(rpm=5, tpm=250, rpd=20, tpd=0, tier=("tpm", "rpd"))
    assert [both.of(name) for name in ("rpm", "tpm", "rpd", "tpd")] == [5, 250, 20, 0]
    assert Limits().over(Limits()) == Limits()
