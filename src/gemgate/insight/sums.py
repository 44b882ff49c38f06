"""What many calls make together: facts, sketches and charges that are collected part by part.

Inside, the facts of a part are one integer with a lane of 64 bits for each of ``FACTS``: adding two such integers
adds all facts at once.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from gemgate.insight.facts import FACTS, Facts
from gemgate.insight.sketch import Sketches, added, lanes_of

MOST: Final = 2**46
"""A number of one call or try counts as at most this."""

Cell = tuple[int, int, int, int, int, int, int, int]
"""The integers of ``cubes.CELL``, in that order; 0 for none."""

_ALL: Final = struct.Struct(f"<{len(FACTS)}Q")


class Part(NamedTuple):
    """What a call adds at one target. ``packed`` are its facts, ``marks`` the buckets of its metrics or None."""

    at: int
    cell: Cell
    tags: tuple[int, ...]
    packed: int
    marks: tuple[int, int | None, int | None, int] | None
    charges: tuple[tuple[int, int, int | None], ...]


class Sums:
    """What many parts make together."""

    __slots__ = ("_charges", "_lanes", "_marks", "packed")

    def __init__(self) -> None:
        self.packed = 0
        # Buckets as they came. They are small numbers: 16 bits each.
        self._marks: tuple[array[int], array[int], array[int], array[int]] | None = None
        self._lanes: list[int] | None = None
        self._charges: dict[int, list[int]] | None = None

    def take(self, part: Part) -> None:
        """Count a part."""
        self.packed += part.packed
        if part.marks is not None:
            duration, first_byte, rate, overhead = part.marks
            have = self._marks
            if have is None:
                have = self._marks = (array("H"), array("H"), array("H"), array("H"))
            have[0].append(duration)
            if first_byte is not None:
                have[1].append(first_byte)
            if rate is not None:
                have[2].append(rate)
            have[3].append(overhead)
        if part.charges:
            for kind, quantity, nano in part.charges:
                self._charge(kind, min(quantity, MOST), min(nano or 0, MOST), nano is None)

    def merge(self, other: Sums) -> None:
        """Count all that another counts."""
        self.packed += other.packed
        theirs = other._marks
        if theirs is not None:
            have = self._marks
            if have is None:
                self._marks = (theirs[0][:], theirs[1][:], theirs[2][:], theirs[3][:])
            else:
                have[0].extend(theirs[0])
                have[1].extend(theirs[1])
                have[2].extend(theirs[2])
                have[3].extend(theirs[3])
        self._join(other)

    @classmethod
    def of(cls, found: Sequence[Sums]) -> Sums:
        """What several make together: the one itself where there is only one, so it must not be changed."""
        if len(found) == 1:
            return found[0]
        made = cls()
        made.packed = sum([one.packed for one in found])
        marks = [one._marks for one in found if one._marks is not None]
        if marks:
            whole = made._marks = (array("H"), array("H"), array("H"), array("H"))
            for place, into in enumerate(whole):
                into.frombytes(b"".join([mark[place] for mark in marks]))
        for one in found:
            if one._lanes is not None or one._charges is not None:
                made._join(one)
        return made

    def settle(self, least: int = 0) -> None:
        """Where more than ``least`` answers were collected, keep them in a size that no longer grows."""
        if self._marks is not None and len(self._marks[0]) > least:
            lanes = self.sketches.lanes
            self._lanes, self._marks = lanes, None

    def sketched(self, body: bytes | None) -> bytes | None:
        """A stored body of sketches (None: there is none) with ours added; None where we have nothing to add."""
        if self._lanes is None:
            return None if self._marks is None else added(body, self._marks)
        both = self.sketches
        if body is not None:
            both.merge(Sketches.decode(body))
        return both.encode()

    @property
    def facts(self) -> Facts:
        """The facts, as ``facts.FACTS`` orders them."""
        return unpack(self.packed)

    @property
    def sketches(self) -> Sketches:
        """The four sketches."""
        if self._marks is None:
            return Sketches(*(self._lanes or ()))
        lanes = [lanes_of(found) for found in self._marks]
        if self._lanes is not None:
            lanes = [one + more for one, more in zip(lanes, self._lanes, strict=True)]
        return Sketches(*lanes)

    @property
    def answered(self) -> bool:
        """Whether there is anything in the sketches."""
        return self._marks is not None or self._lanes is not None

    @property
    def charges(self) -> dict[int, list[int]]:
        """By charge kind: quantity, money that is known (nano-dollars), and how many have no known price."""
        return self._charges or {}

    def _join(self, other: Sums) -> None:
        """Count another's lanes and charges."""
        if other._lanes is not None:
            mine = self._lanes or [0] * len(other._lanes)
            self._lanes = [one + more for one, more in zip(mine, other._lanes, strict=True)]
        if other._charges is not None:
            for kind, counted in other._charges.items():
                self._charge(kind, *counted)

    def _charge(self, kind: int, quantity: int, nano: int, unpriced: int) -> None:
        if self._charges is None:
            self._charges = {}
        have = self._charges.setdefault(kind, [0, 0, 0])
        have[0] += quantity
        have[1] += nano
        have[2] += unpriced


def unpack(packed: int) -> Facts:
    """The facts in their lanes."""
    return list(_ALL.unpack(packed.to_bytes(_ALL.size, "little")))
