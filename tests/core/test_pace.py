"""The recent pace of targets, and the allowance for second tries."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.pace import ENOUGH, RECENT, Allowance, Pace


def pace_of(spans: list[float]) -> Pace:
    pace = Pace()
    for span in spans:
        pace.add("t", span)
    return pace


def test_nothing_is_known_below_twenty_answers() -> None:
    assert pace_of([1.0] * (ENOUGH - 1)).p95("t") is None
    assert pace_of([1.0] * ENOUGH).p95("t") == 1.0
    assert Pace().p95("t") is None


@given(st.lists(st.floats(0, 100), min_size=ENOUGH, max_size=300))
def test_it_is_the_95th_of_a_hundred_recent_answers(spans: list[float]) -> None:
    found = pace_of(spans).p95("t")
    recent = spans[-RECENT:]
    assert found is not None
    assert sum(span <= found for span in recent) >= math.ceil(0.95 * len(recent))
    assert sum(span < found for span in recent) < 0.95 * len(recent)


@given(st.lists(st.floats(0, 100), min_size=ENOUGH, max_size=200), st.integers(0, 15))
def test_it_is_at_most_sixteen_answers_old(spans: list[float], more: int) -> None:
    pace = pace_of(spans)
    before = pace.p95("t")
    for _ in range(more):
        pace.add("t", 1000.0)
    assert pace.p95("t") == before
    for _ in range(RECENT):
        pace.add("t", 1000.0)
    assert pace.p95("t") == 1000.0


def test_names_are_apart_and_bounded() -> None:
    pace = Pace()
    for number in range(5000):
        for _ in range(ENOUGH):
            pace.add(f"t{number}", float(number))
    assert pace.p95("t4999") == 4999.0
    assert pace.p95("t4998") == 4998.0
    assert pace.p95("t0") is None


@given(st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]), st.integers(0, 500))
def test_the_allowance_is_a_share_of_the_calls(rate: float, calls: int) -> None:
    allowance = Allowance(rate, most=1000.0)
    spent = 0
    for _ in range(calls):
        allowance.earn()
        spent += allowance.spend()
    assert spent == round(calls * rate * 1_000_000) // 1_000_000


def test_what_is_saved_is_bounded() -> None:
    allowance = Allowance(0.5, most=3.0)
    assert not allowance.spend()
    for _ in range(1000):
        allowance.earn()
    assert allowance.enough
    assert [allowance.spend() for _ in range(5)] == [True, True, True, False, False]
    assert not Allowance(0.0).enough
