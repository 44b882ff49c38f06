"""A realistic record out of a seed: when calls come, and what the record says of each.

Laws:

- everything follows from the plan, the trace and the price book: no clock, no chance of its own;
- calls are drawn from a pool of some thousand patterns, each a whole ``core.call.Record`` priced by the book at
  the pool's moment; who writes them sets their times, numbers and hashes (making each anew would take ten times
  as long, and sums would be no truer);
- every way in which a call can end is among the patterns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from gemgate.core.call import Attempt, Cost, Outcome, Record, Shape, Streaming
from gemgate.core.pricing import PriceBook, cost
from gemgate.core.usage import Detail, Usage
from gemgate.core.verdict import Kind
from gemgate.insight.casts import FREE, PAID, SPEED, SPEEDS, WORKS, Work
from gemgate.insight.chance import Chance
from gemgate.insight.traces import HOUR, Replayed, Trace

KEY: Final = "seed-"
"""How the names of all keys and projects of a seeded record begin."""
_SECOND: Final = 1_000_000
_HOUR: Final = HOUR * _SECOND
_DAY_CURVE: Final = (
    *(0.30, 0.22, 0.18, 0.17, 0.20, 0.30, 0.48, 0.75, 1.05, 1.30, 1.42, 1.40),
    *(1.25, 1.35, 1.45, 1.42, 1.30, 1.12, 0.95, 0.85, 0.78, 0.66, 0.52, 0.40),
)
_WEEK_CURVE: Final = (1.0, 1.06, 1.08, 1.05, 0.96, 0.46, 0.40)  # from Monday
_EPOCH_DAY: Final = 3  # 1970-01-01 was a Thursday
_FATES: Final = (
    *(["fine"] * 176 + ["limited"] * 5 + ["switched"] * 4 + ["spent"] * 2 + ["hedged"] * 2),
    *(["cancelled"] * 2 + ["cut"] * 1 + ["refused"] * 3 + ["unasked"] * 2 + ["failed"] * 2 + ["broken"] * 1),
)
"""How calls end, out of 200."""
_ENDS: Final = {
    "cancelled": (Outcome.CANCELLED, 499, "client_left"),
    "cut": (Outcome.CUT, 200, "disconnected"),
    "refused": (Outcome.REFUSED, 400, "invalid"),
    "unasked": (Outcome.REFUSED, 402, "budget_spent"),
    "failed": (Outcome.FAILED, 503, "overloaded"),
}
"""Outcome, status and reason of the fates that do not end well."""
_FIRST_BOUND: Final = 8 * 1024
_Where = tuple[str, str]  # a model on a project
_FREE_COST: Final = Cost()
_NAMES: Final = (
    *("seed-atlas", "seed-bruno", "seed-cedar", "seed-delta", "seed-ember"),
    *("seed-fjord", "seed-grove", "seed-heron", "seed-iris", "seed-juno"),
)


class Plan(msgspec.Struct, frozen=True):
    """So many ``calls`` in [``since``, ``until``) (UTC µs), by this ``seed``."""

    calls: int
    since: int
    until: int
    seed: int = 1


class Pattern(msgspec.Struct, frozen=True):
    """One pattern: the record, whose key it is on (a name), and how many µs into the hour it may come; -1: any.

    ``shared`` is how many of the record's prefix hashes it has in common with others of its kind.
    """

    record: Record
    key: str
    offset: int
    shared: int


def hours(plan: Plan, trace: Trace | None) -> list[int]:
    """How many calls come in each hour of the plan, from its begin on; they sum up to the plan's calls."""
    chance = Chance(plan.seed)
    count = -(-(plan.until - plan.since) // _HOUR)
    weights = [
        _weight(plan.since + place * _HOUR, place, trace) * chance.spread(1.0, 0.12) for place in range(count)
    ]
    rest = (plan.until - plan.since) % _HOUR
    if rest:
        weights[-1] *= rest / _HOUR
    total = sum(weights)
    found, run, given = [], 0.0, 0
    for weight in weights:
        run += weight
        upto = round(plan.calls * run / total) if total else 0
        found.append(upto - given)
        given = upto
    found[-1] += plan.calls - given
    return found


def _weight(at: int, place: int, trace: Trace | None) -> float:
    """How busy the hour that begins at ``at`` is, against others."""
    if trace is not None and trace.hours:
        return trace.hours[place % len(trace.hours)]
    hour, day = at // _HOUR, at // (24 * _HOUR)
    if trace is not None and trace.whole_day:
        return trace.day[hour % 24] * _WEEK_CURVE[(day + _EPOCH_DAY) % 7]
    return _DAY_CURVE[hour % 24] * _WEEK_CURVE[(day + _EPOCH_DAY) % 7]


def arrivals(plan: Plan, trace: Trace | None, pool: Sequence[Pattern]) -> Iterator[tuple[int, int]]:
    """When each call comes (UTC µs, in order) and the place of its pattern in the pool."""
    chance = Chance(plan.seed ^ 0x5EED)
    by_hour: list[list[int]] = [[] for _ in range(24)]
    for place, pattern in enumerate(pool):
        by_hour[pattern.offset // _HOUR % 24 if pattern.offset >= 0 else place % 24].append(place)
    everyone = list(range(len(pool)))
    daily = trace is not None and trace.whole_day
    for place, count in enumerate(hours(plan, trace)):
        begin = plan.since + place * _HOUR
        span = min(_HOUR, plan.until - begin)
        places = (by_hour[begin // _HOUR % 24] or everyone) if daily else everyone
        drawn = []
        for _ in range(count):
            bits = chance.bits()
            which = places[(bits & 0xFFFFFFFF) % len(places)]
            offset = pool[which].offset
            # A replayed call comes again within four seconds of its place in the hour.
            at = (bits >> 32) if offset < 0 else offset % _HOUR + (bits >> 32) % (4 * _SECOND)
            drawn.append((begin + at % span, which))
        drawn.sort()
        yield from drawn


def pool(plan: Plan, trace: Trace | None, book: PriceBook, at: int) -> list[Pattern]:
    """The patterns of calls, priced as of ``at`` (UTC µs)."""
    size = max(400, min(12_000, plan.calls))
    chance = Chance(plan.seed * 31 + 7)
    maker = _Maker(book, at, chance)
    if trace is None or not trace.calls:
        return [maker.pattern(place, None) for place in range(size)]
    stride = max(1.0, len(trace.calls) / size)
    drawn = [trace.calls[int(place * stride) % len(trace.calls)] for place in range(size)]
    return [maker.pattern(place, one) for place, one in enumerate(drawn)]


def bounds(book: PriceBook, plan: Plan) -> list[int]:
    """The moments (UTC µs, in order) within a plan at which a price of its calls begins or ends."""
    models = {book.resolve(name) for work in WORKS for name in (work.model, work.stands_in)}
    moments = {
        at
        for price in book.rows()
        if price.model in models and price.tier == "standard"
        for at in (price.since, price.until)
    }
    return sorted(at for at in moments if at is not None and plan.since < at < plan.until)


def keys(patterns: Sequence[Pattern]) -> list[str]:
    """The names of all keys in a pool, in order."""
    return sorted({pattern.key for pattern in patterns if pattern.key})


class _Maker:
    """Makes patterns of one price epoch."""

    def __init__(self, book: PriceBook, at: int, chance: Chance) -> None:
        self._book = book
        self._at = at
        self._chance = chance
        self._weights = [work.weight for work in WORKS]

    def pattern(self, place: int, seen: Replayed | None) -> Pattern:
        """The pattern at a place of the pool, after a call of a trace where there is one."""
        chance = self._chance
        work = chance.pick(WORKS, self._weights)
        if seen is not None and seen.client:
            key = f"{KEY}{seen.client}"
        else:
            # One call in ten comes without a key.
            key = chance.pick((*_NAMES, ""), (9, 8, 5, 5, 4, 3, 2, 2, 1, 1, 4))
        usage = self._usage(work, seen)
        fate = "failed" if seen is not None and seen.failed else _FATES[(place * 83) % len(_FATES)]
        free = work.model.startswith("gemini-3.") and chance.below(12) == 0
        tries = self._tries(work, usage, fate, FREE if free else PAID[chance.below(8) == 0])
        record, shared = self._record(work, fate, tries, usage)
        offset = -1 if seen is None else int(seen.offset * _SECOND)
        return Pattern(record, key, offset, shared)

    def _usage(self, work: Work, seen: Replayed | None) -> Usage:
        chance = self._chance
        known = seen is not None and (seen.input or seen.output)
        given = seen.input if known and seen is not None else int(chance.spread(work.input, 0.9))
        said = seen.output if known and seen is not None else int(chance.spread(work.output, 0.7))
        given = max(1, min(given + work.prompt // 4, 900_000))
        if work.output == 0:
            return Usage(input=given)
        cached = given * 9 // 10 if given > 4_096 and chance.real() < work.cached else 0
        thoughts = int(chance.spread(max(60, said), 0.8)) if chance.real() < work.thoughts else 0
        details: tuple[Detail, ...] = ()
        if work.modality == "audio":
            details = (Detail("input", "audio", given * 3 // 4),)
        elif work.modality == "image":
            said = max(said, 1_290)
            details = (Detail("output", "image", 1_290),)
        grounded = chance.real() < work.grounded
        return Usage(
            input=given,
            cached=cached,
            output=said,
            thoughts=thoughts,
            details=details,
            searches=1 + chance.below(3) if grounded else 0,
            grounded=grounded,
        )

    def _tries(self, work: Work, usage: Usage, fate: str, project: str) -> list[Attempt]:
        """The tries that a fate asks for, in order."""
        here, there = (work.model, project), (work.model, PAID[1] if project != PAID[1] else PAID[0])
        if fate == "unasked":
            return []
        if fate == "refused":
            return [self._bad(here, Kind.REFUSED, 400, "invalid")]
        if fate == "hedged":
            return self._race(work, usage, here, there)
        if fate in ("cancelled", "cut"):
            return [self._broken_off(work, usage, here, fate)]
        if fate == "failed":
            first = self._bad(here, Kind.BUSY, 503, "overloaded")
            return [first, self._bad(there, Kind.BUSY, 503, "overloaded", first)]
        if fate == "limited":
            first = self._bad(here, Kind.BUSY, 429, "quota_minute")
            first.retry_after = 2 * _SECOND
            return [first, self._good(work, here, usage, first, 2 * _SECOND)]
        if fate == "switched":
            first = self._bad(here, Kind.BUSY, 503, "overloaded")
            return [first, self._good(work, (work.stands_in, project), usage, first)]
        if fate == "spent":
            first = self._bad(here, Kind.SPENT, 429, "quota_day")
            return [first, self._good(work, there, usage, first)]
        if fate == "broken":
            first = self._bad(here, Kind.BROKEN, 200, "empty_answer")
            first.usage, first.estimated = Usage(input=usage.input), True
            first.cost = self._cost(here, first.usage)
            return [first, self._good(work, here, usage, first)]
        return [self._good(work, here, usage)]

    def _race(self, work: Work, usage: Usage, here: _Where, there: _Where) -> list[Attempt]:
        """Two tries side by side; the second one answers, and the first is dropped."""
        loser, winner = self._good(work, here, Usage(input=usage.input)), self._good(work, there, usage)
        winner.number, winner.hedge = 2, True
        winner.sent_at += 4 * _SECOND
        loser.first_byte = None
        loser.duration = winner.sent_at - loser.sent_at + (winner.first_byte or 0)
        loser.verdict, loser.reason, loser.status, loser.estimated = Kind.CANCELLED, "hedged", 0, True
        loser.model_served = loser.response = ""
        return [loser, winner]

    def _broken_off(self, work: Work, usage: Usage, here: _Where, fate: str) -> Attempt:
        """A try that ended before its answer did; its tokens are those seen until then."""
        share = self._chance.real()
        said = int(usage.output * share)
        seen = Usage(
            input=usage.input, cached=usage.cached, output=said, thoughts=usage.thoughts if said else 0
        )
        one = self._good(work, here, seen)
        one.verdict = Kind.CANCELLED if fate == "cancelled" else Kind.CUT
        one.reason = "client_left" if fate == "cancelled" else "disconnected"
        one.estimated = True
        return one

    def _good(
        self, work: Work, where: _Where, usage: Usage, after: Attempt | None = None, waited: int = 0
    ) -> Attempt:
        chance = self._chance
        middle, speed = SPEEDS.get(where[0], SPEED)
        said = usage.output + usage.thoughts
        first = int(chance.spread(middle, 0.45)) + usage.input * 4
        whole = first + int(said / chance.spread(speed, 0.25) * 1e6) + 1_500
        return Attempt(
            number=1 if after is None else after.number + 1,
            model=where[0],
            project=where[1],
            credential=f"key:{where[1]}",
            sent_at=self._at + 400 if after is None else after.sent_at + after.duration + waited + 200,
            # What is not streamed comes at once, at its end.
            first_byte=first if work.streaming is Streaming.SSE else whole - 1_000,
            duration=whole,
            verdict=Kind.OK,
            status=200,
            model_served=where[0],
            tier_served="standard",
            response="r",
            request_bytes=usage.input * 4,
            response_bytes=300 + said * 9,
            usage=usage,
            cost=self._cost(where, usage),
            why="asked for" if after is None else "the next one",
            waited=waited,
        )

    def _bad(
        self, where: _Where, kind: Kind, status: int, reason: str, after: Attempt | None = None
    ) -> Attempt:
        return Attempt(
            number=1 if after is None else after.number + 1,
            model=where[0],
            project=where[1],
            credential=f"key:{where[1]}",
            sent_at=self._at + 400 if after is None else after.sent_at + after.duration + 200,
            first_byte=None,
            duration=int(self._chance.spread(140_000, 0.5)),
            verdict=kind,
            status=status,
            reason=reason,
            request_bytes=900,
            response_bytes=400,
            cost=_FREE_COST,
            why="asked for" if after is None else "the next one",
        )

    def _cost(self, where: _Where, usage: Usage) -> Cost:
        price = self._book.price(self._book.routed(where[0], self._at), "standard", self._at)
        return cost(price, usage, free=where[1] == FREE)

    def _record(self, work: Work, fate: str, tries: list[Attempt], usage: Usage) -> tuple[Record, int]:
        chance = self._chance
        outcome, status, reason = _ENDS.get(fate, (Outcome.OK, 200, ""))
        last = tries[-1] if tries else None
        begun = last is not None and last.first_byte is not None
        ended = last.sent_at + last.duration - self._at if last is not None else 0
        size = usage.input * 4 + 300
        prefixes, shared = _bounds(size), _bounds(work.prompt)
        record = Record(
            call_id=b"",
            boot=b"",
            received_at=self._at,
            first_byte=last.sent_at - self._at + (last.first_byte or 0) + 300
            if last and begun
            else ended + 500,
            duration=ended + 700,
            waited=sum(one.waited for one in tries),
            method=work.method,
            version="v1beta" if chance.below(3) else "v1",
            model=work.model,
            client=work.programs[chance.below(len(work.programs))],
            outcome=outcome,
            status=status,
            reason=reason,
            finish="STOP" if outcome is Outcome.OK and usage.output else "",
            streaming=work.streaming,
            request_bytes=size,
            response_bytes=last.response_bytes if last else 300,
            shape=Shape(
                tools=work.tools,
                turns=1 + chance.below(2 * work.turns),
                media=work.media,
                max_output=work.max_output,
                thinking=work.thinking,
                json_output=work.json,
                prefix_hashes=tuple(
                    _hash(work, place) if place < shared else chance.bits() for place in range(prefixes)
                ),
                request_hash=chance.bits(),
            ),
            attempts=tries,
            route=work.name,
            answered=last.number if last and outcome is Outcome.OK else 0,
            user=f"user-{chance.below(400)}" if chance.below(2) else "",
            door=work.door,
            tags=work.tags[chance.below(len(work.tags))],
        )
        return record, min(prefixes, shared)


def _bounds(size: int) -> int:
    """How many bounds of prefixes (8 KiB, 16 KiB …) lie within so many bytes."""
    return max(0, (size // _FIRST_BOUND).bit_length())


def _hash(work: Work, place: int) -> int:
    """The hash of what all calls of this kind begin with."""
    return Chance((WORKS.index(work) << 8) + place).bits()
