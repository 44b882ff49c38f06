"""How people's words for keys and budgets are read: names, ends, limits, sums, shares, networks, zones, periods.

Each is a click type, so that a wrong word is wrong usage with a sentence that shows a right one. Where a value may
be taken away again, ``none`` (``never`` for an end) does it.
"""

from __future__ import annotations

import datetime
import decimal
import re
import time
from typing import NoReturn

import click

from gemgate.cli.shown import SECONDS
from gemgate.core import words
from gemgate.core.periods import PERIODS, ROLLING
from gemgate.core.purse import LONGEST, SHORTEST

NONE = "none"
_NANO = 10**9
_MOST = words.MOST_AMOUNT
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def seconds_of(text: str) -> float | None:
    """The seconds of ``90s``, ``24h`` or ``30d``; None for anything else."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])", text.strip())
    return float(found[1]) * SECONDS[found[2]] if found else None


class _Kind(click.ParamType[str]):
    """A click type that fails in a sentence of its own."""

    def refuse(self, sentence: str, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        """Wrong usage."""
        self.fail(sentence, param, ctx)


class Name(_Kind):
    """The name of a key or budget: ASCII without blanks, commas, semicolons, quotes and slashes."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the words."""
        try:
            return words.name(str(value))
        except words.Unfit as fault:
            self.refuse(str(fault), param, ctx)


class Label(_Kind):
    """An owner, a tag or a pattern: printable, without commas, blanks inside made one. Tags are lower case."""

    name = "text"

    def __init__(self, *, lower: bool = False) -> None:
        self._lower = lower

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the words."""
        try:
            return words.label(str(value), lower=self._lower)
        except words.Unfit as fault:
            self.refuse(str(fault), param, ctx)


class Network(_Kind):
    """An address or a range of addresses, in CIDR form; ``none`` stands for itself."""

    name = "network"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the words."""
        text = str(value).strip()
        if text == NONE:
            return text
        try:
            return words.network(text)
        except words.Unfit as fault:
            self.refuse(str(fault), param, ctx)


class Limit(click.ParamType[int]):
    """A whole number above 0, also as 250k or 1M; ``none`` is 0, which sets no limit."""

    name = "limit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the words."""
        if isinstance(value, int):
            return value
        if str(value).strip() == NONE:
            return 0
        found = _tokens(str(value))
        if found is None:
            self.fail(f"{str(value)!r} is no limit; write 60, 250k or 1M, or none.", param, ctx)
        return found


class Tokens(click.ParamType[int]):
    """A number of tokens above 0, as 500000, 250k or 1.5M."""

    name = "tokens"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the words."""
        if isinstance(value, int):
            return value
        found = _tokens(str(value))
        if found is None:
            self.fail(f"{str(value)!r} is no number of tokens; write 500000, 250k or 1.5M.", param, ctx)
        return found


class Money(click.ParamType[int]):
    """Dollars above 0, as 50 or 0.25; nano-dollars."""

    name = "money"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the words."""
        if isinstance(value, int):
            return value
        text = str(value).strip().removeprefix("$").replace("_", "")
        nano = 0
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            nano = int(decimal.Decimal(text) * _NANO)
        if not 0 < nano <= _MOST:
            self.fail(f"{str(value)!r} is no sum in dollars; write 50 or 0.25.", param, ctx)
        return nano


class Share(click.ParamType[float]):
    """A share as 80% or 0.8; ``none`` is 1.0: no soft line."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the words."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if text == NONE:
            return 1.0
        found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*(%?)", text)
        share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
        if not 0 < share <= 1:
            self.fail(f"{text!r} is no share; write 80% or 0.8, or none.", param, ctx)
        return share


class Grace(click.ParamType[float]):
    """A time that goes on from now, as 24h or 7d; seconds. 0 ends at once."""

    name = "grace"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the words."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        found = 0.0 if text == "0" else seconds_of(text)
        if found is None or found > LONGEST:
            self.fail(f"{text!r} is no time of at most 366d; write 90m, 24h or 7d, or 0.", param, ctx)
        return found


class End(click.ParamType[int]):
    """A moment to come, as 30d from now or as a date; UTC µs. ``never`` is 0.

    A date or time without zone is this machine's; a date alone ends with that day.
    """

    name = "end"

    def __init__(self, now: int | None = None) -> None:
        self._now = now

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the words."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text == "never":
            return 0
        now = self._now or time.time_ns() // 1000
        try:
            at = _moment(text, now)
        except (ValueError, OverflowError, OSError):
            sentence = (
                f"{text!r} is no moment to come; write 12h, 30d, 2027-12-31 or 2027-12-31T18:00, or never."
            )
            self.fail(sentence, param, ctx)
        if at <= now:
            self.fail(f"{text!r} is past.", param, ctx)
        return at


class Period(click.ParamType[tuple[str, int]]):
    """``hour``, ``day``, ``week``, ``month``, or a rolling span such as 24h or 30d; (period, seconds)."""

    name = "period"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Read the words."""
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        if text in PERIODS:
            return text, 0
        seconds = seconds_of(text)
        if seconds is None or not SHORTEST <= seconds <= LONGEST:
            sentence = "write hour, day, week or month, or a rolling span from 1m to 366d, like 24h or 30d."
            self.fail(f"{text!r} is no period; {sentence}", param, ctx)
        return ROLLING, int(seconds)


class Zone(_Kind):
    """A time zone by its IANA name."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the words."""
        try:
            return words.zone(str(value))
        except words.Unfit as fault:
            self.refuse(str(fault), param, ctx)


def _tokens(text: str) -> int | None:
    """A whole number above 0, with k, M or G; None for anything else."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,6})?)\s*([kmgb]?)", text.strip().replace("_", "").lower())
    if found is None:
        return None
    amount = decimal.Decimal(found[1]) * _FACTORS[found[2]]
    return int(amount) if amount == int(amount) and 0 < amount <= _MOST else None


def _moment(text: str, now: int) -> int:
    """A span from now, a day's end or a moment. Raises ValueError, OverflowError, OSError."""
    seconds = seconds_of(text)
    if seconds is not None:
        return now + int(seconds * 1e6)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        day = datetime.date.fromisoformat(text) + datetime.timedelta(days=1)
        return int(datetime.datetime.combine(day, datetime.time()).astimezone().timestamp() * 1e6)
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1e6)
