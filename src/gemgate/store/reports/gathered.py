"""The frame of every report: total, span before, series, the largest groups and an honest remainder.

A report says which facts it wants and by which one its groups are ranked (``Wants``); ``gather`` does the rest,
and the report makes its own structs of the ``Numbers``.
"""

from __future__ import annotations

import sqlite3

import msgspec

from gemgate.insight.facts import INDEX, Facts
from gemgate.insight.sketch import Sketches
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.facts import Charged


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made of: the names of its facts, and the ``main`` one by which groups are ranked."""

    facts: tuple[str, ...]
    main: str
    sketches: bool = False
    charges: bool = False


class Numbers(msgspec.Struct):
    """What was counted in one place. ``numbers["calls"]`` is a fact by its name."""

    facts: Facts
    sketches: Sketches | None = None
    charges: dict[str, Charged] = {}

    def __getitem__(self, name: str) -> int:
        return self.facts[INDEX[name]]


class Part(msgspec.Struct, kw_only=True):
    """One group: its names in the order asked for, its total over the span, over the span before, its series."""

    names: tuple[str, ...]
    total: Numbers
    before: Numbers | None
    series: list[Numbers]


class Gathered(msgspec.Struct, kw_only=True):
    """All numbers of one answer.

    ``starts`` are the buckets' (UTC µs), in the order of every ``series``. ``others`` is what the total has beyond
    the groups shown, None when it has no more or when groups overlap. ``groups_total`` counts all groups.
    ``overlapping``: a call may stand in several groups, so that they sum to more than the total.
    """

    span: AnswerSpan
    starts: list[int]
    total: Numbers
    before: Numbers | None
    series: list[Numbers]
    groups: list[Part]
    others: Part | None
    groups_total: int
    overlapping: bool


def gather(conn: sqlite3.Connection, ask: Ask, wants: Wants) -> Gathered:
    """Everything of a report, read in one transaction. Raises ``spans.BadAsk`` and ``plan.TooMuch``."""
    raise NotImplementedError
