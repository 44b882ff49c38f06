"""What `gemgate seed` makes out of a seed and a trace, before anything is written."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.config.book import load_book
from gemgate.core.call import Outcome
from gemgate.core.pricing import cost
from gemgate.insight import seeding, traces
from gemgate.insight.casts import FREE
from gemgate.insight.chance import Chance
from gemgate.insight.seeding import Plan
from gemgate.insight.traces import BadTrace, Trace

HOUR = 3_600_000_000
START = 1_795_000_000_000_000
BOOK = load_book()
REPLAY = [
    "offset_s,model,input_tokens,output_tokens,failed,client",
    "0.5,m,100,20,,anna",
    "7199,m,300,0,1,",
    "80000.25,m,,,0,bert",
]
PLANS = st.builds(
    lambda calls, since, span, seed: Plan(calls, START + since, START + since + span, seed),
    st.integers(0, 3_000),
    st.integers(0, 200 * HOUR),
    st.integers(1, 400 * HOUR),
    st.integers(0, 2**64),
)
TRACES = st.sampled_from(
    [None, traces.read(REPLAY), traces.read(REPLAY[:3]), Trace(hours=(0.0, 5.0, 1.0)), Trace(hours=(0.0,))]
)
POOL = seeding.pool(Plan(1_000, START, START + HOUR), None, BOOK, START)


@given(PLANS, TRACES)
def test_hours_sum_up_to_the_calls(plan: Plan, trace: Trace | None) -> None:
    counts = seeding.hours(plan, trace)
    assert sum(counts) == plan.calls
    assert min(counts) >= 0
    assert len(counts) == -(-(plan.until - plan.since) // HOUR)


@given(PLANS, TRACES)
def test_calls_come_in_order_within_the_span(plan: Plan, trace: Trace | None) -> None:
    found = list(seeding.arrivals(plan, trace, POOL))
    assert len(found) == plan.calls
    assert found == sorted(found, key=lambda one: one[0])
    assert all(plan.since <= at < plan.until and 0 <= place < len(POOL) for at, place in found)
    assert found == list(seeding.arrivals(plan, trace, POOL))


def test_another_seed_makes_another_record() -> None:
    one, other = (Plan(500, START, START + 90 * HOUR, seed) for seed in (1, 2))
    assert seeding.pool(one, None, BOOK, START) == seeding.pool(one, None, BOOK, START)
    assert seeding.pool(one, None, BOOK, START) != seeding.pool(other, None, BOOK, START)
    assert list(seeding.arrivals(one, None, POOL)) != list(seeding.arrivals(other, None, POOL))


def test_days_are_busier_than_nights_and_weekends() -> None:
    monday = (START // (24 * HOUR) * 24 * HOUR) + 5 * 24 * HOUR  # 2026-11-23
    counts = seeding.hours(Plan(100_000, monday, monday + 7 * 24 * HOUR), None)
    by_day = [sum(counts[day * 24 : day * 24 + 24]) for day in range(7)]
    assert min(by_day[:5]) > 1.5 * max(by_day[5:])
    assert sum(counts[hour] for hour in range(9, 17)) > 3 * sum(counts[hour] for hour in range(8))


def test_every_end_of_a_call_and_every_sort_of_try_is_there() -> None:
    records = [pattern.record for pattern in POOL]
    tries = [one for record in records for one in record.attempts]
    assert {record.outcome for record in records} == set(Outcome) - {Outcome.INTERRUPTED}
    assert {"quota_minute", "quota_day", "overloaded", "hedged", "invalid"} <= {one.reason for one in tries}
    assert any(not record.attempts for record in records)
    assert any(one.hedge for one in tries)
    assert any(one.waited for one in tries)
    assert any(one.usage and one.usage.cached and one.usage.thoughts for one in tries)
    assert any(one.cost and one.cost.total is None for one in tries)
    assert any(one.cost and one.cost.charges for one in tries)
    assert {record.streaming for record in records} == {"none", "sse"}
    assert any(one.project == FREE and one.cost and one.cost.total and one.cost.billed == 0 for one in tries)
    assert all(
        record.attempts[-1].model != record.attempts[0].model or True for record in records if record.attempts
    )


def test_each_try_is_priced_by_the_book_and_fits_its_call() -> None:
    for pattern in POOL:
        record = pattern.record
        assert 0 <= (record.first_byte or 0) <= record.duration
        for number, one in enumerate(record.attempts, 1):
            assert one.number == number
            assert record.received_at <= one.sent_at
            assert one.sent_at + one.duration <= record.received_at + record.duration or one.hedge is False
            if one.usage is not None and one.cost is not None:
                price = BOOK.price(one.model, "standard", START)
                assert one.cost == cost(price, one.usage, free=one.project == FREE)


def test_a_trace_gives_tokens_times_and_keys() -> None:
    trace = traces.read(REPLAY)
    assert trace.whole_day
    pool = seeding.pool(Plan(600, START, START + HOUR), trace, BOOK, START)
    assert seeding.keys(pool)[:2] == ["seed-anna", "seed-atlas"]
    assert {pattern.offset for pattern in pool} == {500_000, 7_199_000_000, 80_000_250_000}
    # The middle call failed in the trace.
    ends = {pattern.record.outcome for pattern in pool if pattern.offset == 7_199_000_000}
    assert ends == {Outcome.FAILED}
    # Each comes again in its own hour of the day, a moment after its own offset.
    plan = Plan(2_000, START // (24 * HOUR) * 24 * HOUR, START // (24 * HOUR) * 24 * HOUR + 48 * HOUR)
    busy = Counter(at // HOUR % 24 for at, _ in seeding.arrivals(plan, trace, pool))
    assert set(busy) == {0, 1, 22}


def test_counts_by_the_hour_are_read_with_the_hours_between() -> None:
    rows = ["timestamp,A,B", "2024-01-01 00:10:00,1,2", "2024-01-01 00:40:00,3,", "2024-01-01 02:00:00,5,5"]
    assert traces.read(rows).hours == (6.0, 0.0, 10.0)
    named = ["timestamp,requests,input_tokens", "2024-01-01 00:00:00,7,900"]
    assert traces.read(named).hours == (7.0,)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["a,b", "1,2"],
        ["offset_s,input_tokens"],
        ["offset_s,input_tokens", "-1,2"],
        ["offset_s,input_tokens", "nan,2"],
        ["offset_s,input_tokens", "1,many"],
        ["offset_s,input_tokens", "1,-4"],
        ["timestamp,requests", "yesterday,3"],
        ["timestamp,requests", "2024-01-01 00:00:00,0"],
        ["timestamp,requests", "2024-01-01 00:00:00,1", "1999-01-01 00:00:00,1"],
    ],
)
def test_what_is_no_trace_is_refused(rows: list[str]) -> None:
    with pytest.raises(BadTrace):
        traces.read(rows)


@given(st.integers(0, 2**64 - 1))
def test_chance_is_the_same_for_a_seed(seed: int) -> None:
    one, other = Chance(seed), Chance(seed)
    assert [one.bits() for _ in range(5)] == [other.bits() for _ in range(5)]
    assert 0 <= one.real() < 1
    assert 0 <= one.below(7) < 7
    assert one.spread(100, 0.5) > 0
    assert one.pick("ab", (0, 1)) == "b"
