"""Which sums are kept: sets of dimensions (cubes), each over spans of fixed lengths (grains).

A cube's rows are keyed by the integers of its dimensions, 0 for none:

- ``TOTAL`` has none; a thin cube has one dimension; a pair has two, in the order of ``DIMENSIONS``;
- ``CELLS`` has them all but the tag (a call may have many): its one key is the number of a row of ``cells``;
- a call has no or several tags, so sums over tags overlap; cubes of ``reason`` hold only calls that have one.

The quarter of an hour serves zones whose days begin off the hour; minutes are for what is recent.
"""

from __future__ import annotations

import enum
import itertools
from typing import Final

DIMENSIONS: Final = ("model", "route", "key", "project", "method", "status", "client", "reason", "tag")
CELL: Final = DIMENSIONS[:-1]
"""The dimensions of a cell."""

TOTAL: Final = 0
CELLS: Final = 10
THIN: Final[dict[tuple[str, ...], int]] = {
    (): TOTAL,
    **{(name,): place for place, name in enumerate(DIMENSIONS, start=1)},
}
PAIRS: Final[dict[tuple[str, ...], int]] = {
    (DIMENSIONS[one - 1], DIMENSIONS[other - 1]): 100 + 10 * one + other
    for one, other in itertools.combinations(range(1, len(DIMENSIONS) + 1), 2)
}
CUBES: Final = {**THIN, **PAIRS}
"""The cube of a set of dimensions, by their names in the order of ``DIMENSIONS``."""

_PAIRS_AT_ONCE: Final = 4
SETS: Final = {
    "thin": tuple(THIN.values()),
    "cells": (CELLS,),
    **{
        f"pairs.{place}": tuple(PAIRS.values())[place * _PAIRS_AT_ONCE : (place + 1) * _PAIRS_AT_ONCE]
        for place in range(-(-len(PAIRS) // _PAIRS_AT_ONCE))
    },
}
"""Cubes that are brought forward together, each set with a mark of its own (``rollup.<name>``)."""


class Grain(enum.IntEnum):
    """A length of time that sums are kept for; its value is its length in seconds."""

    MINUTE = 60
    QUARTER = 900
    HOUR = 3_600
    DAY = 86_400

    @property
    def span(self) -> int:
        """Its length in µs."""
        return self.value * 1_000_000

    def slot(self, at: int) -> int:
        """The start (UTC µs) of the one that a moment lies in."""
        return at - at % self.span


MINUTES_KEPT: Final = 48 * Grain.HOUR.span
"""How far back minutes go, in µs."""


def grains(cube: int) -> tuple[Grain, ...]:
    """The grains that a cube is kept in."""
    if cube == CELLS:
        return (Grain.HOUR,)
    return (Grain.MINUTE, Grain.QUARTER, Grain.HOUR, Grain.DAY) if cube < CELLS else (Grain.DAY,)
