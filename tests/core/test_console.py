"""The console's proof: of one whole request, for a short while, once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.console import GOOD_FOR, Head, Used, holds, prove, proven

SECRET = b"s" * 32
NOW = 10**15
HEAD = Head("POST", "/a", "alt=sse")
WORD = prove(SECRET, NOW, "0123456789abcdef", HEAD, b"body")


def test_a_proof_is_good_for_a_while() -> None:
    for late in (0, GOOD_FOR, -GOOD_FOR):
        assert proven(SECRET, WORD, NOW + late, HEAD)
    for late in (GOOD_FOR + 1, -GOOD_FOR - 1):
        assert not proven(SECRET, WORD, NOW + late, HEAD)


@pytest.mark.parametrize(
    "head", [Head("GET", "/a", "alt=sse"), Head("POST", "/b", "alt=sse"), Head("POST", "/a", "")]
)
def test_a_proof_is_of_one_head(head: Head) -> None:
    assert not proven(SECRET, WORD, NOW, head)


def test_a_proof_is_of_one_body() -> None:
    assert holds(WORD, b"body")
    assert not holds(WORD, b"another")
    assert not holds("", b"")
    other = prove(SECRET, NOW, "0123456789abcdef", HEAD, b"another").split(".")
    assert not proven(SECRET, ".".join([*WORD.split(".")[:2], other[2], WORD.split(".")[3]]), NOW, HEAD)


@given(place=st.integers(0, len(WORD) - 1), sign=st.sampled_from("0123456789abcdef.ä\n"))
def test_a_word_that_was_changed_is_none(place: int, sign: str) -> None:
    changed = WORD[:place] + sign + WORD[place + 1 :]
    assert proven(SECRET, changed, NOW, HEAD) is (changed == WORD)


@pytest.mark.parametrize("word", ["", "1" + WORD, WORD + "\n", "ä"])
def test_a_word_of_another_form_is_none(word: str) -> None:
    assert not proven(SECRET, word, NOW, HEAD)


@given(st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(0, 20)), max_size=200))
def test_a_proof_counts_once_as_long_as_it_is_good(steps: list[tuple[int, int]]) -> None:
    used, now, counted = Used(), NOW, dict[str, list[int]]()
    for more, name in steps:
        now += more
        if used.first(str(name), now):
            counted.setdefault(str(name), []).append(now)
        assert len(used) <= sum(times[-1] >= now - 2 * GOOD_FOR for times in counted.values())
    for times in counted.values():
        assert all(later - earlier > 2 * GOOD_FOR for earlier, later in itertools.pairwise(times))
