"""Quantiles of many numbers from little room: histograms that merge by one addition.

Laws:

- numbers below 128 have a bucket of their own, above that each power of two has 64 of equal width; a bucket
  answers with its middle, so a quantile is wrong by at most 1/128 (0.8 %) of itself;
- the quantile q of n numbers is the one of rank ceil(q·n) (at least the first), as in a sorted list of them all;
- merging adds counts, bucket by bucket: the order and the grouping of merges change nothing;
- a sketch in memory is one integer of 32-bit lanes, the count of bucket b in lane b: adding two such integers
  merges them at the speed of memory. A sketch must hold fewer than 2**32 numbers.

A body (``Sketches.encode``) holds one sketch for each of ``METRICS``, in that order. Its first byte is 0 and each
number's bucket follows (few numbers), or it says how many bytes the largest count needs, and the deflated lanes
between the lowest and the highest bucket follow: first the lowest byte of each, then the second …
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Final

METRICS: Final = ("duration", "first_byte", "rate", "overhead")
"""What is sketched of calls with outcome ok: µs, µs, tokens per second in thousandths, µs."""

ERROR: Final = 1 / 128
"""The most that a quantile is off, as a share of itself."""
MOST: Final = 2**50
"""Larger numbers count as this one. In µs it is 35 years."""

_EXACT: Final = 128
_LANE: Final = 32
_FEW: Final = 60  # numbers; their buckets take less room and time than deflated lanes
_PLAIN: Final = 0
_MANY: Final = 64  # numbers that are counted quicker by a hash table
_HEAD: Final = struct.Struct("<8H")
_WINDOW: Final = -12  # raw deflate with 4 KB of memory: lanes repeat within that


def bucket(value: int) -> int:
    """The bucket of a number; below 0 counts as 0."""
    if value < _EXACT:
        return max(value, 0)
    if value > MOST:
        value = MOST
    power = value.bit_length() - 7
    return (power << 6) + (value >> power)


def middle(place: int) -> int:
    """The number that a bucket answers with."""
    if place < _EXACT:
        return place
    power = (place >> 6) - 1
    return ((place - (power << 6)) << power) + (1 << (power - 1))


def lanes_of(buckets: Sequence[int]) -> int:
    """The lanes of numbers whose buckets are known, each as often as it stands there."""
    if not buckets:
        return 0
    if len(buckets) > _MANY:
        found = Counter(buckets)
        low = min(found)
        counts = [0] * (max(found) - low + 1)
        for place, count in found.items():
            counts[place - low] = count
    else:
        low = min(buckets)
        counts = [0] * (max(buckets) - low + 1)
        for place in buckets:
            counts[place - low] += 1
    return int.from_bytes(struct.pack(f"<{len(counts)}I", *counts), "little") << (_LANE * low)


def added(body: bytes | None, more: Sequence[Sequence[int]]) -> bytes:
    """The body (None: of nothing) with numbers added, by their buckets, for each of ``METRICS``.

    Raises ValueError for bytes that are no body.
    """
    sizes = tuple(map(len, more))
    if body is None and sum(sizes) <= _FEW:
        return struct.pack(f"<5B{sum(sizes)}H", _PLAIN, *sizes, *chain.from_iterable(map(sorted, more)))
    if body is not None and body[:1] == b"\0" and sum(sizes) + sum(body[1:5]) <= _FEW:
        return added(None, [(*have, *new) for have, new in zip(_places(body), more, strict=True)])
    lanes = [lanes_of(buckets) for buckets in more]
    if body is not None:
        lanes = [one + have for one, have in zip(lanes, Sketches.decode(body).lanes, strict=True)]
    return Sketches(*lanes).encode()


class Sketch:
    """How numbers of one kind are spread. ``lanes`` is the sketch itself, as one integer."""

    __slots__ = ("lanes",)

    def __init__(self, lanes: int = 0) -> None:
        self.lanes = lanes

    def add(self, value: int, count: int = 1) -> None:
        """Take in a number."""
        self.lanes += count << (_LANE * bucket(value))

    def merge(self, other: Sketch) -> None:
        """Take in all of another's numbers."""
        self.lanes += other.lanes

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return sum(self._counts()[1])

    def quantiles(self, qs: Sequence[float]) -> list[int | None]:
        """The numbers below or at which shares (0 to 1) of all lie, None when there is none."""
        return _ranked(*self._counts(), qs)

    def told(self, qs: Sequence[float]) -> tuple[int, list[int | None]]:
        """How many numbers it holds, and quantiles, for the work of one."""
        low, counts = self._counts()
        return sum(counts), _ranked(low, counts, qs)

    def rows(self) -> list[tuple[int, int]]:
        """The buckets in use with their counts, lowest first: middle and count."""
        low, counts = self._counts()
        return [(middle(low + place), count) for place, count in enumerate(counts) if count]

    def encode(self) -> bytes:
        """The sketch as bytes, for ``decode``."""
        return Sketches(self.lanes).encode()

    @classmethod
    def decode(cls, body: bytes) -> Sketch:
        """The sketch of ``encode``. Raises ValueError for other bytes."""
        return cls(Sketches.decode(body).lanes[0])

    def _counts(self) -> tuple[int, tuple[int, ...]]:
        return _cut(self.lanes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self.lanes == other.lanes

    __hash__ = None  # type: ignore[assignment]


class Sketches:
    """One sketch for each of ``METRICS``. ``lanes`` are theirs, in that order."""

    __slots__ = ("lanes",)

    def __init__(self, *lanes: int) -> None:
        self.lanes = [*lanes, *([0] * (len(METRICS) - len(lanes)))]

    def __getitem__(self, metric: str) -> Sketch:
        return Sketch(self.lanes[METRICS.index(metric)])

    def __bool__(self) -> bool:
        return any(self.lanes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketches) and self.lanes == other.lanes

    __hash__ = None  # type: ignore[assignment]

    def merge(self, other: Sketches) -> None:
        """Take in all of another's numbers."""
        mine, theirs = self.lanes, other.lanes
        mine[0] += theirs[0]
        mine[1] += theirs[1]
        mine[2] += theirs[2]
        mine[3] += theirs[3]

    def encode(self) -> bytes:
        """All four as bytes, for ``decode``."""
        # Each number sets a bit at least: the bits are counted quicker than the numbers.
        if sum(lanes.bit_count() for lanes in self.lanes) <= _FEW:
            parts = [_cut(lanes) for lanes in self.lanes]
            sizes = [sum(counts) for _, counts in parts]
            if sum(sizes) <= _FEW:
                places = [
                    low + place
                    for low, counts in parts
                    for place, count in enumerate(counts)
                    if count
                    for _ in range(count)
                ]
                return struct.pack(f"<5B{len(places)}H", _PLAIN, *sizes, *places)
        cuts = [_trim(lanes) for lanes in self.lanes]
        head = _HEAD.pack(*(number for low, dense in cuts for number in (low, len(dense) // 4)))
        planes = [b"".join(dense[plane::4] for _, dense in cuts) for plane in range(4)]
        while not planes[-1].strip(b"\0"):
            planes.pop()
        return bytes((len(planes),)) + head + zlib.compress(b"".join(planes), 1, _WINDOW)

    @classmethod
    def decode(cls, body: bytes) -> Sketches:
        """The four of ``encode``. Raises ValueError for other bytes."""
        try:
            return cls(*(map(lanes_of, _places(body)) if body[0] == _PLAIN else _deflated(body)))
        except (struct.error, zlib.error, IndexError) as fault:
            raise ValueError(f"no sketches: {fault}") from None


def _ranked(low: int, counts: Sequence[int], qs: Sequence[float]) -> list[int | None]:
    if not counts:
        return [None] * len(qs)
    ranks = list(accumulate(counts))
    most = ranks[-1]
    found: list[int | None] = []
    for q in qs:
        # What floats make of 0.07 * 100 must not change the rank.
        rank = min(max(-int(-round(q * most, 6) // 1), 1), most)
        found.append(middle(low + bisect_left(ranks, rank)))
    return found


def merged(bodies: Iterable[bytes]) -> Sketches:
    """All numbers of many bodies; quicker than decoding and merging each. Raises ValueError for other bytes."""
    few: tuple[list[int], ...] = ([], [], [], [])
    lanes = [0, 0, 0, 0]
    try:
        for body in bodies:
            if body[0] == _PLAIN:
                for into, places in zip(few, _places(body), strict=True):
                    into += places
            else:
                for place, more in enumerate(_deflated(body)):
                    lanes[place] += more
    except (struct.error, zlib.error, IndexError) as fault:
        raise ValueError(f"no sketches: {fault}") from None
    return Sketches(*(have + lanes_of(some) for have, some in zip(lanes, few, strict=True)))


def _places(body: bytes) -> list[tuple[int, ...]]:
    """The buckets in a body of few numbers."""
    places = struct.unpack_from(f"<{sum(body[1:5])}H", body, 5)
    ends = [*accumulate(body[1:5], initial=0)]
    return [places[start:end] for start, end in pairwise(ends)]


def _deflated(body: bytes) -> list[int]:
    head = _HEAD.unpack_from(body, 1)
    planes = zlib.decompress(body[1 + _HEAD.size :], _WINDOW)
    whole = sum(head[1::2])
    if body[0] > 4 or len(planes) != whole * body[0]:
        raise ValueError("no sketches: the lanes end elsewhere")
    dense = bytearray(4 * whole)
    for plane in range(body[0]):
        dense[plane::4] = planes[plane * whole : (plane + 1) * whole]
    found, place = [], 0
    for low, length in zip(head[::2], head[1::2], strict=True):
        found.append(int.from_bytes(dense[4 * place : 4 * (place + length)], "little") << (_LANE * low))
        place += length
    return found


def _trim(lanes: int) -> tuple[int, bytes]:
    """The lowest bucket in use, and the bytes of the lanes from there to the highest."""
    if not lanes:
        return 0, b""
    low = ((lanes & -lanes).bit_length() - 1) // _LANE
    lanes >>= _LANE * low
    return low, lanes.to_bytes(-(-lanes.bit_length() // _LANE) * 4, "little")


def _cut(lanes: int) -> tuple[int, tuple[int, ...]]:
    """The lowest bucket in use, and the counts from there to the highest."""
    low, dense = _trim(lanes)
    return low, struct.unpack(f"<{len(dense) // 4}I", dense)
