"""How quick answers were: quantiles of calls that ended well, each right to 1/128 of itself.

``duration`` and ``first_byte`` are from the request's arrival on, ``overhead`` is what no try and no waiting accounts
for, ``rate`` is output and thinking tokens over the answering try's duration.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.insight.sketch import ERROR, METRICS, Sketches
from gemgate.insight.spans import iso
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.gathered import Gathered, Numbers, Part, Wants, gather

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
"""What is told of each metric: of n numbers the one of rank ceil(q·n)."""
_WANTS: Final = Wants(facts=("calls", "ok"), main="calls", sketches=True)
_PER: Final = 1_000  # rates are sketched in thousandths


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How a time (µs) is spread over ``count`` calls; None where there are none."""

    count: int
    p50: int | None
    p90: int | None
    p95: int | None
    p99: int | None


class RateSpread(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens per second are spread over ``count`` calls; None where there are none."""

    count: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


_NOTHING: Final = Spread(count=0, p50=None, p90=None, p95=None, p99=None)
_NO_RATE: Final = RateSpread(count=0, p50=None, p90=None, p95=None, p99=None)


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """``calls`` of any outcome, those ``ok``, and of the latter (where a try was made) the four metrics."""

    calls: int
    ok: int
    duration: Spread
    first_byte: Spread
    rate: RateSpread
    overhead: Spread


class PerformancePoint(Performance, frozen=True, kw_only=True):
    """One bucket of a series: its start (UTC µs, and ISO 8601 in the zone) and its numbers."""

    start: int
    time: str


class PerformanceGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group, by the names of its dimensions in the order asked for."""

    names: tuple[str, ...]
    total: Performance
    before: Performance | None
    series: tuple[PerformancePoint, ...]


class PerformanceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How quick a span's answers were. ``error`` is the most that a quantile is off, as a share of itself.

    ``others`` is what no shown group has; ``groups_total`` counts all groups.
    """

    span: AnswerSpan
    error: float
    total: Performance
    before: Performance | None
    series: tuple[PerformancePoint, ...]
    groups: tuple[PerformanceGroup, ...]
    others: PerformanceGroup | None
    groups_total: int
    overlapping: bool


def report(conn: sqlite3.Connection, ask: Ask) -> PerformanceAnswer:
    """How quick the span's answers were. Raises ``spans.BadAsk`` and ``plan.TooMuch``."""
    found = gather(conn, ask, _WANTS)
    return PerformanceAnswer(
        span=found.span,
        error=ERROR,
        total=_performance(found.total),
        before=None if found.before is None else _performance(found.before),
        series=_series(found, found.series),
        groups=tuple(_group(found, part) for part in found.groups),
        others=None if found.others is None else _group(found, found.others),
        groups_total=found.groups_total,
        overlapping=found.overlapping,
    )


def _group(found: Gathered, part: Part) -> PerformanceGroup:
    return PerformanceGroup(
        names=part.names,
        total=_performance(part.total),
        before=None if part.before is None else _performance(part.before),
        series=_series(found, part.series),
    )


def _series(found: Gathered, series: list[Numbers]) -> tuple[PerformancePoint, ...]:
    return tuple(
        PerformancePoint(
            start=start,
            time=iso(start, found.span.zone),
            **msgspec.structs.asdict(_performance(numbers)),
        )
        for start, numbers in zip(found.starts, series, strict=True)
    )


def _performance(numbers: Numbers) -> Performance:
    sketches = numbers.sketches
    if sketches is None:
        return Performance(
            calls=numbers["calls"],
            ok=numbers["ok"],
            duration=_NOTHING,
            first_byte=_NOTHING,
            rate=_NO_RATE,
            overhead=_NOTHING,
        )
    duration, first_byte, rate, overhead = (_quantiles(sketches, metric) for metric in METRICS)
    count, *rates = rate
    slow = [None if one is None else one / _PER for one in rates]
    return Performance(
        calls=numbers["calls"],
        ok=numbers["ok"],
        duration=_spread(duration),
        first_byte=_spread(first_byte),
        rate=RateSpread(count=count or 0, p50=slow[0], p90=slow[1], p95=slow[2], p99=slow[3]),
        overhead=_spread(overhead),
    )


def _quantiles(sketches: Sketches, metric: str) -> list[int | None]:
    """How many numbers there are, then ``QUANTILES`` of them."""
    count, found = sketches[metric].told(QUANTILES)
    return [count, *found]


def _spread(found: list[int | None]) -> Spread:
    count, p50, p90, p95, p99 = found
    return Spread(count=count or 0, p50=p50, p90=p90, p95=p95, p99=p99)
