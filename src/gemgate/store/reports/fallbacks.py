"""How calls found another way: tried again, switched to another target, rescued, raced; and from where to where.

A call counts at its final target, its tries where they were. ``flows`` are the tries that did not answer, each with
the target that its call went to next (empty: nowhere, the call ended there).
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.insight.spans import iso
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.facts import view
from gemgate.store.reports.failed import Failure, failures
from gemgate.store.reports.gathered import Gathered, Numbers, Part, Wants, gather

_COUNTS: Final = (
    "calls",
    "ok",
    "tries",
    "tries_failed",
    "retried",
    "switched",
    "rescued",
    "hedged",
    "hedges_won",
    "waited",
    "failed_list_nano",
    "failed_billed_nano",
    "hedged_list_nano",
    "hedged_billed_nano",
)
_WANTS: Final = Wants(facts=_COUNTS, main="retried")


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of calls and tries; ``waited`` is µs before tries; money in nano-dollars.

    ``retried`` calls had two tries or more, ``switched`` ended at another target than they began with, ``rescued``
    were answered though a try before had failed; ``hedged`` calls raced two tries, of which the second won in
    ``hedges_won``. The money is that of tries that failed or lost a race.
    """

    calls: int
    ok: int
    tries: int
    tries_failed: int
    retried: int
    switched: int
    rescued: int
    hedged: int
    hedges_won: int
    waited: int
    failed_list_nano: int
    failed_billed_nano: int
    hedged_list_nano: int
    hedged_billed_nano: int


class WayPoint(Ways, frozen=True, kw_only=True):
    """One bucket of a series: its start (UTC µs, and ISO 8601 in the zone) and its counts."""

    start: int
    time: str


class WayGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group, by the names of its dimensions in the order asked for."""

    names: tuple[str, ...]
    total: Ways
    before: Ways | None
    series: tuple[WayPoint, ...]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Tries that left one target for the same reason, and the target that their calls tried next ("" nowhere)."""

    model: str
    project: str
    next_model: str
    next_project: str
    verdict: str
    reason: str
    tries: int
    list_nano: int
    billed_nano: int


class FallbackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls of a span found another way. ``flows`` are the most frequent, ``flows_total`` counts all."""

    span: AnswerSpan
    total: Ways
    before: Ways | None
    series: tuple[WayPoint, ...]
    groups: tuple[WayGroup, ...]
    others: WayGroup | None
    groups_total: int
    overlapping: bool
    flows: tuple[Flow, ...]
    flows_total: int


def report(conn: sqlite3.Connection, ask: Ask) -> FallbackAnswer:
    """How calls found another way. Raises ``spans.BadAsk`` and ``plan.TooMuch``.

    ``flows`` follow filters by model and project (of the try that failed); others do not apply to them.
    """
    with view(conn):
        found = gather(conn, ask, _WANTS)
        flows = _flows(failures(conn, ask))
    return FallbackAnswer(
        span=found.span,
        total=_ways(found.total),
        before=_ways(found.before) if found.before is not None else None,
        series=_series(found, found.series),
        groups=tuple(_group(found, part) for part in found.groups),
        others=_group(found, found.others) if found.others is not None else None,
        groups_total=found.groups_total,
        overlapping=found.overlapping,
        flows=tuple(flows[: ask.top]),
        flows_total=len(flows),
    )


def _flows(failed: list[Failure]) -> list[Flow]:
    """One for each way, the most frequent first; status does not tell ways apart."""
    sums: dict[tuple[str, str, str, str, str, str], list[int]] = {}
    for one in failed:
        way = (one.model, one.project, one.next_model, one.next_project, one.verdict, one.reason)
        have = sums.setdefault(way, [0, 0, 0])
        for place, more in enumerate((one.tries, one.list_nano, one.billed_nano)):
            have[place] += more
    ranked = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        Flow(
            model=model,
            project=project,
            next_model=next_model,
            next_project=next_project,
            verdict=verdict,
            reason=reason,
            tries=tries,
            list_nano=list_nano,
            billed_nano=billed_nano,
        )
        for (model, project, next_model, next_project, verdict, reason), (
            tries,
            list_nano,
            billed_nano,
        ) in ranked
    ]


def _group(found: Gathered, part: Part) -> WayGroup:
    return WayGroup(
        names=part.names,
        total=_ways(part.total),
        before=_ways(part.before) if part.before is not None else None,
        series=_series(found, part.series),
    )


def _ways(numbers: Numbers) -> Ways:
    return Ways(**{name: numbers[name] for name in _COUNTS})


def _series(found: Gathered, series: list[Numbers]) -> tuple[WayPoint, ...]:
    return tuple(
        WayPoint(start=start, time=iso(start, found.span.zone), **{name: numbers[name] for name in _COUNTS})
        for start, numbers in zip(found.starts, series, strict=True)
    )
