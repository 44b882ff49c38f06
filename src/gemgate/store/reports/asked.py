"""What every report over a span is asked, and the parts that every answer has."""

from __future__ import annotations

import msgspec


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A question over the span ``[start, until)`` (UTC µs) as it stands at ``now`` (UTC µs).

    ``step`` is one of ``insight.spans.STEPS``; ``group`` up to two of ``insight.cubes.DIMENSIONS``; ``filters`` the
    names that count of a dimension; ``compare`` asks for the span before too; ``top`` bounds the groups shown.
    """

    start: int
    until: int
    now: int
    zone: str = "UTC"
    step: str = "auto"
    group: tuple[str, ...] = ()
    filters: dict[str, tuple[str, ...]] = {}
    compare: bool = False
    top: int = 10


class AnswerSpan(msgspec.Struct, frozen=True, kw_only=True):
    """The span that an answer is about, with ``step`` as it was chosen.

    ``start``, ``until`` and ``as_of`` are UTC µs, ``from_time`` and ``until_time`` the same in ISO 8601 in the zone.
    ``lag`` is the age (µs) of the oldest call that the rollups have not taken in yet, 0 when they have them all;
    the numbers hold it all the same.
    """

    start: int
    until: int
    from_time: str
    until_time: str
    zone: str
    step: str
    as_of: int
    lag: int
