"""Spans as people name them, and their buckets by the clocks of any zone."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import zoneinfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gemgate.insight import spans
from gemgate.insight.spans import MOST_BUCKETS, MOST_DAYS, BadAsk, Span

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
NOW = round(datetime.datetime(2026, 11, 23, 22, 15, 7, tzinfo=datetime.UTC).timestamp()) * SECOND


def at(text: str, zone: str = "UTC") -> int:
    """A moment by its ISO text in a zone."""
    when = datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return round(when.timestamp()) * SECOND


def local(moment: int, zone: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment / SECOND, zoneinfo.ZoneInfo(zone))


def cut(span: Span) -> list[int]:
    """Its buckets' bounds; none when it has too many of them, which is the step's fault."""
    try:
        return spans.buckets(span)
    except BadAsk as bad:
        fault = bad
    assert fault.field == "step"
    return []


starts = st.integers(at("2005-01-01"), at("2037-12-01"))
lengths = st.one_of(st.integers(1, DAY), st.integers(1, MOST_DAYS * DAY))


@given(starts, lengths, st.sampled_from(ZONES), st.sampled_from(spans.STEPS))
@example(at("2011-12-28", "Pacific/Apia"), 5 * DAY, "Pacific/Apia", "day")
@example(at("2026-04-04", "Australia/Lord_Howe"), 3 * DAY, "Australia/Lord_Howe", "hour")
@example(at("2026-10-03", "Australia/Lord_Howe"), 3 * DAY, "Australia/Lord_Howe", "hour")
def test_buckets_cut_the_span_where_the_zones_clocks_say(
    start: int, length: int, zone: str, step: str
) -> None:
    span = Span(start, start + length, zone, step)
    bounds = cut(span)
    if not bounds:
        return
    assert bounds[0] == span.start
    assert bounds[-1] == span.until
    assert all(one < other for one, other in itertools.pairwise(bounds))
    assert len(bounds) - 1 <= MOST_BUCKETS
    chosen = spans.choose(span).step
    assert chosen != "auto"
    for bound in bounds[1:-1]:
        here = local(bound, zone)
        assert here.second == 0
        if chosen == "quarter":
            assert here.minute % 15 == 0
        if chosen == "hour":
            changed = here.utcoffset() != local(bound - 1, zone).utcoffset()
            assert here.minute == 0 or changed
        if chosen in ("day", "week", "month"):
            # The first moment of its date.
            assert local(bound - SECOND, zone).date() < here.date()
        if chosen == "week":
            assert here.isoweekday() == 1
        if chosen == "month":
            assert here.day == 1


@given(starts, lengths, st.sampled_from(ZONES))
def test_auto_takes_the_finest_step_that_can_be_read(start: int, length: int, zone: str) -> None:
    span = Span(start, start + length, zone, "auto")
    chosen = spans.choose(span)
    place = spans.STEPS.index(chosen.step)
    assert 1 <= len(spans.buckets(chosen)) - 1 <= 170
    if place > 1:
        finer = Span(start, start + length, zone, spans.STEPS[place - 1])
        bounds = cut(finer)
        assert not bounds or len(bounds) - 1 > 170


@pytest.mark.parametrize(
    ("length", "step"),
    [(HOUR, "minute"), (DAY, "quarter"), (7 * DAY, "hour"), (90 * DAY, "day"), (400 * DAY, "week")],
)
def test_what_auto_makes_of_usual_spans(length: int, step: str) -> None:
    assert spans.choose(Span(NOW - length, NOW, "UTC", "auto")).step == step


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-11-01", "America/New_York", 25),
        ("2026-03-08", "America/New_York", 23),
        ("2026-11-01", "Asia/Kathmandu", 24),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
    ],
)
def test_days_are_as_long_as_clocks_make_them(day: str, zone: str, hours: float) -> None:
    start = at(day, zone)
    bounds = spans.buckets(Span(start, start + 3 * DAY, zone, "day"))
    assert (bounds[1] - bounds[0]) / HOUR == hours


def test_a_date_that_a_zone_leapt_over_has_no_bucket() -> None:
    zone = "Pacific/Apia"
    start = at("2011-12-29", zone)
    bounds = spans.buckets(Span(start, start + 2 * DAY, zone, "day"))
    assert [local(bound, zone).day for bound in bounds] == [29, 31, 1]


@given(starts, lengths)
def test_the_span_before_is_as_long_and_ends_where_this_one_starts(start: int, length: int) -> None:
    span = Span(start, start + length, "UTC", "hour")
    earlier = spans.before(span)
    assert (earlier.until, earlier.until - earlier.start) == (start, length)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("now", "UTC", NOW),
        ("-24h", "UTC", NOW - DAY),
        ("-7d", "Asia/Kathmandu", NOW - 7 * DAY),
        ("-90m", "UTC", NOW - 90 * 60 * SECOND),
        ("-2w", "UTC", NOW - 14 * DAY),
        ("2026-11-01", "UTC", at("2026-11-01")),
        ("2026-11-01", "Asia/Kathmandu", at("2026-10-31T18:15")),
        ("2026-11-01T10:00", "America/New_York", at("2026-11-01T15:00")),
        ("2026-11-01T10:00:00Z", "America/New_York", at("2026-11-01T10:00")),
        ("2026-11-01T10:00:00.250+02:00", "UTC", at("2026-11-01T08:00") + 250_000),
        ("2026-11-01T10:00:00 02:00", "UTC", at("2026-11-01T08:00")),
        (str(NOW), "UTC", NOW),
    ],
)
def test_words_for_moments(text: str, zone: str, moment: int) -> None:
    assert spans.moment(text, "from", zone, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "yesteryear", "-5x", "2026-13-01", "12", "-99999999w", "0001-01-01", "9999-12-31"]
)
def test_a_moment_that_is_none_is_named(text: str) -> None:
    with pytest.raises(BadAsk) as caught:
        spans.moment(text, "to", "UTC", NOW)
    assert caught.value.field == "to"


@given(st.text(max_size=40))
def test_no_words_do_more_than_be_refused(text: str) -> None:
    with contextlib.suppress(BadAsk):
        assert spans.moment(text, "from", "UTC", NOW) > 0


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "-401d"}, "from"),
        ({"since": "now"}, "to"),
        ({"until": "-8d"}, "to"),
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"step": "year"}, "step"),
        ({"step": "minute"}, "step"),
    ],
)
def test_what_cannot_be_answered_is_named_by_its_field(asked: dict[str, str], field: str) -> None:
    words = {"since": "-7d", "until": "now", "zone": "UTC", "step": "auto", **asked}
    with pytest.raises(BadAsk) as caught:
        spans.read(words["since"], words["until"], zone=words["zone"], step=words["step"], now=NOW)
    assert caught.value.field == field


def test_a_moment_in_iso_carries_the_zones_offset() -> None:
    assert spans.iso(NOW, "Asia/Kathmandu") == "2026-11-24T04:00:07+05:45"
