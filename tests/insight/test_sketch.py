"""Sketches answer within their error, whatever was merged in which order, and come back from bytes as they were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.insight.sketch import ERROR, METRICS, MOST, Sketch, Sketches, added, bucket, lanes_of, middle

NUMBERS = st.integers(0, 300) | st.integers(0, 10**8) | st.integers(0, MOST)


def sketch(values: list[int]) -> Sketch:
    made = Sketch()
    for value in values:
        made.add(value)
    return made


def test_small_numbers_are_exact_and_buckets_follow_each_other() -> None:
    assert [bucket(value) for value in range(128)] == list(range(128))
    assert [middle(bucket(value)) for value in range(128)] == list(range(128))
    bounds = [bucket(value) for value in range(100, 5_000)]
    assert set(bounds) == set(range(100, bounds[-1] + 1))
    assert bounds == sorted(bounds)
    assert bucket(-5) == 0
    assert bucket(2**70) == bucket(MOST)


@given(NUMBERS)
def test_a_bucket_answers_within_the_error(value: int) -> None:
    assert abs(middle(bucket(value)) - value) <= value * ERROR
    assert bucket(middle(bucket(value))) == bucket(value)


@given(NUMBERS, NUMBERS)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    assert (bucket(one) <= bucket(other)) or one > other


@given(st.lists(NUMBERS, max_size=200), st.floats(0, 1))
def test_a_quantile_is_that_of_the_sorted_list(values: list[int], q: float) -> None:
    made = sketch(values)
    assert made.count == len(values)
    got = made.quantiles((q,))[0]
    if not values:
        assert got is None
        return
    assert got is not None
    true = sorted(values)[max(math.ceil(round(q * len(values), 6)), 1) - 1]
    assert abs(got - true) <= true * ERROR


def test_ranks_do_not_follow_the_rounding_of_floats() -> None:
    made = sketch(list(range(1, 101)))
    assert made.quantiles([0.07, 0.5, 0.9, 0.95, 0.99, 1.0, 0.0]) == [7, 50, 90, 95, 99, 100, 1]


@given(st.lists(st.lists(NUMBERS, max_size=30), max_size=6), st.randoms(use_true_random=False))
def test_any_order_of_merges_gives_the_same(parts: list[list[int]], chance: object) -> None:
    whole = sketch([value for part in parts for value in part])
    pieces = [sketch(part) for part in parts]
    chance.shuffle(pieces)  # type: ignore[attr-defined]
    merged = Sketch()
    for piece in pieces:
        merged.merge(Sketch.decode(piece.encode()))
    assert merged == whole
    assert merged.lanes == lanes_of([bucket(value) for part in parts for value in part])


@given(st.lists(st.lists(NUMBERS, max_size=60), min_size=4, max_size=4))
def test_four_come_back_from_their_bytes(values: list[list[int]]) -> None:
    made = Sketches(*(sketch(part).lanes for part in values))
    back = Sketches.decode(made.encode())
    assert back == made
    assert [back[metric].count for metric in METRICS] == [len(part) for part in values]
    both = Sketches.decode(made.encode())
    both.merge(back)
    assert [both[metric].count for metric in METRICS] == [2 * len(part) for part in values]
    assert bool(back) is any(values)


FOURS = st.lists(st.lists(NUMBERS, max_size=40), min_size=4, max_size=4)


@given(st.lists(FOURS, max_size=5))
def test_numbers_are_added_to_a_body_as_if_all_came_at_once(batches: list[list[list[int]]]) -> None:
    body = None
    for batch in batches:
        body = added(body, [[bucket(value) for value in values] for values in batch])
    if body is not None:
        whole = [sketch([value for batch in batches for value in batch[place]]).lanes for place in range(4)]
        assert Sketches.decode(body) == Sketches(*whole)


def test_many_of_one_number_take_little_room() -> None:
    made = Sketch()
    made.add(1_000_000, 2**31)
    assert made.count == 2**31
    assert Sketch.decode(made.encode()) == made
    assert len(made.encode()) < 40
    spread = Sketches(*(lanes_of([bucket(9_000 + place * place) for place in range(3_000)]) for _ in METRICS))
    assert len(spread.encode()) < 4_000


def test_the_rows_are_the_buckets_in_use() -> None:
    assert sketch([5, 5, 1_000, 1_001]).rows() == [(5, 2), (middle(bucket(1_000)), 2)]


@pytest.mark.parametrize("body", [b"", b"\x00\x05", b"\x01abc", b"\x01" + bytes(16) + b"xyz"])
def test_other_bytes_are_no_sketch(body: bytes) -> None:
    with pytest.raises(ValueError, match="no sketches"):
        Sketches.decode(body)
