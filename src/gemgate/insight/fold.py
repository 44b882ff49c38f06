"""Rows of calls, with their tries, become facts and sketches under whatever keys are wanted.

Laws:

- a call is taken apart into ``Part``s, one for each target that its tries went to; the first stands at the call's
  final target (its answering try's, else its last one's) and alone has the facts of the call itself;
- a part belongs to the moment at which its call came, tries too: the tries of a call never part from it;
- whoever sums parts, sums all: facts, sketches and charges of keys that do not overlap add up to the whole;
- a call without a tag counts under tag 0, one without a try under model and project 0; under a reason count only
  calls that have one;
- no real call has a number of 2**46 or more (70 TB, 70,000 dollars, two years): it counts as 2**46, so that no
  sum of a hundred thousand tries leaves 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from gemgate.core.call import Outcome
from gemgate.core.verdict import Kind
from gemgate.insight.cubes import CUBES, DIMENSIONS, Grain
from gemgate.insight.facts import CALL_FACTS, FACTS, TRY_FACTS
from gemgate.insight.sketch import bucket
from gemgate.insight.sums import MOST, Cell, Part, Sums, unpack

__all__ = ["MOST", "CallFact", "Cell", "Part", "Sums", "TryFact", "unpack"]

MINUTE: Final = Grain.MINUTE.span
LONGEST: Final = 31 * Grain.DAY.span
"""A call counts as under way for at most so long (µs)."""

_LANE: Final = 64
_CALL: Final = struct.Struct(f"<{len(CALL_FACTS)}Q")
_TRY: Final = struct.Struct(f"<{len(TRY_FACTS)}Q")
_SHIFT: Final = _LANE * len(CALL_FACTS)
# The bits of each lane from 2**46 on.
_HIGH: Final = sum(((1 << _LANE) - MOST) << (_LANE * place) for place in range(len(FACTS)))
_TAG: Final = DIMENSIONS.index("tag")
_REASON: Final = DIMENSIONS.index("reason")
_MISSED: Final = frozenset(Kind) - {Kind.OK, Kind.CANCELLED}
_RATE: Final = 1_000_000 * 1_000  # thousandths of a token per second


class TryFact(NamedTuple):
    """One try as the record has it. Names are integers (0 for none) but ``kind``, the verdict's word.

    ``saved_nano`` is what its cached tokens would have cost more as ordinary input; ``charges`` are kind,
    quantity and money (None: unpriced).
    """

    number: int
    model: int
    project: int
    sent_at: int
    duration: int
    verdict: int
    reason: int
    status: int
    hedge: int
    estimated: int
    input: int
    cached: int
    output: int
    thoughts: int
    tool: int
    input_nano: int
    cached_nano: int
    output_nano: int
    thoughts_nano: int
    tool_nano: int
    list_nano: int | None
    billed_nano: int | None
    kind: str
    saved_nano: int = 0
    charges: tuple[tuple[int, int, int | None], ...] = ()


class CallFact(NamedTuple):
    """One call as the record has it. Names are integers (0 for none) but ``outcome``; ``tries`` are in order."""

    seq: int
    received_at: int
    first_byte: int | None
    duration: int
    waited: int
    request_bytes: int
    response_bytes: int
    answered: int
    route: int
    key: int
    method: int
    status: int
    client: int
    reason: int
    outcome: str
    streamed: bool
    tags: tuple[int, ...] = ()
    tries: tuple[TryFact, ...] = ()


def final(call: CallFact) -> TryFact | None:
    """The try that answered, else the last one; None for a call without any."""
    if call.answered:
        for one in call.tries:
            if one.number == call.answered:
                return one
    return call.tries[-1] if call.tries else None


def parts(call: CallFact) -> list[Part]:
    """What the call adds, and where; the first part is the call's own."""
    last = final(call)
    if last is None:
        cell = (0, call.route, call.key, 0, call.method, call.status, call.client, call.reason)
        return [Part(call.received_at, cell, call.tags, _call_facts(call, None), None, ())]
    route, key, method = call.route, call.key, call.method
    cell = (last.model, route, key, last.project, method, call.status, call.client, call.reason)
    packed, charges = _call_facts(call, last), last.charges
    marks = _marks(call, last) if call.outcome == Outcome.OK else None
    elsewhere: dict[Cell, list[TryFact]] = {}
    for one in call.tries:
        there = cell
        if one.model != last.model or one.project != last.project:
            there = (one.model, route, key, one.project, method, call.status, call.client, call.reason)
        if there is cell:
            packed += _try_facts(call, one, last)
            if one is not last:
                charges += one.charges
        else:
            elsewhere.setdefault(there, []).append(one)
    found = [Part(call.received_at, cell, call.tags, packed, marks, charges)]
    for there, tries in elsewhere.items():
        packed = sum(_try_facts(call, one, last) for one in tries)
        burnt = tuple(charge for one in tries for charge in one.charges)
        found.append(Part(call.received_at, there, call.tags, packed, None, burnt))
    return found


def minutes(call: CallFact) -> Iterator[tuple[int, int]]:
    """Each minute (its start, UTC µs) in which the call was under way, and for how many µs of it."""
    return spread(call.received_at, call.duration)


def spread(at: int, duration: int) -> Iterator[tuple[int, int]]:
    """The minutes of a span that begins at a moment, as ``minutes`` gives them."""
    end = at + min(max(duration, 0), LONGEST)
    while at < end:
        until = min(at - at % MINUTE + MINUTE, end)
        yield at - at % MINUTE, until - at
        at = until


