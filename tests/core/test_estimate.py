"""Estimates follow what Google counts, within bounds, and forget names that callers invent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.estimate import Estimates, Held
from gemgate.core.usage import Usage

sizes = st.integers(1, 1_000_000)


def test_a_model_that_was_never_seen_has_the_quick_estimate() -> None:
    estimates = Estimates()
    assert estimates.tokens("flash", 1000) == 1000
    assert estimates.nano("flash") == 0
    estimates.learn("pro", 1000, 2000)
    assert estimates.tokens("flash", 1000) == 1000


@given(st.floats(0.3, 7.9), st.lists(st.integers(100, 100_000), min_size=1, max_size=60), sizes)
def test_a_steady_ratio_is_found_at_once_and_kept(ratio: float, seen: list[int], asked: int) -> None:
    estimates = Estimates()
    for estimate in seen:
        estimates.learn("flash", estimate, round(estimate * ratio))
    assert estimates.tokens("flash", asked) == pytest.approx(asked * ratio, rel=0.02, abs=1)


@given(st.lists(st.tuples(sizes, st.integers(0, 10**12)), max_size=40), st.integers(0, 10**9))
def test_an_estimate_stays_between_a_quarter_and_eight_times(seen: list[tuple[int, int]], asked: int) -> None:
    estimates = Estimates()
    for estimate, actual in seen:
        estimates.learn("flash", estimate, actual)
    found = estimates.tokens("flash", asked)
    assert round(asked * 0.25) <= found <= max(asked * 8, 1)
    assert (found > 0) == (asked > 0)


def test_an_unsteady_ratio_is_taken_above_its_mean() -> None:
    estimates = Estimates()
    for place in range(200):
        estimates.learn("flash", 1000, 1000 if place % 2 else 3000)
    # The mean is 2,000 and the mean deviation 1,000.
    assert 2500 < estimates.tokens("flash", 1000) <= 3200


def test_an_estimate_moves_to_a_new_ratio() -> None:
    estimates = Estimates()
    for _ in range(50):
        estimates.learn("flash", 1000, 1000)
    for _ in range(200):
        estimates.learn("flash", 1000, 500)
    assert estimates.tokens("flash", 1000) == pytest.approx(500, rel=0.01)


def test_long_requests_decide_more_than_short_ones() -> None:
    estimates = Estimates()
    for _ in range(40):
        estimates.learn("flash", 10, 80)
        estimates.learn("flash", 100_000, 100_000)
    assert estimates.tokens("flash", 100_000) < 110_000


def test_one_absurd_count_does_not_spoil_the_mean() -> None:
    estimates = Estimates()
    estimates.learn("flash", 1000, 1000)
    estimates.learn("flash", 1000, 10**15)
    for _ in range(100):
        estimates.learn("flash", 1000, 1000)
    assert estimates.tokens("flash", 1000) < 1200


def test_counts_of_nothing_teach_nothing() -> None:
    estimates = Estimates()
    estimates.learn("flash", 0, 500)
    estimates.learn("flash", 500, 0)
    estimates.learn("flash", -1, -1)
    assert estimates.tokens("flash", 100) == 100
    assert estimates.tokens("flash", 0) == 0


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60))
def test_money_lies_between_the_least_and_the_most_seen(costs: list[int]) -> None:
    estimates = Estimates()
    for nano in costs:
        estimates.learn_nano("flash", nano)
    assert min(costs) <= estimates.nano("flash") <= max(costs)


def test_money_follows_recent_calls() -> None:
    estimates = Estimates()
    estimates.learn_nano("flash", 1_000_000)
    for _ in range(200):
        estimates.learn_nano("flash", 5000)
    assert estimates.nano("flash") == pytest.approx(5000, rel=0.01)


def test_invented_names_do_not_pile_up() -> None:
    estimates = Estimates()
    for number in range(3000):
        estimates.learn(f"invented-{number}", 100, 200)
        estimates.learn_nano(f"invented-{number}", 100)
    assert len(estimates._ratios) == len(estimates._nano) == 1000
    assert estimates.tokens("invented-2999", 100) == 200
    assert estimates.tokens("invented-0", 100) == 100


def test_what_google_holds_has_the_size_that_was_counted_before() -> None:
    estimates = Estimates()
    cache, file, before = "cachedContents/c", "files/f", "interactions/i"
    assert estimates.held(()) == Held()
    assert estimates.held((cache,)).unknown == "cached"
    assert estimates.held((cache, file)).unknown == estimates.held((file, cache)).unknown == "plain"
    estimates.learn_held((cache,), Usage(20_100, 20_000, 5), 100)
    estimates.learn_held((file,), Usage(5_100, 0, 5), 100)
    estimates.learn_size(before, 700)
    assert estimates.held((cache, file, before)) == Held(5_700, 20_000)
    estimates.learn_held((cache,), Usage(300, 0, 5), 100)  # it was not counted: nothing is learned
    assert estimates.held((cache,)) == Held(0, 20_000)


def test_of_several_things_each_is_at_most_all_of_them() -> None:
    estimates = Estimates()
    estimates.learn_held(("files/a", "files/b"), Usage(1_000), 100)
    assert estimates.held(("files/a",)) == Held(900)
    estimates.learn_held(("files/a",), Usage(350), 50)
    estimates.learn_held(("files/a", "files/b"), Usage(1_000), 100)
    assert estimates.held(("files/a", "files/b")) == Held(300 + 900)


def test_the_names_of_things_do_not_pile_up() -> None:
    estimates = Estimates()
    for number in range(10_001):
        estimates.learn_size("files/a" if number % 5_000 == 0 else f"files/{number}", number)
    assert estimates.held(("files/a",)) == Held(10_000)  # used last, kept longest
    for number in range(20_000, 30_000):
        estimates.learn_size(f"files/{number}", 1)
    assert estimates.held(("files/a",)).unknown == "plain"
