"""Runaway keys: alarms for what is far above a key's own past, and for nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.runaway import ENOUGH, REPEAT, SMALL, SPEND, Runaway

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
NOW = 1_790_000_000 * SECOND // HOUR * HOUR
CENT = 10_000_000


def lived(hours: int = 10, nano: int = 10 * CENT, factor: float = 10.0, repeats: int = 100) -> Runaway:
    """A key with so many hours of the same spending behind it."""
    watch = Runaway(factor, repeats)
    watch.past([(1, NOW - place * HOUR, nano) for place in range(hours, 0, -1)])
    return watch


def kinds(watch: Runaway, calls: int, nano: int, *, gap: int = SECOND, start: int = NOW) -> list[str]:
    alarms = (watch.seen(1, nano, 0, start + place * gap) for place in range(calls))
    return [alarm.kind for alarm in alarms if alarm is not None]


def test_spending_far_above_its_own_past_is_an_alarm_once() -> None:
    watch = lived()
    assert kinds(watch, 99, CENT) == []
    assert kinds(watch, 50, CENT, start=NOW + 99 * SECOND) == [SPEND]
    alarm = lived().seen(1, 500 * CENT, 0, NOW)
    assert alarm is not None
    assert (alarm.key, alarm.at) == (1, NOW)
    assert alarm.sentence == "It spent $5.00 in five minutes, 50 times what is usual for it."


def test_what_is_usual_is_no_alarm() -> None:
    assert kinds(lived(nano=100 * CENT), 100, CENT) == []
    # All of an hour's work in one burst, as every hour before.
    assert kinds(lived(nano=300 * CENT), 300, CENT, gap=SECOND // 10) == []


def test_small_sums_and_young_keys_are_no_alarm() -> None:
    assert kinds(lived(nano=1), 100, SMALL // 101) == []
    assert kinds(lived(hours=ENOUGH - 1), 100, 100 * CENT) == []
    assert kinds(Runaway(10.0, 0), 100, 100 * CENT) == []
    assert kinds(lived(hours=ENOUGH), 100, 100 * CENT) == [SPEND]


def test_five_minutes_count_not_the_whole_day() -> None:
    watch = lived()
    assert kinds(watch, 300, 10 * CENT, gap=MINUTE) == []


def test_an_alarm_is_repeated_after_ten_minutes_only() -> None:
    watch = lived()
    found = kinds(watch, 25 * 60, 10 * CENT)
    assert found == [SPEND] * 3


def test_a_key_does_not_become_used_to_running_away_at_once() -> None:
    watch = lived()
    wild = [kinds(watch, 300, 10 * CENT, start=NOW + hour * HOUR) for hour in range(3)]
    assert all(wild)


def test_idle_hours_are_not_part_of_what_is_usual() -> None:
    watch = lived()
    assert kinds(watch, 60, CENT, start=NOW + 1000 * HOUR) == []


def test_the_same_call_again_and_again_is_an_alarm() -> None:
    watch = Runaway(10.0, 5)
    found = [watch.seen(1, 0, 77, NOW + place * SECOND) for place in range(6)]
    assert found[:5] == [None] * 5
    assert found[5] is not None
    assert (found[5].kind, "more than 5 times" in found[5].sentence) == (REPEAT, True)
    other = Runaway(10.0, 5)
    assert all(other.seen(place, 0, 77, NOW) is None for place in range(6))  # another key each time
    assert all(other.seen(9, 0, 100 + place, NOW) is None for place in range(50))
    assert all(other.seen(8, 0, 0, NOW) is None for place in range(50))  # a body that was not read
    assert all(Runaway(10.0, 0).seen(8, 0, 5, NOW) is None for place in range(50))


@given(st.lists(st.integers(0, 40 * SECOND), min_size=1, max_size=60), st.integers(1, 6))
def test_repeats_are_counted_over_exactly_a_minute(gaps: list[int], repeats: int) -> None:
    watch, now, times = Runaway(10.0, repeats), NOW, []
    alarmed = -HOUR
    for gap in gaps:
        now += gap
        times.append(now)
        due = len([one for one in times if one > now - MINUTE]) > repeats and now - alarmed >= 10 * MINUTE
        assert (watch.seen(1, 0, 7, now) is not None) == due
        alarmed = now if due else alarmed


@given(st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(0, 10**12)), max_size=80))
def test_what_was_spent_never_breaks_the_watch(calls: list[tuple[int, int]]) -> None:
    watch, now, last = Runaway(3.0, 0), NOW, -HOUR
    for gap, nano in calls:
        now += gap
        if watch.seen(1, nano, 0, now) is not None:
            assert now - last >= 10 * MINUTE
            last = now