def failures(call: CallFact) -> Iterator[tuple[tuple[int, ...], tuple[int, int, int]]]:
    """Each try whose verdict is not ok: model, project, verdict, reason, status, and the next try's model and
    project (0: there was none); then 1, its list and its billed money."""
    for place, one in enumerate(call.tries):
        if one.kind != Kind.OK:
            after = call.tries[place + 1] if place + 1 < len(call.tries) else None
            to = (after.model, after.project) if after is not None else (0, 0)
            paid = (1, min(one.list_nano or 0, MOST), min(one.billed_nano or 0, MOST))
            yield (one.model, one.project, one.verdict, one.reason, one.status, *to), paid


def _call_facts(call: CallFact, last: TryFact | None) -> int:
    outcome, tries = call.outcome, call.tries
    ok = outcome == Outcome.OK
    several = len(tries) > 1
    return _packed(
        _CALL,
        (
            1,
            ok,
            outcome == Outcome.REFUSED,
            outcome == Outcome.FAILED,
            outcome == Outcome.CUT,
            outcome == Outcome.CANCELLED,
            outcome == Outcome.INTERRUPTED,
            call.streamed,
            several,
            several and last is not None and (last.model, last.project) != (tries[0].model, tries[0].project),
            several
            and ok
            and last is not None
            and any(one.kind in _MISSED and one.number < last.number for one in tries),
            several and any(one.hedge for one in tries),
            ok and last is not None and bool(last.hedge),
            call.waited,
            call.duration,
            call.request_bytes,
            call.response_bytes,
        ),
    )


def _try_facts(call: CallFact, one: TryFact, last: TryFact) -> int:
    listed, billed, estimated = one.list_nano, one.billed_nano, one.estimated
    tokens = one.input + one.output + one.thoughts + one.tool
    burnt = (0, 0, 0, 0, 0, 0)
    if one is not last or call.outcome != Outcome.OK:
        paid = (listed or 0, billed or 0)
        if one is last:
            burnt = (0, 0, *paid, 0, 0) if call.outcome == Outcome.CANCELLED else (*paid, 0, 0, 0, 0)
        elif (one.hedge and one.number == last.number + 1) or (last.hedge and last.number == one.number + 1):
            burnt = (0, 0, 0, 0, *paid)
        else:
            burnt = (*paid, 0, 0, 0, 0)
    facts = (
        1,
        one.kind != Kind.OK,
        one.input,
        one.cached,
        one.output,
        one.thoughts,
        one.tool,
        tokens if estimated else 0,
        listed or 0,
        billed or 0,
        (listed or 0) if estimated else 0,
        (billed or 0) if estimated else 0,
        listed is None,
        tokens if listed is None else 0,
        one.input_nano,
        one.cached_nano,
        one.output_nano,
        one.thoughts_nano,
        one.tool_nano,
        sum(nano or 0 for _, _, nano in one.charges) if one.charges else 0,
        one.saved_nano,
        *burnt,
    )
    return _packed(_TRY, facts) << _SHIFT


def _packed(form: struct.Struct, facts: tuple[int, ...]) -> int:
    """The facts in lanes, each within what a lane may get at once."""
    try:
        packed = int.from_bytes(form.pack(*facts), "little")
    except struct.error:
        packed = _HIGH
    if packed & _HIGH:
        packed = int.from_bytes(form.pack(*(min(max(fact, 0), MOST) for fact in facts)), "little")
    return packed


def _marks(call: CallFact, last: TryFact) -> tuple[int, int | None, int | None, int]:
    """The buckets of an answered call's metrics, in the order of ``sketch.METRICS``."""
    said = last.output + last.thoughts
    rate = bucket(said * _RATE // last.duration) if said > 0 and last.duration > 0 else None
    away = last.duration if len(call.tries) == 1 else _union(call.tries)
    return (
        bucket(call.duration),
        None if call.first_byte is None else bucket(call.first_byte),
        rate,
        bucket(call.duration - call.waited - away),
    )


def _union(tries: tuple[TryFact, ...]) -> int:
    """How long any of the tries was under way, in µs."""
    total, end = 0, 0
    for start, until in sorted((one.sent_at, one.sent_at + one.duration) for one in tries):
        if until > end:
            total += until - max(start, end)
            end = until
    return total


def places(cube: int) -> Callable[[Cell, tuple[int, ...]], Iterable[tuple[int, int]]]:
    """How a cube's keys ``a`` and ``b`` follow from a cell and its tags."""
    return _PLACES[cube]


def _placing(names: tuple[str, ...]) -> Callable[[Cell, tuple[int, ...]], Iterable[tuple[int, int]]]:
    one, other = [*(DIMENSIONS.index(name) for name in names), -1, -1][:2]
    if one < 0:
        return lambda cell, tags: ((0, 0),)
    if one == _TAG:
        return lambda cell, tags: [(tag, 0) for tag in tags or (0,)]
    if other == _TAG:
        if one == _REASON:
            return lambda cell, tags: [(cell[one], tag) for tag in tags or (0,)] if cell[one] else ()
        return lambda cell, tags: [(cell[one], tag) for tag in tags or (0,)]
    if _REASON in (one, other):
        if other < 0:
            return lambda cell, tags: ((cell[one], 0),) if cell[one] else ()
        return lambda cell, tags: ((cell[one], cell[other]),) if cell[_REASON] else ()
    if other < 0:
        return lambda cell, tags: ((cell[one], 0),)
    return lambda cell, tags: ((cell[one], cell[other]),)


_PLACES: Final = {cube: _placing(names) for names, cube in CUBES.items()}
