"""How much is used: calls, tries, tokens and money, over time, by the hour of the week, and how much at once."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.insight import spans
from gemgate.insight.plan import TooMuch
from gemgate.insight.spans import iso
from gemgate.store.reports import concurrency
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.concurrency import BusiestMinute, Concurrency
from gemgate.store.reports.facts import Query, collect, view
from gemgate.store.reports.gathered import Gathered, Numbers, Part, Wants, gather
from gemgate.store.reports.rows import Cache

HOURS: Final = 168
"""The hours of a week; the first is that from Monday's midnight."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of calls (at their final targets), of tries, tokens and bytes, and money in nano-dollars.

    ``tokens`` is all that Google counts: input, output, thoughts and tool prompts; ``cached`` is a part of the input.
    ``estimated`` tokens are not Google's last word. ``unpriced`` tries have no known price and are in no money.
    """

    calls: int
    ok: int
    refused: int
    failed: int
    cut: int
    cancelled: int
    interrupted: int
    streamed: int
    tries: int
    tokens: int
    input: int
    cached: int
    output: int
    thoughts: int
    tool: int
    estimated: int
    request_bytes: int
    response_bytes: int
    list_nano: int
    billed_nano: int
    unpriced: int


_FACTS: Final = tuple(name for name in Usage.__struct_fields__ if name != "tokens")
_WANTS: Final = Wants(facts=_FACTS, main="calls")


class UsagePoint(Usage, frozen=True, kw_only=True):
    """One bucket of a series: its start (UTC µs, and ISO 8601 in the zone) and its numbers.

    ``concurrency`` is how many calls were under way at once in the mean of its minutes; only where no filter is set,
    and not of groups.
    """

    start: int
    time: str
    concurrency: float | None = None


class UsageGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group, by the names of its dimensions in the order asked for."""

    names: tuple[str, ...]
    total: Usage
    before: Usage | None
    series: tuple[UsagePoint, ...]


class UsageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was used in a span. ``others`` is what no shown group has; ``groups_total`` counts all groups.

    ``heatmap`` has the calls of each hour of the week in the zone, from Monday's midnight on; None where it would
    need too many rows read. ``concurrency`` and ``busiest_minute`` are of all calls, None where a filter is set,
    while too many calls are in no sum yet, or where no minute starts in the span.
    """

    span: AnswerSpan
    total: Usage
    before: Usage | None
    series: tuple[UsagePoint, ...]
    groups: tuple[UsageGroup, ...]
    others: UsageGroup | None
    groups_total: int
    overlapping: bool
    heatmap: tuple[int, ...] | None
    concurrency: float | None
    busiest_minute: BusiestMinute | None


def report(conn: sqlite3.Connection, ask: Ask) -> UsageAnswer:
    """What was used in the span. Raises ``spans.BadAsk`` and ``plan.TooMuch``."""
    cache = Cache()
    with view(conn):
        found = gather(conn, ask, _WANTS, cache)
        busy = None if ask.filters else concurrency.collect(conn, [*found.starts, ask.until], ask.now)
        heatmap = _heatmap(conn, ask, cache)
    return UsageAnswer(
        span=found.span,
        total=_usage(found.total),
        before=None if found.before is None else _usage(found.before),
        series=_series(found, found.series, busy),
        groups=tuple(_group(found, part) for part in found.groups),
        others=None if found.others is None else _group(found, found.others),
        groups_total=found.groups_total,
        overlapping=found.overlapping,
        heatmap=heatmap,
        concurrency=None if busy is None else busy.total,
        busiest_minute=None if busy is None else busy.busiest,
    )


def _heatmap(conn: sqlite3.Connection, ask: Ask, cache: Cache) -> tuple[int, ...] | None:
    """Calls by the hour of the week."""
    bounds, hours = spans.week_hours(spans.Span(ask.start, ask.until, ask.zone))
    query = Query(
        start=ask.start,
        until=ask.until,
        now=ask.now,
        bounds=tuple(bounds),
        filters=ask.filters,
        facts=("calls",),
    )
    try:
        found = collect(conn, query, cache)
    except TooMuch:
        return None
    calls = [0] * HOURS
    for (bucket, _), facts in found.facts.items():
        calls[hours[bucket]] += facts[0]
    return tuple(calls)


def _group(found: Gathered, part: Part) -> UsageGroup:
    return UsageGroup(
        names=part.names,
        total=_usage(part.total),
        before=None if part.before is None else _usage(part.before),
        series=_series(found, part.series, None),
    )


def _series(found: Gathered, series: list[Numbers], busy: Concurrency | None) -> tuple[UsagePoint, ...]:
    means = [None] * len(series) if busy is None else busy.series
    return tuple(
        UsagePoint(
            start=start,
            time=iso(start, found.span.zone),
            concurrency=mean,
            tokens=_tokens(numbers),
            **{name: numbers[name] for name in _FACTS},
        )
        for start, numbers, mean in zip(found.starts, series, means, strict=True)
    )


def _usage(numbers: Numbers) -> Usage:
    return Usage(tokens=_tokens(numbers), **{name: numbers[name] for name in _FACTS})


def _tokens(numbers: Numbers) -> int:
    return sum(numbers[name] for name in ("input", "output", "thoughts", "tool"))
