"""Whole answers: totals, groups with their remainder, series, the span before, the week's hours, concurrency."""

from __future__ import annotations

import datetime
import sqlite3
import zoneinfo
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import reported
import staged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reported import DAY, END, SECOND
from staged import NOW, Stage, asks

from gemgate.insight import spans
from gemgate.insight.facts import INDEX
from gemgate.insight.sketch import ERROR, METRICS
from gemgate.insight.spans import BadAsk
from gemgate.store.reports import performance, usage
from gemgate.store.reports.asked import Ask
from gemgate.store.reports.gathered import MOST_POINTS, MOST_SPREADS

COUNT = 200
MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def stage(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return staged.build(blank, tmp_path_factory.mktemp("answers"), COUNT)


def plain(row: usage.Usage) -> dict[str, int]:
    """The facts of an answer's row."""
    return {name: getattr(row, name) for name in usage.Usage.__struct_fields__ if name in INDEX}


def counted(
    rows: list[reported.Row], ask: Ask, start: int, until: int
) -> dict[tuple[str, ...], dict[str, int]]:
    found = reported.counted(rows, ask.group, ask.filters, (start, until))
    return {
        names: {name: facts[INDEX[name]] for name in usage.Usage.__struct_fields__ if name in INDEX}
        for (_, names), facts in found.items()
    }


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=asks(), which=st.integers(0, 1))
def test_what_was_used(stage: Stage, ask: Ask, which: int) -> None:
    conns, _, rows = stage
    answer = usage.report(conns[which], ask)
    total = plain(answer.total)
    none = dict.fromkeys(total, 0)
    whole = Ask(start=ask.start, until=ask.until, now=NOW, filters=ask.filters)
    assert total == counted(rows, whole, ask.start, ask.until).get((), none)
    # Series and groups add up to it; tags overlap and say so.
    assert {name: sum(plain(point)[name] for point in answer.series) for name in total} == total
    groups = {group.names: plain(group.total) for group in answer.groups}
    by_hand = {
        names: numbers
        for names, numbers in counted(rows, ask, ask.start, ask.until).items()
        if any(numbers.values())
    }
    assert len(answer.groups) == min(ask.top, answer.groups_total) if ask.group else not answer.groups
    if ask.group:
        assert answer.groups_total == len(by_hand)
        assert groups == {names: by_hand[names] for names in groups}
        least = min((one["calls"] for one in groups.values()), default=0)
        assert all(numbers["calls"] <= least for names, numbers in by_hand.items() if names not in groups)
        assert answer.overlapping == ("tag" in ask.group)
    for group in (*answer.groups, *([answer.others] if answer.others else [])):
        own = plain(group.total)
        assert {name: sum(plain(point)[name] for point in group.series) for name in own} == own
    if ask.group and "tag" not in ask.group:
        rest = plain(answer.others.total) if answer.others else none
        shown = {name: sum(one[name] for one in groups.values()) + rest[name] for name in total}
        assert shown == total
    if ask.compare:
        assert answer.before is not None
        earlier = 2 * ask.start - ask.until
        assert plain(answer.before) == counted(rows, whole, earlier, ask.start).get((), none)
    else:
        assert answer.before is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=asks(), which=st.integers(0, 1))
def test_the_hours_of_the_week(stage: Stage, ask: Ask, which: int) -> None:
    conns, _, rows = stage
    should = [0] * 168
    for at, names, facts in rows:
        if "calls" in facts:
            for _ in reported.keyed(at, names, (), ask.filters, (ask.start, ask.until)):
                here = datetime.datetime.fromtimestamp(at / SECOND, zoneinfo.ZoneInfo(ask.zone))
                should[here.weekday() * 24 + here.hour] += 1
    assert usage.report(conns[which], ask).heatmap == tuple(should)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=asks(), which=st.integers(0, 1))
