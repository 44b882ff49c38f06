"""The frame of every report: total, span before, series, the largest groups and an honest remainder.

A report says which facts it wants and by which one its groups are ranked (``Wants``); ``gather`` does the rest,
and the report makes its own structs of the ``Numbers``.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.insight import spans
from gemgate.insight.cubes import DIMENSIONS, Grain
from gemgate.insight.facts import INDEX, Facts, add, zero
from gemgate.insight.sketch import METRICS, Sketches
from gemgate.store.connection import in_time
from gemgate.store.reports import dimensions
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.facts import Charged, Found, Query, collect, lag, view
from gemgate.store.reports.rows import Cache

MOST_GROUPS: Final = 2
"""Dimensions that an answer is grouped by."""
MOST_TOP: Final = 100
"""Groups that an answer shows."""
MOST_POINTS: Final = 20_000
"""Groups asked for, times steps: more of them fill neither a chart nor a second."""
MOST_SPREADS: Final = 2_400
"""The same where quantiles of each are worked out."""
_DAYS: Final = 32
_QUANTILED: Final = 48  # buckets
MOST_NAMES: Final = 100
"""Names that a dimension is filtered by."""


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made of: the names of its facts, and the ``main`` one by which groups are ranked."""

    facts: tuple[str, ...]
    main: str
    sketches: bool = False
    charges: bool = False


class Numbers(msgspec.Struct):
    """What was counted in one place. ``numbers["calls"]`` is a fact by its name."""

    facts: Facts
    sketches: Sketches | None = None
    charges: dict[str, Charged] = {}

    def __getitem__(self, name: str) -> int:
        return self.facts[INDEX[name]]


class Part(msgspec.Struct, kw_only=True):
    """One group: its names in the order asked for, its total over the span, over the span before, its series."""

    names: tuple[str, ...]
    total: Numbers
    before: Numbers | None
    series: list[Numbers]


class Gathered(msgspec.Struct, kw_only=True):
    """All numbers of one answer.

    ``starts`` are the buckets' (UTC µs), in the order of every ``series``. ``others`` is what the total has beyond
    the groups shown, None when it has no more or when groups overlap. ``groups_total`` counts all groups.
    ``overlapping``: a call may stand in several groups, so that they sum to more than the total.
    """

    span: AnswerSpan
    starts: list[int]
    total: Numbers
    before: Numbers | None
    series: list[Numbers]
    groups: list[Part]
    others: Part | None
    groups_total: int
    overlapping: bool


