"""Recorded traffic as ``gemgate seed`` reads it: single calls with their offsets, or calls counted over time.

The first line names the columns. ``offset_s`` makes a replay (``input_tokens``, ``output_tokens``, ``client`` and
``failed`` where they are there); ``timestamp`` makes counts, by the column ``requests``, or by the sum of all
others where there is none.
"""

from __future__ import annotations

import collections
import csv
import datetime
from collections.abc import Iterable
from typing import Final

import msgspec

HOUR: Final = 3_600
_WHOLE_DAY: Final = 20 * HOUR
_MOST: Final = 2_000_000


class BadTrace(ValueError):
    """A file that cannot be read as a trace; the message says why."""


class Replayed(msgspec.Struct, frozen=True, gc=False):
    """One call of a trace: ``offset`` in seconds from its begin, tokens, and who made it (empty: not known)."""

    offset: float
    input: int
    output: int
    failed: bool = False
    client: str = ""


class Trace(msgspec.Struct, frozen=True):
    """``calls`` of a replay in the order of their coming, and how many come in each hour of the ``day``; or else
    ``hours``: calls by the hour, in order."""

    calls: tuple[Replayed, ...] = ()
    day: tuple[int, ...] = ()
    hours: tuple[float, ...] = ()

    @property
    def whole_day(self) -> bool:
        """Whether the replay says how a day goes."""
        return bool(self.calls) and self.calls[-1].offset >= _WHOLE_DAY


def read(lines: Iterable[str]) -> Trace:
    """The trace in a file's lines. Raises BadTrace."""
    rows = csv.DictReader(lines)
    names = rows.fieldnames or ()
    try:
        if "offset_s" in names:
            calls = sorted(map(_call, rows), key=lambda one: one.offset)
            if not calls:
                raise BadTrace("the trace has no calls")
            if len(calls) > _MOST:
                raise BadTrace(f"the trace has over {_MOST:,} calls")
            counted = collections.Counter(int(one.offset) // HOUR % 24 for one in calls)
            return Trace(calls=tuple(calls), day=tuple(counted[hour] for hour in range(24)))
        if "timestamp" in names:
            return Trace(hours=_hours(rows, "requests" in names))
    except (ValueError, TypeError) as fault:
        raise BadTrace(f"line {rows.line_num}: {fault}") from None
    raise BadTrace("the first line names neither offset_s nor timestamp")


def _call(row: dict[str, str]) -> Replayed:
    offset = float(row["offset_s"])
    if not 0 <= offset < 400 * 86_400:
        raise ValueError(f"{row['offset_s']} is no offset in seconds")
    return Replayed(
        offset=offset,
        input=_count(row.get("input_tokens")),
        output=_count(row.get("output_tokens")),
        failed=(row.get("failed") or "").strip().lower() in ("1", "true", "yes"),
        client=(row.get("client") or "").strip()[:80],
    )


def _count(text: str | None) -> int:
    count = int(float(text)) if text else 0
    if not 0 <= count < 10_000_000:
        raise ValueError(f"{text} is no count of tokens")
    return count


def _hours(rows: Iterable[dict[str, str]], named: bool) -> tuple[float, ...]:
    """Counts by the hour from the first one on; hours that the file leaves out have none."""
    sums: dict[int, float] = {}
    for row in rows:
        at = datetime.datetime.fromisoformat(row["timestamp"]).replace(tzinfo=datetime.UTC)
        values = (
            [row["requests"]]
            if named
            else [text for name, text in row.items() if name != "timestamp" and text]
        )
        hour = int(at.timestamp()) // HOUR
        sums[hour] = sums.get(hour, 0.0) + sum(max(0.0, float(text or 0)) for text in values)
    if not sums or not any(sums.values()):
        raise BadTrace("the trace counts no calls")
    first, last = min(sums), max(sums)
    if last - first > 10 * 366 * 24:
        raise BadTrace("the trace covers more than ten years")
    return tuple(sums.get(hour, 0.0) for hour in range(first, last + 1))
