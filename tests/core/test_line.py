"""The fair line against a plain list: nobody overtakes, nobody is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gemgate.core.line import Line
from gemgate.core.windows import Ahead, Bucket

A, B, C = Bucket("one", "flash"), Bucket("two", "flash"), Bucket("one", "lite")
NOW = 1_770_000_000_000_000

plans = st.lists(st.sampled_from([A, B, C]), max_size=3, unique=True).map(tuple)
needs = st.lists(st.integers(0, 9), min_size=3, max_size=3).map(tuple)


class Rooms:
    """So much room in each bucket; what was offered is charged by the loop."""

    def __init__(self, room: dict[Bucket, int]) -> None:
        self.room = dict(room)
        self.asked: list[Bucket] = []

    def __call__(self, bucket: Bucket, tokens: int) -> bool:
        self.asked.append(bucket)
        return self.room.get(bucket, 0) > 0 and tokens <= self.room[bucket]

    def charge(self, bucket: Bucket, tokens: int) -> None:
        self.room[bucket] -= max(1, tokens)


Waiting = list[tuple[int, dict[Bucket, int]]]


def plainly(
    waiting: Waiting, rooms: Rooms, unwilling: Callable[[int, Bucket], bool]
) -> Iterator[tuple[int, Bucket]]:
    """What ``ready`` should offer, by going through everybody."""
    closed: set[Bucket] = set()
    for who, wants in waiting:
        for bucket, tokens in wants.items():
            if bucket in closed:
                continue
            if not rooms(bucket, tokens):
                closed.add(bucket)
                continue
            yield who, bucket
            if not unwilling(who, bucket):
                rooms.charge(bucket, tokens)
                break


class Lines(RuleBasedStateMachine):
    """Calls join, leave in any order, and are served."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self.waiting: Waiting = []
        self.next = 0

    @rule(plan=plans, need=needs)
    def join(self, plan: tuple[Bucket, ...], need: tuple[int, ...]) -> None:
        self.next += 1
        self.line.join(self.next, plan, need[: len(plan)], NOW + self.next)
        self.waiting.append((self.next, dict(zip(plan, need, strict=False))))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        who, _ = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.line.leave(who)
        self.line.leave(who)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def stand_again(self, data: st.DataObject) -> None:
        who, wants = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.line.join(who, tuple(wants), tuple(wants.values()), NOW)
        self.waiting.append((who, wants))

    @rule(
        room=st.fixed_dictionaries({A: st.integers(0, 20), B: st.integers(0, 20), C: st.integers(0, 20)}),
        declines=st.sets(st.integers(0, 6)),
        leaves=st.booleans(),
    )
    def serve(self, room: dict[Bucket, int], declines: set[int], leaves: bool) -> None:
        def unwilling(who: int, bucket: Bucket) -> bool:
            return who % 7 in declines and bucket != A

        rooms, expected = Rooms(room), list(plainly(self.waiting, Rooms(room), unwilling))
        wants = dict(self.waiting)
        offered = []
        for who, bucket in self.line.ready(rooms):
            offered.append((who, bucket))
            if unwilling(who, bucket):
                self.line.decline(who)
                continue
            rooms.charge(bucket, wants[who][bucket])
            if leaves:
                self.line.leave(who)
                self.waiting = [row for row in self.waiting if row[0] != who]
        assert offered == expected
        # One refusal a bucket at most, however many wait.
        assert len(rooms.asked) <= len(offered) + 3

    @invariant()
    def everybody_is_counted(self) -> None:
        assert len(self.line) == len(self.waiting)
        assert list(self.line) == [who for who, _ in self.waiting]
        for place, (who, wants) in enumerate(self.waiting):
            assert self.line.position(who) == place + 1
            for bucket in wants:
                before = [row[bucket] for _, row in self.waiting[:place] if bucket in row]
                assert self.line.ahead_of(who, bucket) == Ahead(len(before), sum(before))
        for bucket in (A, B, C):
            tokens = [wants[bucket] for _, wants in self.waiting if bucket in wants]
            assert self.line.ahead(bucket) == Ahead(len(tokens), sum(tokens))
            assert self.line.holds(bucket) == bool(tokens)


