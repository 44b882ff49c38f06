"""What calls cost: by kind of token, at list price and billed, proven and estimated, saved and burnt.

Laws:

- the kinds sum to ``list_nano`` and ``partial_nano``; ``proven_nano`` and ``estimated_billed_nano`` to
  ``billed_nano``;
- a try of which anything has no known price is in no sum but ``partial_nano``, with what is known of it: ``unpriced``
  counts such tries, ``unpriced_tokens`` their tokens;
- each token is of one kind: those of a modality with a rate of its own are in no other;
- money counts where its try was: a call that failed over costs at both targets.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from gemgate.insight.facts import INDEX
from gemgate.insight.spans import iso
from gemgate.store.reports.asked import AnswerSpan, Ask
from gemgate.store.reports.gathered import Numbers, Part, Wants, gather

_KINDS: Final = ("input", "cached", "output", "thoughts", "tool")
_WASTES: Final = ("failed", "cancelled", "hedged")
_WANTS: Final = Wants(
    facts=(
        "calls",
        "tries",
        "input",
        "cached",
        "output",
        "thoughts",
        "tool",
        "list_nano",
        "billed_nano",
        "estimated_list_nano",
        "estimated_billed_nano",
        "unpriced",
        "unpriced_tokens",
        "saved_nano",
        *(f"{kind}_nano" for kind in (*_KINDS, "other")),
        *(f"{waste}_{price}_nano" for waste in _WASTES for price in ("list", "billed")),
    ),
    main="list_nano",
    charges=True,
)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind came to at list price: tokens, or the units of a charge (images, searches, seconds …).

    ``unpriced`` counts tries in which this kind has no known price, where something else of them has one.
    """

    kind: str
    quantity: int
    nano: int
    unpriced: int = 0


class Burnt(msgspec.Struct, frozen=True, kw_only=True):
    """Money of tries that gave no good call its answer, by why: they failed, the client left, they lost a race."""

    failed_list_nano: int
    failed_billed_nano: int
    cancelled_list_nano: int
    cancelled_billed_nano: int
    hedged_list_nano: int
    hedged_billed_nano: int


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The money of some tries in nano-dollars. ``calls`` are those whose final target is here, ``tries`` all of them.

    ``saved_nano`` is what cached tokens would have cost more as ordinary input, at list price. ``partial_nano`` is
    what is known, at list price, of tries that are ``unpriced`` since something else of them has no known price.
    """

    calls: int
    tries: int
    list_nano: int
    billed_nano: int
    proven_nano: int
    estimated_billed_nano: int
    estimated_list_nano: int
    unpriced: int
    unpriced_tokens: int
    partial_nano: int
    saved_nano: int
    kinds: tuple[Kind, ...]
    burnt: Burnt


class CostPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of a series: its start (UTC µs, and ISO 8601 in the zone) and its money at list price by kind, where
    ``other_nano`` is what is not charged by plain tokens; ``estimated_billed_nano`` is billed, as of a total."""

    start: int
    time: str
    calls: int
    list_nano: int
    billed_nano: int
    estimated_billed_nano: int
    unpriced: int
    saved_nano: int
    burnt_nano: int
    input_nano: int
    cached_nano: int
    output_nano: int
    thoughts_nano: int
    tool_nano: int
    other_nano: int


class CostGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group, by the names of its dimensions in the order asked for."""

    names: tuple[str, ...]
    total: Costs
    before: Costs | None
    series: tuple[CostPoint, ...]


class CostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a span cost. ``others`` is what no shown group has; ``groups_total`` counts all groups."""

    span: AnswerSpan
    total: Costs
    before: Costs | None
    series: tuple[CostPoint, ...]
    groups: tuple[CostGroup, ...]
    others: CostGroup | None
    groups_total: int
    overlapping: bool


def report(conn: sqlite3.Connection, ask: Ask) -> CostAnswer:
    """What the span cost. Raises ``spans.BadAsk`` and ``plan.TooMuch``."""
    found = gather(conn, ask, _WANTS)
    times = [(start, iso(start, found.span.zone)) for start in found.starts]
    return CostAnswer(
        span=found.span,
        total=_costs(found.total),
        before=_costs(found.before) if found.before is not None else None,
        series=_series(times, found.series),
        groups=tuple(_group(times, part) for part in found.groups),
        others=_group(times, found.others) if found.others is not None else None,
        groups_total=found.groups_total,
        overlapping=found.overlapping,
    )


def _group(times: list[tuple[int, str]], part: Part) -> CostGroup:
    return CostGroup(
        names=part.names,
        total=_costs(part.total),
        before=_costs(part.before) if part.before is not None else None,
        series=_series(times, part.series),
    )


def _costs(numbers: Numbers) -> Costs:
    billed, estimated = numbers["billed_nano"], numbers["estimated_billed_nano"]
    kinds = _kinds(numbers)
    return Costs(
        calls=numbers["calls"],
        tries=numbers["tries"],
        list_nano=numbers["list_nano"],
        billed_nano=billed,
        proven_nano=billed - estimated,
        estimated_billed_nano=estimated,
        estimated_list_nano=numbers["estimated_list_nano"],
        unpriced=numbers["unpriced"],
        unpriced_tokens=numbers["unpriced_tokens"],
        partial_nano=sum(one.nano for one in kinds) - numbers["list_nano"],
        saved_nano=numbers["saved_nano"],
        kinds=kinds,
        burnt=Burnt(**{name: numbers[name] for name in Burnt.__struct_fields__}),
    )


def _kinds(numbers: Numbers) -> tuple[Kind, ...]:
    """Kinds of tokens first, then the other charges by name.

    A charge by the name of a kind of tokens says that these have no known rate; one as ``audio_input`` takes its
    tokens out of the kind that it ends with (``core.pricing.cost``).
    """
    quantities = {kind: numbers[kind] for kind in _KINDS}
    quantities["input"] -= quantities["cached"]
    for kind, one in numbers.charges.items():
        side = kind.partition("_")[2]
        if side in quantities:
            quantities[side] -= one.quantity
    tokens = [
        Kind(
            kind=kind,
            quantity=quantities[kind],
            nano=numbers[f"{kind}_nano"],
            unpriced=numbers.charges[kind].unpriced if kind in numbers.charges else 0,
        )
        for kind in _KINDS
    ]
    charges = [
        Kind(kind=kind, quantity=one.quantity, nano=one.nano, unpriced=one.unpriced)
        for kind, one in sorted(numbers.charges.items())
        if kind not in quantities
    ]
    return (*tokens, *charges)


def _series(times: list[tuple[int, str]], series: list[Numbers]) -> tuple[CostPoint, ...]:
    points = []
    for (start, time), numbers in zip(times, series, strict=True):
        facts = numbers.facts
        points.append(
            CostPoint(
                start=start,
                time=time,
                burnt_nano=sum([facts[place] for place in _BURNT]),
                **{name: facts[place] for name, place in _PLAIN},
            )
        )
    return tuple(points)


_BURNT: Final = tuple(INDEX[f"{waste}_list_nano"] for waste in _WASTES)
_PLAIN: Final = tuple((name, INDEX[name]) for name in CostPoint.__struct_fields__ if name in INDEX)
