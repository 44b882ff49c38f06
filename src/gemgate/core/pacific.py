"""Midnight in California, where Google's days begin, by the rules of US daylight saving time since 2007."""

from __future__ import annotations

import datetime

_EPOCH = datetime.date(1970, 1, 1).toordinal()
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_STANDARD, _SUMMER = 8 * _HOUR, 7 * _HOUR


def midnight(day: datetime.date) -> int:
    """The moment (UTC microseconds) at which ``day`` begins in California."""
    # The clocks change at 02:00: the midnights of both days of change still belong to the time before.
    summer = _sunday(day.year, 3, 2) < day <= _sunday(day.year, 11, 1)
    return (day.toordinal() - _EPOCH) * _DAY + (_SUMMER if summer else _STANDARD)


def day_of(at: int) -> datetime.date:
    """The day in California at a moment (UTC microseconds)."""
    day = datetime.date.fromordinal((at - _STANDARD) // _DAY + _EPOCH)
    if day == datetime.date.max:
        return day
    following = day + datetime.timedelta(days=1)
    return following if midnight(following) <= at else day


def next_midnight(at: int) -> int:
    """The first midnight in California after a moment, both in UTC microseconds."""
    return midnight(day_of(at) + datetime.timedelta(days=1))


def _sunday(year: int, month: int, which: int) -> datetime.date:
    """The first, second … Sunday of a month."""
    first = datetime.date(year, month, 1)
    return first + datetime.timedelta(days=(6 - first.weekday()) % 7 + 7 * (which - 1))
