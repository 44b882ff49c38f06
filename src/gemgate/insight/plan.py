"""Which reads answer a question over buckets exactly: whole slots of what is summed, single rows for the rest.

Laws:

- whatever is chosen, each call counts once in the bucket it came in: a bucket is its reaches (slots of sums), plus
  its rows above the layer's mark there (the sums have not taken them in), plus its edges;
- the longest slots that fit are taken; where a bound cuts the shortest slot, the piece is read row by row, or the
  slot is taken whole and what lies beyond the bound is read row by row and taken off again, whichever is less;
- taking off concerns rows up to the layer's mark only, for no others are in the sum;
- what lies beyond a bound is counted no further than the piece within it: counting costs no more than reading;
- too many single rows are refused before any is read.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from gemgate.insight.cubes import Grain

MOST_ROWS: Final = 100_000
"""Calls that one question may look at one by one."""
MOST_FOLDED: Final = 30_000
"""Calls that one question may add up one by one: at 30 µs each, and 10 more for each part of an answer, they fit into
a read transaction of 2 s."""

Count = Callable[[int, int, int], int]
"""How many calls came in ``[start, until)``, counted up to the last number."""


class TooMuch(Exception):
    """The question would read too many calls one by one: ``rows`` at least, ``most`` are allowed; ``advice`` says how
    to ask for less."""

    def __init__(self, rows: int, advice: str, most: int = MOST_ROWS) -> None:
        super().__init__(
            f"this reads {rows:,} calls or more one by one, and {most:,} at a time are allowed: {advice}"
        )
        self.rows = rows
        self.advice = advice


class Layer(NamedTuple):
    """Sums of one cube in one grain: they hold the calls up to ``mark``, in slots from ``since`` on."""

    cube: int
    grain: Grain
    mark: int
    since: int = 0


class Reach(NamedTuple):
    """Slots ``[start, until)`` of the layer at this place count in a bucket."""

    layer: int
    bucket: int
    start: int
    until: int


class Summed(NamedTuple):
    """A piece of a bucket that reaches answer for: of its rows those above ``mark`` are yet to be added."""

    start: int
    until: int
    bucket: int
    mark: int


class Edge(NamedTuple):
    """Rows that came in ``[start, until)``: all are added to a bucket, or those up to ``mark`` taken off it."""

    start: int
    until: int
    bucket: int
    taken_off: bool = False
    mark: int = 0


class Plan(msgspec.Struct):
    """How a question is answered. ``summed`` is in order of time, ``rows`` how many calls the edges and the tail
    hold."""

    reaches: list[Reach]
    summed: list[Summed]
    edges: list[Edge]
    rows: int = 0

    def tail(self, at: int, seq: int) -> int | None:
        """The bucket that a row above the lowest mark must be added to, None when it is counted already."""
        place = bisect_right(self.summed, at, key=lambda one: one.start) - 1
        if place < 0:
            return None
        piece = self.summed[place]
        return piece.bucket if at < piece.until and seq > piece.mark else None


class _Piece(NamedTuple):
    """A part of a bucket within one slot of a layer, which has no finer one there; None: no layer at all."""

    start: int
    until: int
    bucket: int
    layer: int | None


def plan(
    bounds: Sequence[int], layers: Sequence[Layer], count: Count, advice: str = "", top: int = 0
) -> Plan:
    """The plan for the buckets between ``bounds``, over ``layers`` from the longest grain to the shortest; ``top`` is
    the newest call's seq.

    Raises TooMuch with ``advice``, or with a general one.
    """
    found = Plan([], [], [])
    read: set[tuple[int, int]] = set()
    for bucket, (start, until) in enumerate(itertools.pairwise(bounds)):
        for piece in _fill(start, until, bucket, layers):
            if isinstance(piece, Reach):
                found.reaches.append(piece)
                found.summed.append(Summed(piece.start, piece.until, bucket, layers[piece.layer].mark))
                continue
            for edge, rows in _edges(piece, layers, count, found):
                if edge[:2] not in read:
                    read.add(edge[:2])
                    found.rows += rows
                found.edges.append(edge)
        if found.rows > MOST_FOLDED:
            raise TooMuch(found.rows, advice or _advice(layers), MOST_FOLDED)
    if found.summed:
        found.rows += max(top - min(piece.mark for piece in found.summed), 0)
        if found.rows > MOST_FOLDED:
            raise TooMuch(found.rows, advice or _advice(layers), MOST_FOLDED)
    found.summed.sort()
    return found


def _fill(
    start: int, until: int, bucket: int, layers: Sequence[Layer], depth: int = 0, above: int | None = None
) -> Iterator[Reach | _Piece]:
    """Cover a piece of a bucket by slots, longest first; ``above`` is the layer that did not fit."""
    while depth < len(layers) and layers[depth].grain.slot(start) < layers[depth].since:
        depth += 1  # sums of these slots are gone, or will be
    if depth == len(layers):
        yield _Piece(start, until, bucket, above)
        return
    span = layers[depth].grain.span
    low, high = -(-start // span) * span, until // span * span
    if low > high:  # within one slot
        yield from _fill(start, until, bucket, layers, depth + 1, depth)
        return
    if start < low:
        yield from _fill(start, low, bucket, layers, depth + 1, depth)
    if low < high:
        yield Reach(depth, bucket, low, high)
    if high < until:
        yield from _fill(high, until, bucket, layers, depth + 1, depth)


def _edges(piece: _Piece, layers: Sequence[Layer], count: Count, found: Plan) -> list[tuple[Edge, int]]:
    """The rows to add for a piece, or those to take off after its slot was taken whole, with how many they are."""
    held = count(piece.start, piece.until, MOST_FOLDED + 1)
    inside = [(Edge(piece.start, piece.until, piece.bucket), held)]
    if piece.layer is None:
        return inside
    layer = layers[piece.layer]
    slot = layer.grain.slot(piece.start)
    end = slot + layer.grain.span
    beyond: list[tuple[int, int, int]] = []
    left = held
    for start, until in ((slot, piece.start), (piece.until, end)):
        if left > 0 and start < until:
            beyond.append((start, until, count(start, until, left)))
            left -= beyond[-1][-1]
    if left <= 0:
        return inside
    found.reaches.append(Reach(piece.layer, piece.bucket, slot, end))
    found.summed.append(Summed(piece.start, piece.until, piece.bucket, layer.mark))
    return [
        (Edge(start, until, piece.bucket, taken_off=True, mark=layer.mark), rows)
        for start, until, rows in beyond
    ]


def _advice(layers: Sequence[Layer]) -> str:
    if not layers:
        return (
            "ask for a shorter span, or group and filter by fewer dimensions (by tag with one other at most)"
        )
    name = layers[-1].grain.name.lower()
    return (
        f"let the span and its steps begin and end at whole {name}s in UTC, ask for a shorter span,"
        " or group and filter by fewer dimensions"
    )
