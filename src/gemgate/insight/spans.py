"""Spans of time as people name them, cut into buckets by the clocks of a zone. Times are UTC microseconds.

Laws:

- the bounds of a span's buckets begin with its start, rise, and end with its end: every moment of the span lies in
  exactly one bucket, whatever the clocks do;
- a bound inside the span is one of the zone's own minutes, hours, days, weeks (from Monday) or months;
- the first and the last bucket are as short as the span cuts them.
"""

from __future__ import annotations

import datetime
import re
from typing import Final

import msgspec

from gemgate.core import periods
from gemgate.core.windows import SECOND

STEPS: Final = ("none", "minute", "quarter", "hour", "day", "week", "month", "auto")
"""How a series may be cut; ``quarter`` is that of an hour, ``none`` one bucket, ``auto`` what shows most."""
MOST_DAYS: Final = 400
"""The longest span that is answered."""
MOST_BUCKETS: Final = 1_000
"""The longest series that is answered."""
_CHOSEN: Final = 170  # the hours of a week, with one to spare where clocks change
_DAY: Final = 86_400 * SECOND
_FIXED: Final = {"minute": 60 * SECOND, "quarter": 900 * SECOND}
_SHORTEST: Final = {"hour": 1_800 * SECOND, "day": _DAY // 2, "week": 6 * _DAY, "month": 27 * _DAY}
_UNITS: Final = {"s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": _DAY, "w": 7 * _DAY}
_AGO: Final = re.compile(r"-(\d{1,9})([smhdw])")
_MICROS: Final = re.compile(r"\d{12,18}")
# A plus sign in a query string that nobody quoted arrives as a space.
_UNQUOTED: Final = re.compile(r"(T\d\d:.*) (\d\d:?\d\d)")
_UTC: Final = datetime.UTC
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=_UTC)
_TICK: Final = datetime.timedelta(microseconds=1)
_FIRST: Final = 365 * _DAY  # 1971
_LAST: Final = 365 * _DAY * 1_030  # about the year 3000
_FORMS: Final = "write now, -24h, -7d, a date such as 2026-11-23, or an ISO time such as 2026-11-23T10:00:00Z"


class BadAsk(ValueError):
    """A question that makes no sense: ``field`` is its name, ``sentence`` what is wrong and what would be right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field
        self.sentence = sentence


class Span(msgspec.Struct, frozen=True):
    """``[start, until)``, and how it is cut: a zone's IANA name and one of ``STEPS``."""

    start: int
    until: int
    zone: str = "UTC"
    step: str = "none"


def moment(text: str, field: str, zone: str, now: int) -> int:
    """The moment that a person means.

    ``now``, ``-30m`` (also s, h, d of 24 hours, w), a date (its first moment in the zone), an ISO 8601 time (in the
    zone, unless it says its offset), or UTC µs as a number. Raises BadAsk that names ``field``.
    """
    words = text.strip()
    ago = _AGO.fullmatch(words)
    if words == "now":
        at = now
    elif ago is not None:
        at = now - int(ago[1]) * _UNITS[ago[2]]
    elif _MICROS.fullmatch(words):
        at = int(words)
    else:
        at = _dated(words, field, zone)
    if not _FIRST <= at <= _LAST:
        raise BadAsk(field, f"{text!r} is no moment between the years 1971 and 2999; {_FORMS}")
    return at


def _dated(words: str, field: str, zone: str) -> int:
    try:
        when = datetime.datetime.fromisoformat(_UNQUOTED.sub(r"\1+\2", words))
    except ValueError:
        raise BadAsk(field, f"{words[:60]!r} is no time: {_FORMS}") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=_zone(zone))
    try:
        return (when - _EPOCH) // _TICK
    except OverflowError:
        raise BadAsk(field, f"{words[:60]!r} is no time that can be counted: {_FORMS}") from None


def read(since: str, until: str, *, zone: str, step: str, now: int) -> Span:
    """The span from ``from`` to ``to`` as people wrote them. Raises BadAsk, naming ``from``, ``to``, ``zone``
    or ``step``."""
    _zone(zone)
    span = Span(moment(since, "from", zone, now), moment(until, "to", zone, now), zone, step)
    return choose(span)