def gather(conn: sqlite3.Connection, ask: Ask, wants: Wants, cache: Cache | None = None) -> Gathered:
    """Everything of a report, read in one transaction; ``cache`` is for further questions in the same one.

    Raises ``spans.BadAsk`` and ``plan.TooMuch``.
    """
    check(ask)
    span = spans.choose(spans.Span(ask.start, ask.until, ask.zone, ask.step), _least(ask))
    if ask.step == "auto" and wants.sketches and ask.group:
        span = _coarser(span, min(_QUANTILED, MOST_SPREADS // ask.top))
    _bound(ask, span, MOST_SPREADS if wants.sketches else MOST_POINTS)
    with view(conn):
        return _Gathering(conn, ask, wants, span, cache or Cache()).all()


def check(ask: Ask) -> None:
    """Raise BadAsk for groups, filters and a top that cannot be answered."""
    known = f"choose of {', '.join(DIMENSIONS)}"
    if len(ask.group) > MOST_GROUPS or len(set(ask.group)) < len(ask.group):
        raise spans.BadAsk("group", f"groups are made by at most {MOST_GROUPS} different dimensions: {known}")
    for name in ask.group:
        if name not in DIMENSIONS:
            raise spans.BadAsk("group", f"{name[:60]!r} is no dimension to group by: {known}")
    for name, names in ask.filters.items():
        if name not in DIMENSIONS:
            raise spans.BadAsk("filter", f"{name[:60]!r} is no dimension to filter by: {known}")
        if len(names) > MOST_NAMES:
            raise spans.BadAsk(name, f"at most {MOST_NAMES} names at a time can be filtered by")
        if name == "status" and not all(_is_status(one) for one in names):
            raise spans.BadAsk(
                name, "a status is a number such as 429, all of a hundred (4xx), or empty for none"
            )
        if name == "tag" and len(set(names)) > 1:
            raise spans.BadAsk(name, "filter by one tag at a time: a call with two of them would count twice")
    if not 1 <= ask.top <= MOST_TOP:
        raise spans.BadAsk("top", f"it is a number of groups from 1 to {MOST_TOP}")


def _is_status(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit()) or bool(dimensions.HUNDRED.fullmatch(text))


def _bound(ask: Ask, span: spans.Span, most: int) -> None:
    """Refuse more groups of more steps than can be told."""
    steps = len(spans.buckets(span)) - 1
    if ask.group and steps > 1 and ask.top * steps > most:
        raise spans.BadAsk(
            "top",
            f"{ask.top} groups of {steps:,} steps each are {ask.top * steps:,} points, and {most:,} are told at"
            f" most: ask for up to {max(most // steps, 1)} groups (top), or for longer steps (step)",
        )


def _least(ask: Ask) -> str:
    """The shortest step that sums by these dimensions are kept for: shorter ones would be added up call by call."""
    union = {*ask.group, *ask.filters}
    if len(union) < 2:
        return "minute"
    return "day" if "tag" in union else "hour"


def _coarser(span: spans.Span, most: int) -> spans.Span:
    """Steps so long that there are ``most``, for quantiles of groups: each group's and bucket's are worked out alone.

    Days that are not those of UTC are fewer still: they are merged from hours, while a week holds six days of UTC
    whole.
    """
    while span.step != "month":
        bounds = spans.buckets(span)
        odd = span.step == "day" and len(bounds) > _DAYS and bounds[1] % Grain.DAY.span
        if len(bounds) - 1 <= most and not odd:
            break
        span = spans.choose(
            spans.Span(span.start, span.until, span.zone, "auto"),
            spans.STEPS[spans.STEPS.index(span.step) + 1],
        )
    return span


class _Gathering:
    """The reading of one answer."""

    def __init__(
        self, conn: sqlite3.Connection, ask: Ask, wants: Wants, span: spans.Span, cache: Cache
    ) -> None:
        self._conn = conn
        self._ask = ask
        self._wants = wants
        self._span = span
        self._cache = cache
        self._bounds = tuple(spans.buckets(span))
        self._whole = (span.start, span.until)
        earlier = spans.before(span)
        self._before = (earlier.start, earlier.until)

    def all(self) -> Gathered:
        """Every part of the answer."""
        ask = self._ask
        found = self._read(self._bounds)
        series = [_numbers(found, place) for place in range(len(self._bounds) - 1)]
        total = series[0]
        if len(series) > 1:
            total = self._merged(series) if self._adds else _numbers(self._read(self._whole), 0)
        before = _numbers(self._read(self._before), 0) if ask.compare else None
        groups: list[Part] = []
        count = 0
        if ask.group:
            groups, count = self._groups()
        overlapping = "tag" in ask.group
        others = None
        if count > len(groups) and not overlapping:
            others = Part(
                names=(),
                total=_less(total, [one.total for one in groups]),
                before=None
                if before is None
                else _less(before, [one.before for one in groups if one.before]),
                series=[
                    _less(one, [part.series[place] for part in groups]) for place, one in enumerate(series)
                ],
            )
        return Gathered(
            span=self._said(),
            starts=list(self._bounds[:-1]),
            total=total,
            before=before,
            series=series,
            groups=groups,
            others=others,
            groups_total=count,
            overlapping=overlapping,
        )

    def _groups(self) -> tuple[list[Part], int]:
        """The largest groups, and how many there are."""
        place = INDEX[self._wants.main]
        by = self._ask.group
        sums = self._read(self._whole, by, plain=True)
        names = {name for _, name in sums.facts} | {name for _, name in sums.charges}
        none = zero()

        def rank(name: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
            return -sums.facts.get((0, name), none)[place], name

        shown = tuple(sorted(names, key=rank)[: self._ask.top])
        if not shown:
            return [], 0
        series = sums
        if self._wants.sketches or len(self._bounds) > 2:
            series = self._read(self._bounds, by, shown)
        before = self._read(self._before, by, shown) if self._ask.compare else None
        buckets = range(len(self._bounds) - 1)
        parts = []
        for name in shown:
            line = [_numbers(series, bucket, name) for bucket in buckets]
            parts.append(
                Part(
                    names=name,
                    total=self._merged(line) if self._adds else _numbers(sums, 0, name),
                    before=None if before is None else _numbers(before, 0, name),
                    series=line,
                )
            )
        return parts, len(names)

    @property
    def _adds(self) -> bool:
        """Whether totals are made of series: sketches merge quicker than they are read again."""
        return self._wants.sketches and not self._wants.charges

    def _merged(self, series: list[Numbers]) -> Numbers:
        """The total of a series."""
        facts, lanes = zero(), [0] * len(METRICS)
        for one in series:
            in_time(self._conn)
            add(facts, one.facts)
            if one.sketches is not None:
                lanes = [have + more for have, more in zip(lanes, one.sketches.lanes, strict=True)]
        return Numbers(facts, Sketches(*lanes) if any(lanes) else None)

    def _read(
        self,
        bounds: tuple[int, ...],
        by: tuple[str, ...] = (),
        only: tuple[tuple[str, ...], ...] = (),
        *,
        plain: bool = False,
    ) -> Found:
        query = Query(
            start=bounds[0],
            until=bounds[-1],
            now=self._ask.now,
            bounds=bounds,
            dimensions=by,
            filters=self._ask.filters,
            facts=self._wants.facts,
            sketches=self._wants.sketches and not plain,
            charges=self._wants.charges and len(bounds) == 2,  # of whole spans: no series tells them
            only=only,
        )
        return collect(self._conn, query, self._cache)

    def _said(self) -> AnswerSpan:
        span = self._span
        return AnswerSpan(
            start=span.start,
            until=span.until,
            from_time=spans.iso(span.start, span.zone),
            until_time=spans.iso(span.until, span.zone),
            zone=span.zone,
            step=span.step,
            as_of=self._ask.now,
            lag=lag(self._conn, self._ask.now),
        )


def _numbers(found: Found, bucket: int, names: tuple[str, ...] = ()) -> Numbers:
    key = (bucket, names)
    return Numbers(found.facts.get(key) or zero(), found.sketches.get(key), found.charges.get(key, {}))


def _less(whole: Numbers, parts: list[Numbers]) -> Numbers:
    """What a whole has beyond its parts."""
    facts = list(whole.facts)
    lanes = list(whole.sketches.lanes) if whole.sketches is not None else None
    charges = {kind: Charged(one.quantity, one.nano, one.unpriced) for kind, one in whole.charges.items()}
    for part in parts:
        facts = [one - other for one, other in zip(facts, part.facts, strict=True)]
        if lanes is not None and part.sketches is not None:
            lanes = [one - other for one, other in zip(lanes, part.sketches.lanes, strict=True)]
        for kind, other in part.charges.items():
            have = charges.setdefault(kind, Charged())
            have.quantity -= other.quantity
            have.nano -= other.nano
            have.unpriced -= other.unpriced
    charges = {kind: one for kind, one in charges.items() if one != Charged()}
    return Numbers(facts, None if lanes is None or not any(lanes) else Sketches(*lanes), charges)