Lines.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLines = Lines.TestCase


def offered(line: Line, room: dict[Bucket, int]) -> list[tuple[int, Bucket]]:
    rooms, found = Rooms(room), []
    for who, bucket in line.ready(rooms):
        found.append((who, bucket))
        rooms.room[bucket] -= 1
    return found


def test_a_small_call_does_not_pass_a_large_one() -> None:
    line = Line()
    line.join(1, (A,), (9,), NOW)
    line.join(2, (A,), (1,), NOW)
    assert offered(line, {A: 5}) == []
    assert offered(line, {A: 10}) == [(1, A), (2, A)]


def test_who_waits_for_two_buckets_goes_by_either() -> None:
    line = Line()
    line.join(1, (A, B), (9, 9), NOW)
    line.join(2, (A,), (1,), NOW)
    line.join(3, (B,), (1,), NOW)
    assert offered(line, {A: 9, B: 9}) == [(1, A), (2, A), (3, B)]
    assert offered(line, {A: 8, B: 9}) == [(1, B), (3, B)]
    assert offered(line, {A: 8, B: 8}) == []


def test_who_waits_for_something_else_keeps_its_place_and_is_offered_nothing() -> None:
    line = Line()
    line.join(1, (), (), NOW)
    line.join(2, (A,), (1,), NOW + 5)
    assert (line.position(1), line.position(2), len(line)) == (1, 2, 2)
    assert offered(line, {A: 5}) == [(2, A)]
    assert (line.joined(1), line.joined(2)) == (NOW, NOW + 5)


def test_two_targets_of_one_bucket_stand_once_with_the_larger_need() -> None:
    line = Line()
    line.join(1, (A, A, A), (3, 8, 5), NOW)
    assert line.ahead(A) == Ahead(1, 8)
    line.leave(1)
    assert (line.ahead(A), line.holds(A)) == (Ahead(), False)


def test_the_line_may_change_while_it_is_served() -> None:
    line = Line()
    for who in range(1, 8):
        line.join(who, (A, B), (1, 1), NOW)
    found = []
    for who, bucket in line.ready(lambda bucket, _: bucket == B):
        found.append((who, bucket))
        if who == 2:
            for gone in (1, 2, 3, 4):
                line.leave(gone)
            line.join(9, (B,), (1,), NOW)
    assert found == [(1, B), (2, B), (5, B), (6, B), (7, B), (9, B)]


def test_a_look_at_a_long_line_asks_once_a_bucket() -> None:
    line = Line()
    for who in range(1000):
        line.join(who, (A, B) if who % 2 else (B, C), (1, 1), NOW)
    rooms = Rooms({})
    assert list(line.ready(rooms)) == []
    assert sorted(rooms.asked, key=repr) == sorted([A, B, C], key=repr)


def test_strangers() -> None:
    line = Line()
    line.leave(1)
    line.decline(1)
    for ask in (line.position, line.joined, lambda who: line.ahead_of(who, A)):
        with pytest.raises(KeyError):
            ask(1)
    with pytest.raises(ValueError):
        line.join(1, (A,), (), NOW)
    assert len(line) == 0


def test_whoever_had_its_turn_in_vain_comes_back_to_its_place() -> None:
    line = Line()
    first = line.join(1, (A,), (10,), 0)
    line.join(2, (A,), (20,), 1)
    line.join(3, (A,), (30,), 2)
    line.leave(1)
    assert line.ahead(A) == (2, 50)
    assert line.ahead(A, first) == (0, 0)
    assert line.join(1, (A,), (10,), 9, first) == first
    assert [line.position(who) for who in (1, 2, 3)] == [1, 2, 3]
    assert line.ahead_of(3, A) == (2, 30)
    second = line.join(2, (A,), (20,), 9)
    assert second > first
    assert [line.position(who) for who in (1, 3, 2)] == [1, 2, 3]