def test_how_many_at_once(stage: Stage, ask: Ask, which: int) -> None:
    conns, made, _ = stage
    whole = Ask(start=ask.start, until=ask.until, now=NOW, zone=ask.zone, step=ask.step)
    answer = usage.report(conns[which], whole)
    busy: dict[int, int] = {}
    for one in made:
        minute = one.received_at // MINUTE * MINUTE
        while minute < one.received_at + one.duration:
            share = min(minute + MINUTE, one.received_at + one.duration) - max(minute, one.received_at)
            if share:  # a call may take no time at all
                busy[minute] = busy.get(minute, 0) + share
            minute += MINUTE
    inside = {minute: spent for minute, spent in busy.items() if ask.start <= minute < ask.until}
    first, end = -(-ask.start // MINUTE) * MINUTE, min(-(-ask.until // MINUTE) * MINUTE, NOW)
    assert answer.concurrency == (sum(inside.values()) / (end - first) if end > first else None)
    if not inside:
        assert answer.busiest_minute is None
        return
    assert answer.busiest_minute is not None
    assert answer.busiest_minute.calls == max(inside.values()) / MINUTE
    assert inside[answer.busiest_minute.start] == max(inside.values())


def exact(values: list[int], q: float) -> int:
    """The number of rank ceil(q·n)."""
    hundred = round(q * 100)
    return sorted(values)[max(-(-hundred * len(values) // 100), 1) - 1]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=asks(), which=st.integers(0, 1))
def test_how_quick_answers_were(stage: Stage, ask: Ask, which: int) -> None:
    conns, made, _ = stage
    answer = performance.report(conns[which], ask)
    groups: dict[tuple[str, ...], list[dict[str, int]]] = {}
    whole: list[dict[str, int]] = []
    for one in made:
        measured = reported.measured(one)
        names = next(iter(reported.told([one], reported.NUMBERS)))[1]
        if measured and list(reported.keyed(one.received_at, names, (), ask.filters, (ask.start, ask.until))):
            whole.append(measured)
            for _, cut in reported.keyed(
                one.received_at, names, ask.group, ask.filters, (ask.start, ask.until)
            ):
                groups.setdefault(cut, []).append(measured)
    assert answer.error == ERROR <= 0.01
    told = [(answer.total, whole), *((group.total, groups.get(group.names, [])) for group in answer.groups)]
    for row, values in told:
        for metric in METRICS:
            some = [value[metric] for value in values if metric in value]
            spread = getattr(row, metric)
            assert spread.count == len(some)
            for name, q in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
                near = getattr(spread, name)
                if not some:
                    assert near is None
                    continue
                should = exact(some, q) / (1_000 if metric == "rate" else 1)
                assert abs(near - should) <= should * ERROR
    if answer.others is not None:
        shown = sum(group.total.duration.count for group in answer.groups)
        assert answer.others.total.duration.count == len(whole) - shown


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"group": ("model", "model")}, "group"),
        ({"group": ("model", "key", "tag")}, "group"),
        ({"group": ("colour",)}, "group"),
        ({"filters": {"colour": ("red",)}}, "filter"),
        ({"filters": {"tag": ("red", "blue")}}, "tag"),
        ({"filters": {"status": ("many",)}}, "status"),
        ({"filters": {"model": tuple(str(one) for one in range(101))}}, "model"),
        ({"top": 0}, "top"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"step": "minute"}, "step"),
    ],
)
def test_bad_questions_name_their_field(stage: Stage, changes: dict[str, object], field: str) -> None:
    ask = Ask(**{"start": END - 9 * DAY, "until": END, "now": END, **changes})  # type: ignore[arg-type]
    with pytest.raises(BadAsk) as caught:
        usage.report(stage[0][0], ask)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("report", "most"), [(usage.report, MOST_POINTS), (performance.report, MOST_SPREADS)]
)
def test_more_points_than_can_be_told_are_refused_at_once(
    stage: Stage, report: Callable[[sqlite3.Connection, Ask], object], most: int
) -> None:
    conn, top = stage[0][1], 100
    for days, refused in ((most // 24 // top, False), (most // 24 // top + 1, True)):
        ask = Ask(start=NOW - NOW % DAY, until=NOW, now=NOW, step="hour", group=("key",), top=top)
        ask = msgspec.structs.replace(ask, until=ask.start + days * DAY)
        if not refused:
            report(conn, ask)
            continue
        heard: list[str] = []
        conn.set_trace_callback(heard.append)
        with pytest.raises(BadAsk, match=r"\(top\).*\(step\)"):
            report(conn, ask)
        conn.set_trace_callback(None)
        assert [one for one in heard if "FROM" in one] == []
        report(conn, msgspec.structs.replace(ask, group=()))


def test_the_empty_status_that_a_group_names_can_be_asked_for(stage: Stage) -> None:
    ask = Ask(start=END - 9 * DAY, until=END, now=END, filters={"status": ("",)})
    assert usage.report(stage[0][0], ask).total.calls == 0
    both = Ask(start=END - 9 * DAY, until=END, now=END, filters={"status": ("", "200")})
    assert usage.report(stage[0][0], both).total.ok > 0


def test_the_span_of_an_answer(stage: Stage) -> None:
    span = usage.report(stage[0][1], Ask(start=END - DAY, until=END, now=NOW, zone="Asia/Kathmandu")).span
    assert (span.start, span.until, span.as_of, span.step) == (END - DAY, END, NOW, "quarter")
    assert span.until_time == spans.iso(END, "Asia/Kathmandu")
    assert span.lag > 0


@pytest.mark.parametrize(
    ("group", "zone", "step"),
    [
        ((), "UTC", "hour"),
        (("model", "key"), "UTC", "hour"),
        (("model", "tag"), "UTC", "day"),
        (("tag",), "Asia/Kathmandu", "hour"),
    ],
)
def test_auto_takes_steps_that_sums_are_kept_for(
    stage: Stage, group: tuple[str, ...], zone: str, step: str
) -> None:
    ask = Ask(start=END - 7 * DAY, until=END, now=NOW, zone=zone, group=group)
    assert usage.report(stage[0][1], ask).span.step == step
    day = Ask(start=END - DAY, until=END, now=NOW, zone=zone, group=group)
    assert usage.report(stage[0][1], day).span.step == ("quarter" if len(group) < 2 else step)


def test_auto_merges_no_sketches_of_hours_over_months(stage: Stage) -> None:
    ask = Ask(start=END - 40 * DAY, until=END, now=NOW, zone="Europe/Berlin", group=("model",))
    assert performance.report(stage[0][1], ask).span.step == "week"
    assert usage.report(stage[0][1], ask).span.step == "day"
    utc = Ask(start=END - 40 * DAY, until=END, now=NOW, group=("model",))
    assert performance.report(stage[0][1], utc).span.step == "day"
    week = Ask(start=END - 7 * DAY, until=END, now=NOW, group=("model",))
    assert performance.report(stage[0][1], week).span.step == "day"
    assert usage.report(stage[0][1], week).span.step == "hour"
