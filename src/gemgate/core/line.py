"""The fair line: calls that wait for room, in the order in which they came.

Laws:

- nobody overtakes in a bucket: whoever is refused there closes it to all behind, however small they are;
- who waits for several buckets goes by the first that has room, in the order of its own plan;
- one look at the line costs what it grants, plus one refusal a bucket, however many wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

from gemgate.core.windows import Ahead, Bucket

_NOBODY = Ahead()


class _Place:
    """One waiter's place in one queue. A place that was left still leads on to those behind it."""

    __slots__ = ("after", "before", "gone", "tokens", "waiter")

    def __init__(self, waiter: _Waiter | None, tokens: int) -> None:
        self.waiter = waiter
        self.tokens = tokens
        self.before: _Place = self
        self.after: _Place = self
        self.gone = False


class _Queue:
    """Places in order of arrival, in a ring around an empty one, with their sums."""

    __slots__ = ("count", "ring", "tokens")

    def __init__(self) -> None:
        self.ring = _Place(None, 0)
        self.count = 0
        self.tokens = 0

    def add(self, waiter: _Waiter, tokens: int) -> _Place:
        """A place by the waiter's number: at the end, or for one who comes back, where it was."""
        place, behind = _Place(waiter, tokens), self.ring
        last = behind.before.waiter
        if last is not None and last.number > waiter.number:
            behind = self._after(waiter.number)
        place.before, place.after = behind.before, behind
        behind.before.after = place
        behind.before = place
        self.count += 1
        self.tokens += tokens
        return place

    def _after(self, number: int) -> _Place:
        """The first place of a later number, or the ring; costs a step for each before."""
        place = self.ring.after
        while place.waiter is not None and place.waiter.number < number:
            place = place.after
        return place

    def earlier(self, number: int) -> Ahead:
        """Those with an earlier number; costs a step for each."""
        return self.before(self._after(number))

    def remove(self, place: _Place) -> None:
        """Take a place out."""
        place.before.after = place.after
        place.after.before = place.before
        place.gone = True
        self.count -= 1
        self.tokens -= place.tokens

    def before(self, place: _Place) -> Ahead:
        """Those before a place; costs a step for each."""
        count = tokens = 0
        while (place := place.before) is not self.ring:
            count += 1
            tokens += place.tokens
        return Ahead(count, tokens)


class _Waiter:
    """One call in the line, with its place among all and in each bucket's queue."""

    __slots__ = ("buckets", "declined", "joined", "number", "place", "who")

    place: _Place

    def __init__(self, who: int, number: int, joined: int) -> None:
        self.who = who
        self.number = number
        self.joined = joined
        self.buckets: dict[Bucket, _Place] = {}
        self.declined = False


class Line:
    """Who waits for what. ``who`` is any number of the caller's own, unlike those of others in the line."""

    def __init__(self) -> None:
        self._all = _Queue()
        self._queues: dict[Bucket, _Queue] = {}
        self._waiters: dict[int, _Waiter] = {}
        self._joined = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[int]:
        """Who waits, in the order of joining. The line must not change meanwhile."""
        return iter(self._waiters)

    def join(
        self, who: int, buckets: tuple[Bucket, ...], tokens: tuple[int, ...], now: int, number: int = 0
    ) -> int:
        """Stand at the end, for any one of these buckets, in the order of the plan, with the tokens needed there.

        Without buckets the call waits for something else than room. Who was in the line already leaves its
        place. Two targets of one bucket count once, with the larger need. Returns the waiter's number; whoever
        had its turn in vain (room that Google did not grant) comes back to its place by it.
        """
        self.leave(who)
        if not number:
            self._joined += 1
            number = self._joined
        waiter = _Waiter(who, number, now)
        needs: dict[Bucket, int] = {}
        for bucket, need in zip(buckets, tokens, strict=True):
            needs[bucket] = max(need, needs.get(bucket, 0))
        for bucket, need in needs.items():
            queue = self._queues.get(bucket)
            if queue is None:
                queue = self._queues[bucket] = _Queue()
            waiter.buckets[bucket] = queue.add(waiter, need)
        waiter.place = self._all.add(waiter, 0)
        self._waiters[who] = waiter
        return number

    def leave(self, who: int) -> None:
        """Go away, served or not; nothing happens to one who is not here."""
        waiter = self._waiters.pop(who, None)
        if waiter is None:
            return
        self._all.remove(waiter.place)
        for bucket, place in waiter.buckets.items():
            queue = self._queues[bucket]
            queue.remove(place)
            if not queue.count:
                del self._queues[bucket]

    def ahead(self, bucket: Bucket, number: int = 0) -> Ahead:
        """All who wait for a bucket: a newcomer stands behind them; one who has a ``number``, behind those before."""
        queue = self._queues.get(bucket)
        if queue is None:
            return _NOBODY
        return queue.earlier(number) if number else Ahead(queue.count, queue.tokens)

    def ahead_of(self, who: int, bucket: Bucket) -> Ahead:
        """Those who wait for a bucket before ``who``; costs a step for each. Raises KeyError for a stranger."""
        return self._queues[bucket].before(self._waiters[who].buckets[bucket])

    def holds(self, bucket: Bucket) -> bool:
        """Whether somebody waits for the bucket, so that a newcomer must not go before."""
        return bucket in self._queues

    def position(self, who: int) -> int:
        """1 for who comes next; costs a step for each before. Raises KeyError for a stranger."""
        return self._all.before(self._waiters[who].place).requests + 1

    def joined(self, who: int) -> int:
        """When ``who`` joined (UTC µs). Raises KeyError for a stranger."""
        return self._waiters[who].joined

    def decline(self, who: int) -> None:
        """Inside a ``ready`` loop: who was just offered a bucket cannot use it; its other buckets are asked."""
        waiter = self._waiters.get(who)
        if waiter is not None:
            waiter.declined = True

    def ready(self, room: Callable[[Bucket, int], bool]) -> Iterator[tuple[int, Bucket]]:
        """Who may go now, and where, in order.

        ``room(bucket, tokens)`` says whether there is room at this moment: charge what was offered before asking
        for the next. Nobody is offered two buckets unless it declines; being offered one is not leaving. The
        line may change meanwhile.
        """
        heads: list[tuple[int, int, Bucket, _Place]] = []
        for order, (bucket, queue) in enumerate(self._queues.items()):
            first = queue.ring.after
            if first.waiter is not None:
                heads.append((first.waiter.number, order, bucket, first))
        heapify(heads)
        closed: set[Bucket] = set()
        seen = 0
        while heads:
            number, order, bucket, place = heappop(heads)
            if bucket in closed:
                continue
            # Whoever is in several queues comes up once for each, one right after the other.
            if number > seen:
                seen = number
                waiter = place.waiter
                assert waiter is not None
                yield from _offers(waiter, room, closed)
            if bucket not in closed:
                # It may have left meanwhile, as this place may: then it is offered nothing, and leads on.
                following = place.after
                if following.waiter is not None:
                    heappush(heads, (following.waiter.number, order, bucket, following))


def _offers(
    waiter: _Waiter, room: Callable[[Bucket, int], bool], closed: set[Bucket]
) -> Iterator[tuple[int, Bucket]]:
    """Offer a waiter its first bucket with room, and on while it declines; a bucket without room is closed."""
    for bucket, place in waiter.buckets.items():
        if place.gone or bucket in closed:
            continue
        if room(bucket, place.tokens):
            waiter.declined = False
            yield waiter.who, bucket
            if not waiter.declined:
                return
        else:
            closed.add(bucket)
