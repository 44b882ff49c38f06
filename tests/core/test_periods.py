"""Periods of budgets in every zone: days of 23 and 25 hours, weeks that begin on Monday, months, rolling grains."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import periods

SECOND = 1_000_000
HOUR = 3600 * SECOND
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
FIRST = round(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC).timestamp()) * SECOND
LAST = round(datetime.datetime(2037, 12, 31, tzinfo=datetime.UTC).timestamp()) * SECOND
moments = st.integers(FIRST, LAST)
zones = st.sampled_from(ZONES)
kinds = st.sampled_from(periods.PERIODS)


def at(text: str, zone: str) -> int:
    return round(
        datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp() * SECOND
    )


def local(moment: int, zone: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment / SECOND, zoneinfo.ZoneInfo(zone))


@given(moments, zones, kinds)
def test_a_moment_lies_in_its_period_and_the_next_one_begins_where_it_ends(
    moment: int, zone: str, kind: str
) -> None:
    start, end = periods.span(kind, zone, moment)
    assert start <= moment < end
    assert periods.span(kind, zone, start) == (start, end)
    assert periods.span(kind, zone, end - 1) == (start, end)
    assert periods.span(kind, zone, end)[0] == end


@given(moments, zones)
def test_periods_begin_where_people_of_the_zone_say(moment: int, zone: str) -> None:
    here = local(moment, zone)
    assert local(periods.span("hour", zone, moment)[0], zone).minute == 0
    day = local(periods.span("day", zone, moment)[0], zone)
    assert day.date() == here.date()
    week = local(periods.span("week", zone, moment)[0], zone)
    assert (week.isoweekday(), week.isocalendar()[:2]) == (1, here.isocalendar()[:2])
    month = local(periods.span("month", zone, moment)[0], zone)
    assert (month.year, month.month, month.day) == (here.year, here.month, 1)


@pytest.mark.parametrize(
    ("text", "zone", "hours"),
    [
        ("2026-03-29T12:00", "Europe/Berlin", 23),
        ("2026-10-25T12:00", "Europe/Berlin", 25),
        ("2026-10-26T12:00", "Europe/Berlin", 24),
        ("2026-04-05T12:00", "Australia/Lord_Howe", 24.5),
        # Midnight itself is leapt over in Cairo in spring and comes twice in Havana in autumn.
        ("2026-04-24T12:00", "Africa/Cairo", 23),
        ("2026-11-01T12:00", "America/Havana", 25),
    ],
)
def test_days_on_which_clocks_change(text: str, zone: str, hours: float) -> None:
    start, end = periods.span("day", zone, at(text, zone))
    assert (end - start) / HOUR == hours


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first = at("2026-10-25T02:30", "Europe/Berlin")
    assert (
        periods.span("hour", "Europe/Berlin", first)[1]
        == periods.span("hour", "Europe/Berlin", first + HOUR)[0]
    )


def test_zones_of_half_an_hour_begin_their_hours_with_their_own_clocks() -> None:
    moment = at("2026-11-23T10:10", "Asia/Kolkata")
    assert periods.span("hour", "Asia/Kolkata", moment)[0] == at("2026-11-23T10:00", "Asia/Kolkata")
    assert periods.span("hour", "UTC", moment)[0] != periods.span("hour", "Asia/Kolkata", moment)[0]


def test_months_end_where_the_next_begins() -> None:
    assert periods.span("month", "UTC", at("2026-12-31T23:59", "UTC"))[1] == at("2027-01-01T00:00", "UTC")
    assert periods.span("month", "UTC", at("2028-02-29T00:00", "UTC"))[1] == at("2028-03-01T00:00", "UTC")


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "UTC\0", "/etc/passwd"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        periods.zone(name)


def test_an_unknown_period_is_named() -> None:
    with pytest.raises(ValueError, match="no period"):
        periods.span("year", "UTC", FIRST)


@given(st.integers(60, 366 * 86_400))
def test_grains_cover_the_span(seconds: int) -> None:
    width, whole = periods.grain(seconds), periods.rolling(seconds)
    assert width >= SECOND
    assert whole % width == 0
    assert seconds * SECOND <= whole < seconds * SECOND + width
