"""How many calls were under way at once, from whole minutes: sums of settled ones, and the rows above the mark.

Laws:

- a minute belongs to the bucket that it starts in, and counts when it starts within the span;
- a call counts in every minute in which it was under way, also when it came before the span;
- calls that are still open count once they are settled.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from gemgate.insight import fold
from gemgate.insight.cubes import Grain
from gemgate.insight.plan import MOST_FOLDED
from gemgate.insight.sets import THIN_SET
from gemgate.store import folding, rollups

MINUTE: Final = Grain.MINUTE.span
_PORTION: Final = 4_000
_SUMS: Final = """
WITH s(bucket, low, high) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?))
SELECT s.bucket, sum(m.busy) FROM s CROSS JOIN busy_minutes AS m ON m.minute >= s.low AND m.minute < s.high
GROUP BY s.bucket
"""
_MOST: Final = """
SELECT minute, busy FROM busy_minutes WHERE minute >= ? AND minute < ? ORDER BY busy DESC, minute LIMIT 1
"""
_SOME: Final = "SELECT minute, busy FROM busy_minutes WHERE minute IN (SELECT value FROM json_each(?))"


class BusiestMinute(msgspec.Struct, frozen=True, kw_only=True):
    """The minute (its start, UTC µs) in which most was under way: ``calls`` at once in its mean."""

    start: int
    calls: float


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Calls under way at once in the mean of the span and of each bucket; None where no minute starts in it."""

    total: float | None
    series: list[float | None]
    busiest: BusiestMinute | None


def collect(conn: sqlite3.Connection, bounds: Sequence[int], now: int) -> Concurrency | None:
    """Of the span that ``bounds`` cut, as far as it is over at ``now``; None while too many rows are in no sum."""
    top = conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0]
    mark = max(rollups.mark(conn, THIN_SET), 0)
    if top - mark > MOST_FOLDED:
        return None
    late = _late(conn, mark, top, bounds)
    sums = [0] * (len(bounds) - 1)
    if mark:
        spans = [(place, bounds[place], bounds[place + 1]) for place in range(len(sums))]
        for place, busy in conn.execute(_SUMS, (json.dumps(spans),)):
            sums[place] += busy
    for minute, busy in late.items():
        sums[bisect_right(bounds, minute) - 1] += busy
    lengths = [_length(start, until, now) for start, until in itertools.pairwise(bounds)]
    whole = sum(lengths)
    return Concurrency(
        total=sum(sums) / whole if whole else None,
        series=[busy / length if length else None for busy, length in zip(sums, lengths, strict=True)],
        busiest=_busiest(conn, bounds, late, mark),
    )


def _late(conn: sqlite3.Connection, mark: int, top: int, bounds: Sequence[int]) -> dict[int, int]:
    """What the calls above the mark add to minutes of the span."""
    found: dict[int, int] = {}
    for low in range(mark, top, _PORTION):
        for call in folding.by_seq(conn, low, min(low + _PORTION, top)):
            for minute, busy in fold.minutes(call):
                if bounds[0] <= minute < bounds[-1]:
                    found[minute] = found.get(minute, 0) + busy
    return found


def _length(start: int, until: int, now: int) -> int:
    """How much of a bucket's minutes is over, in µs."""
    first, end = (-(-moment // MINUTE) * MINUTE for moment in (start, until))
    return max(min(end, now) - first, 0)


def _busiest(
    conn: sqlite3.Connection, bounds: Sequence[int], late: dict[int, int], mark: int
) -> BusiestMinute | None:
    known = dict(conn.execute(_SOME, (json.dumps(sorted(late)),))) if mark else {}
    found = [(busy + known.get(minute, 0), -minute) for minute, busy in late.items()]
    if mark:
        found += [(busy, -minute) for minute, busy in conn.execute(_MOST, (bounds[0], bounds[-1]))]
    if not found:
        return None
    busy, minute = max(found)
    return BusiestMinute(start=-minute, calls=busy / MINUTE)
