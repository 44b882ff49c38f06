"""Numbers over any span, exact: what is summed is read from the rollups, the rest from the rows.

Laws:

- every call whose ``received_at`` lies in ``[start, until)`` counts once, in the bucket of that moment, however far
  the rollups have come; its tries, tokens and money count in the same bucket;
- all of an answer is read in one read transaction, so nothing counts twice and nothing is missed while the
  rollups move on;
- facts that were not asked for stay 0.
"""

from __future__ import annotations

import sqlite3

import msgspec

from gemgate.insight.facts import Facts
from gemgate.insight.sketch import Sketches

Key = tuple[int, tuple[str, ...]]
"""A bucket's place and the names of the group, one for each of the query's dimensions (``""`` for none)."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be counted. ``[start, until)`` in UTC µs; ``now`` (UTC µs) says which minutes are still kept.

    ``bounds`` cuts the span into buckets (``start`` first, ``until`` last); empty for one bucket. ``dimensions``
    are grouped by, ``filters`` name what counts of a dimension (any of the names; a status stands as text).
    ``facts`` are names of ``insight.facts.FACTS``. ``only``, when not empty, keeps these groups and no others.
    """

    start: int
    until: int
    now: int
    bounds: tuple[int, ...] = ()
    dimensions: tuple[str, ...] = ()
    filters: dict[str, tuple[str, ...]] = {}
    facts: tuple[str, ...] = ()
    sketches: bool = False
    charges: bool = False
    only: tuple[tuple[str, ...], ...] = ()


class Charged(msgspec.Struct):
    """What one kind of charge came to: ``nano`` of the known ones, ``unpriced`` charges without a known price."""

    quantity: int = 0
    nano: int = 0
    unpriced: int = 0


class Found(msgspec.Struct, kw_only=True):
    """Buckets and groups in which something was counted; what is not there is nothing.

    ``charges`` is by kind. ``rows`` counts the calls that were read one by one.
    """

    facts: dict[Key, Facts] = {}
    sketches: dict[Key, Sketches] = {}
    charges: dict[Key, dict[str, Charged]] = {}
    rows: int = 0


def collect(conn: sqlite3.Connection, query: Query) -> Found:
    """Count. Raises ``insight.plan.TooMuch`` when too many rows would have to be read one by one."""
    raise NotImplementedError
