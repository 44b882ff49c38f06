"""How values are shown to people, and how people's words for moments are read."""

from __future__ import annotations

import datetime
import re
import zoneinfo

import click

from gemgate.core.wording import dollars, plain, sentence, size, span

__all__ = [
    "SECONDS",
    "Day",
    "Since",
    "brief",
    "dollars",
    "iso",
    "moment",
    "plain",
    "sentence",
    "size",
    "span",
    "zoned",
]

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(micros: int) -> str:
    """A UTC time in this machine's zone, to the millisecond."""
    local = datetime.datetime.fromtimestamp(micros / 1e6, datetime.UTC).astimezone()
    return local.strftime("%Y-%m-%d %H:%M:%S.") + f"{micros // 1000 % 1000:03d}"


def brief(micros: int, now: int) -> str:
    """A UTC time in this machine's zone, for where room is short: the second today, the minute before."""
    local, today = (
        datetime.datetime.fromtimestamp(at / 1e6, datetime.UTC).astimezone() for at in (micros, now)
    )
    if local.date() == today.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%m-%d %H:%M" if local.year == today.year else "%Y-%m-%d")


def zoned(micros: int, zone: str) -> str:
    """A UTC time to the minute in a zone of the IANA database, which it names."""
    there = datetime.datetime.fromtimestamp(micros / 1e6, zoneinfo.ZoneInfo(zone))
    return f"{there:%Y-%m-%d %H:%M} {zone}"


def iso(micros: int) -> str:
    """A UTC time in ISO 8601, for programs."""
    at = datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + f".{micros % 1_000_000:06d}Z"


class Since(click.ParamType[int]):
    """A moment as ``1h`` (ago) or in ISO 8601; UTC microseconds. A time without zone is this machine's."""

    name = "moment"

    def __init__(self, now: int | None = None) -> None:
        self._now = now

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the words."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        ago = _SPAN.fullmatch(text)
        if ago:
            now = self._now or int(datetime.datetime.now(datetime.UTC).timestamp() * 1e6)
            return now - int(float(ago[1]) * SECONDS[ago[2]] * 1e6)
        try:
            return int(datetime.datetime.fromisoformat(text).timestamp() * 1e6)
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{text!r} is no moment; write 30m, 1h, 2d, or 2026-11-23 or 2026-11-23T14:00.", param, ctx
            )


class Day(click.ParamType[datetime.date]):
    """A day as 2026-12-01."""

    name = "day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.date:
        """Read the words."""
        try:
            return (
                value if isinstance(value, datetime.date) else datetime.date.fromisoformat(str(value).strip())
            )
        except ValueError:
            self.fail(f"{str(value)!r} is no day; write it as 2026-12-01.", param, ctx)
