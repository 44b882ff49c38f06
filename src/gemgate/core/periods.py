"""The periods of budgets: when one begins and ends, in any zone of the IANA database. Times are UTC microseconds.

Laws:

- the start of a period is never after the moment asked about, its end always is;
- starts never go back as time goes on, and at the end of a period another start begins;
- a day begins at the first moment of its date, however long clocks make it (23, 24 or 25 hours); a week begins on
  Monday, as ISO 8601 has it; an hour begins when the minutes of the zone's clock are 0.

Zones are facts in files, as the catalogue of models is: they are read once and remembered by ``zoneinfo``.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Final

from gemgate.core.windows import SECOND

PERIODS: Final = ("hour", "day", "week", "month")
"""The periods that follow the calendar."""
ROLLING: Final = "rolling"
"""The period that is a span of so many seconds up to now."""
GRAINS: Final = 60
"""A rolling span is counted in so many grains."""
_HOUR = 3600 * SECOND
_UTC = datetime.UTC
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=_UTC)
_TICK = datetime.timedelta(microseconds=1)


def zone(name: str) -> zoneinfo.ZoneInfo:
    """A zone by its IANA name. Raises ValueError where there is none of that name."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"{name!r} is no time zone of the IANA database, such as Europe/Berlin") from None


def span(period: str, name: str, at: int) -> tuple[int, int]:
    """The start and the end of the calendar's period around a moment, in the zone of that name.

    Raises ValueError for a period that is none of ``PERIODS`` and for an unknown zone.
    """
    where = zone(name)
    here = (_EPOCH + datetime.timedelta(microseconds=at)).astimezone(where)
    if period == "hour":
        past = (here.minute * 60 + here.second) * SECOND + here.microsecond
        return at - past, at - past + _HOUR  # clocks change where one of their hours ends
    first = _first(period, here.date())
    return _midnight(first, where), _midnight(_next(period, first), where)


def grain(seconds: int) -> int:
    """The width (µs) of one grain of a rolling span; 1 s at least."""
    return max(SECOND, seconds * SECOND // GRAINS)


def rolling(seconds: int) -> int:
    """How long (µs) a grain counts from its end on: the span, rounded up to whole grains."""
    width = grain(seconds)
    return -(-seconds * SECOND // width) * width


def _first(period: str, day: datetime.date) -> datetime.date:
    if period == "day":
        return day
    if period == "week":
        return day - datetime.timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    raise ValueError(f"{period!r} is no period: choose one of {', '.join(PERIODS)}")


def _next(period: str, first: datetime.date) -> datetime.date:
    if period == "month":
        return (first + datetime.timedelta(days=32)).replace(day=1)
    return first + datetime.timedelta(days=7 if period == "week" else 1)


def _midnight(day: datetime.date, where: zoneinfo.ZoneInfo) -> int:
    """The first moment of a date. Of a midnight that clocks leap over it is the leap, of one that comes twice the
    first: what ``fold=0`` means."""
    return (datetime.datetime(day.year, day.month, day.day, tzinfo=where) - _EPOCH) // _TICK
