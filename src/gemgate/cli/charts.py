"""What reports over a span look like: figures with their units, small curves, bars, and tables of groups."""

from __future__ import annotations

import datetime
import decimal
import itertools
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from gemgate.cli.screen import Column, screen, table
from gemgate.cli.shown import plain
from gemgate.core.explain import span
from gemgate.store.reports.asked import AnswerSpan

CURVE = 24
"""The most cells of a curve."""
_BAR = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NANO = decimal.Decimal(10**9)
Figure = float | int | None


def count(number: Figure) -> str:
    """A number of things: whole, with its thousands parted."""
    return "–" if number is None else f"{number:,}"


def tokens(number: int | None) -> str:
    """A number of tokens where room is short: 812, 12.3k, 4.56M, 7.89G."""
    if number is None:
        return "–"
    for factor, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= factor:
            return (
                f"{number / factor:.3g}{unit}" if number < 1_000 * factor else f"{number / factor:,.0f}{unit}"
            )
    return f"{number:,}"


def money(nano: int | None) -> str:
    """Dollars: cents from a dollar on, below it two digits that say something."""
    if nano is None:
        return "–"
    amount = decimal.Decimal(nano) / _NANO
    sign = "-" if amount < 0 else ""
    amount = abs(amount)
    places = 2 if amount >= 1 or not amount else max(2, 1 - amount.adjusted())
    return f"{sign}${amount:,.{places}f}"


def priced(nano: int | None, unpriced: int) -> str:
    """Money of tries of which some have no known price: it is at least this, and never a sum of 0."""
    if nano is None or not unpriced:
        return money(nano)
    return f"≥ {money(nano)}" if nano else "unpriced"


def share(part: int, whole: int) -> str:
    """A part of a whole in percent; one that is more than nothing never looks like nothing."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return "<0.1%" if 0 < percent < 0.05 else f"{percent:.1f}%"


def change(now: Figure, before: Figure) -> str:
    """How much more or less than before, in percent."""
    if now is None or before is None:
        return "–"
    if not before:
        return "new" if now else "same"
    percent = 100 * (now - before) / before
    if not percent:
        return "same"
    return f"{percent:+,.0f}%" if abs(percent) >= 10 else f"{percent:+.1f}%"


def curve(values: Sequence[Figure], width: int = CURVE) -> str:
    """The course of a series in at most ``width`` cells: its height is the mean of what a cell covers.

    A cell in which nothing was measured is blank; a series without any number, or of one step, is no curve.
    """
    if len(values) < 2 or all(one is None for one in values):
        return ""
    cells = min(len(values), width)
    bounds = [place * len(values) // cells for place in range(cells + 1)]
    means: list[float | None] = []
    for low, high in itertools.pairwise(bounds):
        known = [one for one in values[low:high] if one is not None]
        means.append(sum(known) / len(known) if known else None)
    most = max(one for one in means if one is not None)
    return "".join(" " if one is None else _HEIGHTS[_height(one, most)] for one in means)


def _height(value: float, most: float) -> int:
    """Of eight: the lowest is nothing, so that anything more stands out."""
    if value <= 0 or most <= 0:
        return 0
    return max(1, round(value / most * (len(_HEIGHTS) - 1)))


def bar(part: int, whole: int, width: int = _BAR) -> str:
    """A part of a whole as a bar of at most ``width`` cells; more than nothing is at least a sliver."""
    if part <= 0 or whole <= 0:
        return ""
    eighths = max(1, min(round(part / whole * width * 8), width * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def week(calls: Sequence[int]) -> list[str]:
    """The 168 hours of a week as a line for each day, under a line of the hours."""
    most = max(calls, default=0)
    rule = "    " + "".join(f"{hour:<6}" for hour in range(0, 24, 3))
    days = []
    for place, name in enumerate(_DAYS):
        hours = calls[place * 24 : place * 24 + 24]
        days.append(f"{name} " + "".join((_HEIGHTS[_height(one, most)] if one else "·") * 2 for one in hours))
    return [rule, *days]


def named(names: Iterable[str]) -> list[str]:
    """The names of a group, able to stand in a table."""
    return [plain(one) or "(none)" for one in names]


def clock(micros: int, zone: str, step: str = "minute") -> str:
    """A moment on the zone's clocks, as fine as a step needs."""
    there = datetime.datetime.fromtimestamp(micros / 1e6, zoneinfo.ZoneInfo(zone))
    return f"{there:%Y-%m-%d}" if step in ("day", "week", "month") else f"{there:%Y-%m-%d %H:%M}"


class Line(NamedTuple):
    """One number of a total: what it is, how it is said, the number now, in the span before, and step by step."""

    label: str
    say: Callable[[Any], str]
    now: Figure
    before: Figure = None
    series: Sequence[Figure] = ()


class Sheet:
    """What a report prints: a heading, its total with curves, its steps, its groups, and notes."""

    def __init__(self, title: str, about: AnswerSpan) -> None:
        self._out = screen()
        self._about = about
        low, high = clock(about.start, about.zone), clock(about.until, about.zone)
        step = (
            ""
            if about.step == "none"
            else f", by {'quarter of an hour' if about.step == 'quarter' else about.step}"
        )
        self._out.print(Text.assemble((title, "bold"), f"  {low} to {high} {about.zone}{step}"))

    def line(self, text: str = "", style: str = "") -> None:
        """One line of words."""
        self._out.print(Text(plain(text), style=style))

    def totals(self, lines: Sequence[Line], compared: bool) -> None:
        """A row for each number: what it is, how much, its course; with a span before, how much then."""
        columns = [Column(""), Column("TOTAL", right=True)]
        if compared:
            columns += [Column("BEFORE", right=True), Column("CHANGE", right=True)]
        columns.append(Column("COURSE", leaves=1))
        rows = []
        for one in lines:
            then = [one.say(one.before), change(one.now, one.before)] if compared else []
            rows.append([one.label, one.say(one.now), *then, curve(one.series)])
        self.table(columns, rows)

    def steps(self, columns: Sequence[Column], starts: Sequence[int], rows: Sequence[Sequence[str]]) -> None:
        """A row for each step of the series, where a step was asked for."""
        when = [clock(start, self._about.zone, self._about.step) for start in starts]
        first = Column(f"FROM ({self._about.zone})")
        self.table((first, *columns), [(at, *row) for at, row in zip(when, rows, strict=True)])

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """A table after an empty line; nothing where there are no rows."""
        if rows:
            self._out.print()
            self._out.print(table(columns, rows, self._out.width))

    def groups(self, total: int, shown: int, overlapping: bool) -> None:
        """What must be said of groups: how many there are, and that tags overlap."""
        if total > shown:
            self.line(f"{shown:,} of {total:,} groups are shown; --top shows more.", "dim")
        if overlapping:
            self.line(
                "A call with several tags stands in several groups: they sum to more than the total.", "dim"
            )

    def end(self) -> None:
        """How fresh the numbers are, where that matters."""
        if self._about.lag > 60_000_000:
            self.line(
                f"The sums are {span(self._about.lag / 1e6)} behind, so newer calls were read one by one.",
                "dim",
            )