def choose(span: Span, least: str = "minute") -> Span:
    """The same span with ``auto`` decided: the shortest step, ``least`` or longer, that makes at most some hundred
    buckets.

    Raises BadAsk when the span, its zone or its step cannot be answered.
    """
    _check(span)
    if span.step != "auto":
        _counted(span)
        return span
    for step in STEPS[STEPS.index(least) : -2]:
        chosen = Span(span.start, span.until, span.zone, step)
        if _most(chosen) <= _CHOSEN or (_least(chosen) <= _CHOSEN and len(_bounds(chosen)) - 1 <= _CHOSEN):
            return chosen
    return Span(span.start, span.until, span.zone, "month")


def buckets(span: Span) -> list[int]:
    """The bounds of the span's buckets, one more than there are buckets. Raises BadAsk as ``choose`` does."""
    chosen = choose(span)
    return _bounds(chosen)


def before(span: Span) -> Span:
    """The span of the same length that ends where this one starts."""
    return Span(2 * span.start - span.until, span.start, span.zone, span.step)


def week_hours(span: Span) -> tuple[list[int], list[int]]:
    """The span cut at every hour of the zone's clocks: the bounds, and for each piece its hour of the week.

    Hour 0 begins with Monday; an hour that clocks leap over or repeat is as they make it.
    """
    zone = _zone(span.zone)
    bounds: list[int] = [span.start]
    hours: list[int] = []
    at = span.start
    while at < span.until:
        here = (_EPOCH + datetime.timedelta(microseconds=at)).astimezone(zone)
        past = (here.minute * 60 + here.second) * SECOND + here.microsecond
        at = min(at - past + _UNITS["h"], span.until)
        bounds.append(at)
        hours.append(here.weekday() * 24 + here.hour)
    return bounds, hours


def iso(at: int, zone: str) -> str:
    """A moment in ISO 8601 with the zone's offset then. Raises BadAsk for an unknown zone."""
    return (_EPOCH + datetime.timedelta(microseconds=at)).astimezone(_zone(zone)).isoformat()


def _zone(name: str) -> datetime.tzinfo:
    try:
        return periods.zone(name)
    except ValueError as fault:
        raise BadAsk("zone", str(fault)) from None


def _check(span: Span) -> None:
    _zone(span.zone)
    if span.step not in STEPS:
        raise BadAsk("step", f"{span.step!r} is no step: choose one of {', '.join(STEPS)}")
    for field, at in (("from", span.start), ("to", span.until)):
        if not _FIRST - MOST_DAYS * _DAY <= at <= _LAST:
            raise BadAsk(field, "it is no moment between the years 1971 and 2999")
    if span.until <= span.start:
        raise BadAsk("to", "the span ends before it begins: to must be later than from")
    if span.until - span.start > MOST_DAYS * _DAY:
        raise BadAsk("from", f"the span is longer than {MOST_DAYS} days: ask for less at a time")


def _counted(span: Span) -> None:
    """Raise BadAsk for too many buckets, without making them all."""
    if _most(span) <= MOST_BUCKETS:
        return
    if _least(span) > MOST_BUCKETS or len(_bounds(span)) - 1 > MOST_BUCKETS:
        raise BadAsk(
            "step",
            f"steps of one {span.step} make more than {MOST_BUCKETS:,} buckets of this span:"
            " choose a longer step, auto, or a shorter span",
        )


def _most(span: Span) -> int:
    """A number of buckets that it cannot have more of."""
    shortest = _FIXED.get(span.step) or _SHORTEST.get(span.step)
    return 1 if shortest is None else (span.until - span.start) // shortest + 2


def _least(span: Span) -> int:
    """A number of buckets that it cannot have fewer of, to a handful."""
    longest = _FIXED.get(span.step) or 2 * _SHORTEST.get(span.step, span.until)
    return (span.until - span.start) // (longest + 4 * _DAY if span.step == "month" else longest) - 2


def _bounds(span: Span) -> list[int]:
    found = [span.start]
    at = span.start
    width = _FIXED.get(span.step)
    while span.step != "none":
        at = at - at % width + width if width else periods.span(span.step, span.zone, at)[1]
        if at >= span.until:
            break
        found.append(at)
    found.append(span.until)
    return found
