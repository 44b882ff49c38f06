"""A batch of calls becomes the sums of a set of cubes (``cubes.SETS``), each in all of its grains.

Laws:

- the sums of two batches that share no call add up to those of both, row by row: any batches, in any order, make
  the same tables;
- longer grains are made from shorter ones, pairs and cells from what calls of one hour and one cell make together;
- minutes older than ``since`` are left out: their sums are no longer kept;
- failures and busy minutes go with the set ``thin``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gemgate.insight.cubes import CELLS, SETS, THIN, Grain
from gemgate.insight.fold import CallFact, Cell, Part, Sums, failures, minutes, parts, places

Place = tuple[int, int, int, "int | Cell", int]
"""Cube, grain (seconds), slot (UTC µs), a, b: which sum. ``a`` of a cell is the cell itself."""
_Gathered = dict[Place, list[Sums]]
_Base = dict[tuple[int, Cell, tuple[int, ...]], Sums]

THIN_SET: Final = "thin"
_MINUTE, _QUARTER, _HOUR, _DAY = (grain.span for grain in Grain)
_LONGER: Final = (Grain.HOUR, Grain.DAY)


class Folded:
    """The sums of a set for one batch; ``failures`` and ``busy`` only of the set ``thin``."""

    __slots__ = ("busy", "failures", "sums")

    def __init__(self) -> None:
        self.sums: dict[Place, Sums] = {}
        self.failures: dict[tuple[int, ...], list[int]] = {}
        self.busy: dict[int, int] = {}

    @property
    def rows(self) -> int:
        """About how many rows of tables it touches."""
        return 2 * len(self.sums) + len(self.failures) + len(self.busy)

    def merge(self, other: Folded) -> None:
        """Add another batch's sums. Only for one that began empty: in what ``Batch.fold`` gives, sums are shared."""
        for place, sums in other.sums.items():
            mine = self.sums.get(place)
            if mine is None:
                mine = self.sums[place] = Sums()
            mine.merge(sums)
        for key, numbers in other.failures.items():
            _add(self.failures, key, numbers)
        for minute, busy in other.busy.items():
            self.busy[minute] = self.busy.get(minute, 0) + busy


class Batch:
    """Calls in the order of their seq, taken apart once for all sets."""

    def __init__(self, calls: Sequence[CallFact], taken: Sequence[list[Part]] | None = None) -> None:
        """``taken`` are the calls' parts, where they are known already."""
        self.calls = calls
        each = map(parts, calls) if taken is None else taken
        self.parts: list[Part] = [part for some in each for part in some]
        self._hours: _Base | None = None

    def fold(self, name: str, since: int) -> Folded:
        """The sums of a set; minutes that begin before ``since`` (UTC µs) are left out."""
        found = Folded()
        if name == THIN_SET:
            _thin(self.parts, since, found)
            for call in self.calls:
                _beside(call, found)
            return found
        if self._hours is None:
            self._hours = _grouped((part.at - part.at % _HOUR, part) for part in self.parts)
        if SETS[name] == (CELLS,):
            gathered: _Gathered = {}
            for (slot, cell, _), sums in self._hours.items():
                gathered.setdefault((CELLS, Grain.HOUR.value, slot, cell, 0), []).append(sums)
            _made(gathered, found.sums)
        else:
            _pairs(self._hours, SETS[name], found)
        return found


def _grouped(found: Iterable[tuple[int, Part]]) -> _Base:
    base: _Base = {}
    for slot, part in found:
        key = (slot, part.cell, part.tags)
        sums = base.get(key)
        if sums is None:
            sums = base[key] = Sums()
        sums.take(part)
    return base


def _thin(found: Sequence[Part], since: int, into: Folded) -> None:
    base = _grouped(
        (part.at - part.at % (_MINUTE if part.at - part.at % _MINUTE >= since else _QUARTER), part)
        for part in found
    )
    shortest: dict[Place, Sums] = {}
    gathered: _Gathered = {}
    for cube in THIN.values():
        place = places(cube)
        for (slot, cell, tags), sums in base.items():
            for one, other in place(cell, tags):
                gathered.setdefault((cube, 0, slot, one, other), []).append(sums)
    _made(gathered, shortest)
    for (cube, _, slot, a, b), sums in shortest.items():
        if slot >= since:
            into.sums[cube, Grain.MINUTE.value, slot, a, b] = sums
    shorter = shortest
    for grain in (Grain.QUARTER, Grain.HOUR, Grain.DAY):
        longer: dict[Place, Sums] = {}
        gathered = {}
        for (cube, _, slot, a, b), sums in shorter.items():
            gathered.setdefault((cube, grain.value, slot - slot % grain.span, a, b), []).append(sums)
        _made(gathered, longer)
        into.sums.update(longer)
        shorter = longer


def _pairs(hours: _Base, cubes: tuple[int, ...], into: Folded) -> None:
    day = Grain.DAY.value
    gathered: _Gathered = {}
    for cube in cubes:
        place = places(cube)
        for (slot, cell, tags), sums in hours.items():
            for a, b in place(cell, tags):
                gathered.setdefault((cube, day, slot - slot % _DAY, a, b), []).append(sums)
    _made(gathered, into.sums)


def _beside(call: CallFact, into: Folded) -> None:
    """The failures and the busy minutes of a call."""
    at = call.received_at
    for key, numbers in failures(call):
        for grain in _LONGER:
            _add(into.failures, (grain.value, grain.slot(at), *key), numbers)
    busy = into.busy
    for minute, span in minutes(call):
        busy[minute] = busy.get(minute, 0) + span


def _made(gathered: _Gathered, into: dict[Place, Sums]) -> None:
    """Sums of sums; where there is one alone, it stands in several places, and is not changed any more."""
    for place, found in gathered.items():
        into[place] = Sums.of(found)


def _add(into: dict[tuple[int, ...], list[int]], key: tuple[int, ...], numbers: Iterable[int]) -> None:
    have = into.setdefault(key, [0, 0, 0])
    for place, number in enumerate(numbers):
        have[place] += number
