"""What lists of changes and of events have in common: a span, and pages by number, newest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gemgate.api import context, named
from gemgate.insight import cursors
from gemgate.insight.spans import BadAsk, moment

T = TypeVar("T")
Text = Annotated[str, Meta(max_length=200)]


class Spanned(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A list by time."""

    from_: Annotated[
        str,
        Meta(
            max_length=40,
            description="From then on: -1h, -7d, 2026-11-23, ISO 8601, or UTC µs.",
            examples=["-24h"],
        ),
    ] = msgspec.field(default="", name="from")
    to: Annotated[str, Meta(max_length=40, description="Before then, in the same forms.")] = ""
    zone: Annotated[
        str, Meta(max_length=64, description="The IANA time zone that dates and times without one are of.")
    ] = "UTC"
    limit: named.Limit = 50
    cursor: named.Cursor = ""


def span(query: Spanned) -> tuple[int, int]:
    """From and before, UTC µs, 0 for open. Raises BadAsk that names the field."""
    now = context.now()
    start = moment(query.from_, "from", query.zone, now) if query.from_ else 0
    until = moment(query.to, "to", query.zone, now) if query.to else 0
    if until and start >= until:
        raise BadAsk("to", "It must be after from.")
    return start, until


def below(query: Spanned, asked: str) -> int:
    """The number that the page begins under, 0 for the newest. Raises BadAsk for a cursor that is none."""
    if not query.cursor:
        return 0
    try:
        (seq,) = cursors.decode(query.cursor, asked, 1)
    except cursors.BadCursor as bad:
        raise BadAsk("cursor", str(bad)) from None
    if not isinstance(seq, int) or seq < 1:
        raise BadAsk("cursor", "This is no cursor of this list.")
    return seq


def paged(
    found: Sequence[T], query: Spanned, asked: str, seq: Callable[[T], int]
) -> tuple[list[T], str | None]:
    """The page out of what was found, which is one more than the page takes where another follows; and its cursor."""
    shown = list(found[: query.limit])
    more = len(found) > query.limit
    return shown, cursors.encode(asked, (seq(shown[-1]),)) if more else None
