"""What went wrong: calls that did not end well, by what they met, and tries that failed, by target.

Laws:

- an error is a call that ended ``refused``, ``failed``, ``cut`` or ``interrupted``; one that its client left is
  ``cancelled``, which is told beside and is no error;
- calls count at their final target, tries at their own: a call that another target rescued is no error, its failed
  try stands among ``tries``.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from gemgate.core.actions import RULES
from gemgate.core.remedies import remedy
from gemgate.insight.facts import INDEX
from gemgate.insight.plan import TooMuch
from gemgate.insight.spans import iso
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.facts import Query, collect, view
from gemgate.store.reports.failed import Failure, failures
from gemgate.store.reports.gathered import Gathered, Numbers, Part, Wants, gather
from gemgate.store.reports.rows import Cache

_ERRORS: Final = ("refused", "failed", "cut", "interrupted")
_COUNTS: Final = ("calls", "ok", *_ERRORS, "cancelled", "tries", "tries_failed")


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of calls by how they ended, and of tries. ``share`` is errors among calls, None where none were."""

    calls: int
    errors: int
    share: float | None
    ok: int
    refused: int
    failed: int
    cut: int
    interrupted: int
    cancelled: int
    tries: int
    tries_failed: int


class ErrorPoint(Errors, frozen=True, kw_only=True):
    """One bucket of a series: its start (UTC µs, and ISO 8601 in the zone) and its counts."""

    start: int
    time: str


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group, by the names of its dimensions in the order asked for."""

    names: tuple[str, ...]
    total: Errors
    before: Errors | None
    series: tuple[ErrorPoint, ...]


class ErrorKind(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that ended with one reason; ``meaning`` is what gemgate does about it, ``remedy`` what people can do."""

    reason: str
    calls: int
    meaning: str
    remedy: str


class FailedTries(msgspec.Struct, frozen=True, kw_only=True):
    """Tries of one target that failed in the same way; money in nano-dollars, as far as it is known."""

    model: str
    project: str
    verdict: str
    reason: str
    status: int
    tries: int
    list_nano: int
    billed_nano: int
    meaning: str
    remedy: str


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong in a span.

    ``kinds`` are the reasons of calls, also of those that their clients left, the most frequent first; None where
    telling them apart would need too many rows read. ``tries`` are those that failed, by target.
    """

    span: AnswerSpan
    total: Errors
    before: Errors | None
    series: tuple[ErrorPoint, ...]
    groups: tuple[ErrorGroup, ...]
    others: ErrorGroup | None
    groups_total: int
    overlapping: bool
    kinds: tuple[ErrorKind, ...] | None
    kinds_total: int | None
    tries: tuple[FailedTries, ...]
    tries_total: int


def report(conn: sqlite3.Connection, ask: Ask) -> ErrorAnswer:
    """What went wrong. Raises ``spans.BadAsk`` and ``plan.TooMuch``.

    ``tries`` follow filters by model and project alone.
    """
    main = "calls" if "reason" in ask.group else "tries_failed"
    cache = Cache()
    with view(conn):
        found = gather(conn, ask, Wants(facts=_COUNTS, main=main), cache)
        kinds = _kinds(conn, ask, cache)
        tries = _tries(failures(conn, ask))
    return ErrorAnswer(
        span=found.span,
        total=_errors(found.total),
        before=_errors(found.before) if found.before is not None else None,
        series=_series(found, found.series),
        groups=tuple(_group(found, part) for part in found.groups),
        others=_group(found, found.others) if found.others is not None else None,
        groups_total=found.groups_total,
        overlapping=found.overlapping,
        kinds=None if kinds is None else kinds[: ask.top],
        kinds_total=None if kinds is None else len(kinds),
        tries=tries[: ask.top],
        tries_total=len(tries),
    )


def _kinds(conn: sqlite3.Connection, ask: Ask, cache: Cache) -> tuple[ErrorKind, ...] | None:
    """The reasons of the calls asked for, the most frequent first; None where that reads too many calls."""
    query = Query(
        start=ask.start,
        until=ask.until,
        now=ask.now,
        dimensions=("reason",),
        filters=ask.filters,
        facts=("calls",),
    )
    try:
        found = collect(conn, query, cache).facts
    except TooMuch:
        return None
    counted = [(reason, facts[INDEX["calls"]]) for (_, (reason,)), facts in found.items()]
    return tuple(
        ErrorKind(reason=reason, calls=calls, meaning=_meaning(reason), remedy=remedy(reason))
        for reason, calls in sorted(counted, key=lambda one: (-one[1], one[0]))
        if reason and calls
    )


def _tries(failed: list[Failure]) -> tuple[FailedTries, ...]:
    """One for each way to fail at a target, the most frequent first; where calls went next does not matter."""
    sums: dict[tuple[str, str, str, str, int], list[int]] = {}
    for one in failed:
        have = sums.setdefault((one.model, one.project, one.verdict, one.reason, one.status), [0, 0, 0])
        for place, more in enumerate((one.tries, one.list_nano, one.billed_nano)):
            have[place] += more
    ranked = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(
        FailedTries(
            model=model,
            project=project,
            verdict=verdict,
            reason=reason,
            status=status,
            tries=tries,
            list_nano=list_nano,
            billed_nano=billed_nano,
            meaning=_meaning(reason),
            remedy=remedy(reason),
        )
        for (model, project, verdict, reason, status), (tries, list_nano, billed_nano) in ranked
    )


def _meaning(reason: str) -> str:
    rule = RULES.get(reason)
    return rule.sentence if rule is not None else ""


def _group(found: Gathered, part: Part) -> ErrorGroup:
    return ErrorGroup(
        names=part.names,
        total=_errors(part.total),
        before=_errors(part.before) if part.before is not None else None,
        series=_series(found, part.series),
    )


def _errors(numbers: Numbers) -> Errors:
    return Errors(**_counted(numbers))


def _series(found: Gathered, series: list[Numbers]) -> tuple[ErrorPoint, ...]:
    return tuple(
        ErrorPoint(start=start, time=iso(start, found.span.zone), **_counted(numbers))
        for start, numbers in zip(found.starts, series, strict=True)
    )


def _counted(numbers: Numbers) -> dict[str, Any]:
    counts: dict[str, Any] = {name: numbers[name] for name in _COUNTS}
    errors = sum(numbers[name] for name in _ERRORS)
    return {**counts, "errors": errors, "share": errors / numbers["calls"] if numbers["calls"] else None}
