"""The question that all resources over a span are asked in, and how they answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from gemgate.api import context
from gemgate.api.named import wrong
from gemgate.insight import spans
from gemgate.insight.cubes import DIMENSIONS
from gemgate.store.connection import Connection
from gemgate.store.reports.asked import Ask

T = TypeVar("T")
Dimension = Literal["model", "route", "key", "project", "method", "status", "client", "reason", "tag"]
_Text = Annotated[str, Meta(max_length=200)]
_Moment = Annotated[str, Meta(max_length=40)]
_WORDS: Final = (
    "`now`, `-24h` (also s, m, d of 24 hours, w), a date (its first moment in the zone), an ISO 8601 time"
    " (in the zone unless it says its offset), or UTC µs."
)


def _names(what: str) -> Any:
    return Meta(max_length=100, description=f"{what} Given more than once: any of them. Empty: none.")


class SpanQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename={"since": "from"}):
    """A span of time, how it is cut, what it is grouped by and what counts."""

    since: Annotated[_Moment, Meta(description=f"Where the span begins: {_WORDS}", examples=["-7d"])] = "-24h"
    to: Annotated[
        _Moment, Meta(description="Where the span ends, itself not in it. As `from`.", examples=["now"])
    ] = "now"
    zone: Annotated[
        str,
        Meta(
            max_length=60,
            description="IANA name of the zone whose days and hours count.",
            examples=["Europe/Berlin"],
        ),
    ] = "UTC"
    step: Annotated[
        Literal["none", "minute", "quarter", "hour", "day", "week", "month", "auto"],
        Meta(description="How the series is cut; `quarter` is that of an hour. At most 1,000 steps."),
    ] = "auto"
    group: Annotated[
        list[Dimension], Meta(max_length=2, description="Group by this; given twice: by both together.")
    ] = []
    compare: Annotated[bool, Meta(description="Also tell of the span of the same length before.")] = False
    top: Annotated[int, Meta(ge=1, le=100, description="The largest groups shown; `others` is the rest.")] = (
        10
    )
    model: Annotated[list[_Text], _names("Only this model (of the target).")] = []
    route: Annotated[list[_Text], _names("Only this route.")] = []
    key: Annotated[list[_Text], _names("Only this virtual key.")] = []
    project: Annotated[list[_Text], _names("Only this project (of the target).")] = []
    method: Annotated[list[_Text], _names("Only this method.")] = []
    status: Annotated[
        list[_Text], _names("Only this HTTP status, such as 429, or all of a hundred: 4xx.")
    ] = []
    client: Annotated[list[_Text], _names("Only this client program.")] = []
    reason: Annotated[list[_Text], _names("Only calls that ended for this reason.")] = []
    tag: Annotated[list[_Text], Meta(max_length=1, description="Only calls with this tag. Empty: none.")] = []


def answered(query: SpanQuery, report: Callable[[Connection, Ask], T]) -> T:
    """The report's answer, read in one transaction.

    Raises Problem 400 BAD_QUERY with the field at fault, and TooMuch (422) with what to narrow.
    """
    now = context.now()
    try:
        span = spans.read(query.since, query.to, zone=query.zone, step=query.step, now=now)
        ask = Ask(
            start=span.start,
            until=span.until,
            now=now,
            zone=span.zone,
            # Not the span's: which step `auto` means depends on the groups too, so the report chooses.
            step=query.step,
            group=tuple(query.group),
            filters={name: tuple(getattr(query, name)) for name in DIMENSIONS if getattr(query, name)},
            compare=query.compare,
            top=query.top,
        )
        with context.reading() as conn:
            return report(conn, ask)
    except spans.BadAsk as bad:
        raise wrong({bad.field: bad.sentence}, "BAD_QUERY") from None
