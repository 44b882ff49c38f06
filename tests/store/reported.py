"""A record of random calls, sums of it folded as far as wanted, and every number counted by brute force.

The counting goes by the records as the gateway hands them over and by the definitions of ``insight.facts`` alone:
it shares neither SQL nor folding with what it judges.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sampled import BOOK, MODEL, START, identity

from gemgate.core.call import Attempt, Outcome, Record, Streaming
from gemgate.core.pricing import PriceBook, cost
from gemgate.core.usage import Detail, Usage
from gemgate.core.verdict import Kind
from gemgate.insight import fold
from gemgate.insight.cubes import CELLS, MINUTES_KEPT, SETS, Grain, grains
from gemgate.insight.facts import FACTS, INDEX
from gemgate.insight.sketch import METRICS, Sketches
from gemgate.store import folding, ledger
from gemgate.store.connection import Connection

SECOND = 1_000_000
DAY = 86_400 * SECOND
END = START // DAY * DAY + 7 * 3_600 * SECOND + 41 * SECOND
"""When the newest calls come: off every bound."""
KEYS = ("alpha", "beta")
NUMBERS = {"alpha": 1, "beta": 2}
"""What ``keys`` gives in a fresh record."""
MODELS = (MODEL, "gemini-other", "gemini-third")
PARTLY = PriceBook.load(
    msgspec.json.encode(
        {
            "models": [
                {
                    "id": "gemini-third",
                    "rows": [
                        {
                            "id": "gemini-third@standard",
                            "tier": "standard",
                            "input": 100_000_000,
                            "output": 400_000_000,
                        }
                    ],
                }
            ]
        }
    )
)
"""What it takes for cached tokens and for searches, nobody knows."""
Row = tuple[int, dict[str, tuple[str, ...]], dict[str, int]]
"""What counts at one target: received_at, the names of each dimension, facts."""


def keys(conn: Connection) -> dict[str, int]:
    """Virtual keys, without what makes them keys."""
    found = {}
    for name in KEYS:
        found[name] = conn.execute(
            "INSERT INTO virtual_keys(name, owner, tags, routes, networks, rights, created_at, expires_at,"
            " disabled_at, stopped_at, stopped_why)"
            " VALUES(?, '', '[]', '[]', '[]', '[]', 0, 0, 0, 0, '') RETURNING id",
            (name,),
        ).fetchone()[0]
    return found


def records(chance: random.Random, count: int, numbers: dict[str, int], days: int = 12) -> list[Record]:
    """Calls of every sort over the days up to ``END``, most of them lately, not in the order in which they came."""
    return [_record(chance, numbers, days) for _ in range(count)]


def _record(chance: random.Random, numbers: dict[str, int], days: int) -> Record:
    back = chance.choice((3_600 * SECOND, DAY, days * DAY))
    at = END - chance.randrange(back)
    if chance.random() < 0.2:
        at -= at % (900 * SECOND)  # exactly on a bound
    outcome = chance.choice((Outcome.OK, Outcome.OK, Outcome.OK, *Outcome))
    tries = [_attempt(chance, at, number) for number in range(1, chance.choice((1, 1, 1, 2, 3, 0)) + 1)]
    if len(tries) > 1 and chance.random() < 0.4:
        tries[1].hedge = True
    if outcome is Outcome.OK and tries:
        tries[-1].verdict = Kind.OK
    answered = chance.choice((0, *(one.number for one in tries)))
    duration = chance.choice((0, 90, 1_200, 55_000, 7_000_000, 180_000_000))
    return Record(
        call_id=identity(),
        boot=b"0123456789abcdef",
        received_at=at,
        first_byte=chance.choice((None, duration // 3)),
        duration=duration,
        waited=chance.choice((0, 0, duration // 5)),
        method=chance.choice(("models.generateContent", "models.countTokens")),
        version="v1beta",
        model="asked",
        client=chance.choice(("python", "js", "")),
        outcome=outcome,
        status=200 if outcome is Outcome.OK else chance.choice((400, 429, 503)),
        reason="" if outcome is Outcome.OK else chance.choice(("quota_minute", "overloaded", "")),
        streaming=chance.choice((Streaming.NONE, Streaming.SSE)),
        request_bytes=chance.randrange(9_000),
        response_bytes=chance.randrange(90_000),
        attempts=tries,
        route=chance.choice(("", "cheap", "clever")),
        answered=answered,
        key=chance.choice((0, *numbers.values())),
        tags=tuple(chance.sample(("red", "green", "blue"), chance.choice((0, 0, 1, 2)))),
    )


def _attempt(chance: random.Random, at: int, number: int) -> Attempt:
    model = chance.choice((MODEL, MODEL, *MODELS))
    details = (Detail("input", "audio", 7),) if chance.random() < 0.2 else ()
    searches = chance.choice((0, 0, 2))
    usage = Usage(
        input=chance.choice((9, 400, 250_000)),
        cached=chance.choice((0, 0, 5, 9)),
        output=chance.choice((0, 30, 800)),
        thoughts=chance.choice((0, 120)),
        tool=chance.choice((0, 3)),
        details=details,
        searches=searches,
        grounded=bool(searches),
    )
    seen = chance.random() < 0.85
    price = (BOOK.price if model == MODEL else PARTLY.price)(model, "standard", START)
    return Attempt(
        number=number,
        model=model,
        project=chance.choice(("one", "two")),
        credential="key-1",
        sent_at=at + chance.randrange(2_000),
        first_byte=None,
        duration=chance.choice((0, 700, 40_000, 5_000_000)),
        verdict=chance.choice((Kind.OK, Kind.OK, *Kind)),
        status=200,
        model_served=model,
        usage=usage if seen else None,
        estimated=chance.random() < 0.2,
        cost=cost(price, usage, free=chance.random() < 0.2) if seen else None,
    )


def fill(conn: Connection, made: Sequence[Record]) -> None:
    """Write the calls; their seq follows the order given."""
    for start in range(0, len(made), 50):
        ledger.settle(conn, made[start : start + 50])


def fold_up(conn: sqlite3.Connection, marks: dict[str, int], now: int) -> None:
    """Sum the calls up to a mark for each set of cubes, and drop old minutes, in the plainest way."""
    calls = folding.by_seq(conn, 0, max(marks.values(), default=0))
    cells: dict[tuple[int, ...], int] = {}
    sums: dict[tuple[int, int, int, int, int], fold.Sums] = {}
    for name, mark in marks.items():
        conn.execute("INSERT INTO marks(name, seq) VALUES(?, ?)", (f"rollup.{name}", mark))
        for part in (part for call in calls if call.seq <= mark for part in fold.parts(call)):
            for cube in SETS[name]:
                where = (
                    [(cells.setdefault(part.cell, len(cells) + 1), 0)]
                    if cube == CELLS
                    else list(fold.places(cube)(part.cell, part.tags))
                )
                for grain in grains(cube):
                    slot = grain.slot(part.at)
                    if grain is Grain.MINUTE and slot < now - MINUTES_KEPT:
                        continue
                    for a, b in where:
                        sums.setdefault((cube, int(grain), slot, a, b), fold.Sums()).take(part)
    conn.executemany(
        f"INSERT INTO cells VALUES({','.join('?' * 9)})", [(number, *cell) for cell, number in cells.items()]
    )
    conn.executemany(
        f"INSERT INTO rollups VALUES({','.join('?' * (5 + len(FACTS)))})",
        [(*key, *one.facts) for key, one in sums.items()],
    )
    conn.executemany(
        "INSERT INTO sketches(cube, grain, slot, a, b, body) VALUES(?, ?, ?, ?, ?, ?)",
        [(*key, one.sketches.encode()) for key, one in sums.items() if one.sketches],
    )
    conn.executemany(
        "INSERT INTO rollup_charges VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(*key, kind, *values) for key, one in sums.items() for kind, values in one.charges.items()],
    )


def told(made: Sequence[Record], numbers: dict[str, int]) -> list[Row]:
    """What counts, where and when: a row for each call, and one for each try."""
    return [row for one in made for row in _told(one, {number: name for name, number in numbers.items()})]


def answering(one: Record) -> Attempt | None:
    """The try that stands for the call."""
    for attempt in one.attempts:
        if attempt.number == one.answered:
            return attempt
    return one.attempts[-1] if one.attempts else None


def _told(one: Record, named: dict[int, str]) -> Iterator[Row]:
    final = answering(one)

    def place(attempt: Attempt | None) -> dict[str, tuple[str, ...]]:
        return {
            "model": (attempt.model if attempt else "",),
            "project": (attempt.project if attempt else "",),
            "route": (one.route,),
            "key": (named.get(one.key, ""),),
            "method": (one.method,),
            "status": (str(one.status),),
            "client": (one.client,),
            "reason": (one.reason,),
            "tag": one.tags or ("",),
        }

    earlier = [each for each in one.attempts if final is not None and each.number < final.number]
    first = one.attempts[0] if one.attempts else None
    several = len(one.attempts) > 1
    yield (
        one.received_at,
        place(final),
        {
            "calls": 1,
            **{outcome.value: int(one.outcome is outcome) for outcome in Outcome},
            "streamed": int(one.streaming is not Streaming.NONE),
            "retried": int(several),
            "switched": int(
                final is not None
                and first is not None
                and (final.model, final.project) != (first.model, first.project)
            ),
            "rescued": int(
                one.outcome is Outcome.OK and any(x.verdict not in (Kind.OK, Kind.CANCELLED) for x in earlier)
            ),
            "hedged": int(any(x.hedge for x in one.attempts)),
            "hedges_won": int(one.outcome is Outcome.OK and final is not None and final.hedge),
            "waited": one.waited,
            "busy": one.duration,
            "request_bytes": one.request_bytes,
            "response_bytes": one.response_bytes,
        },
    )
    for attempt in one.attempts:
        yield one.received_at, place(attempt), _tried(one, attempt, final)


def _tried(one: Record, attempt: Attempt, final: Attempt | None) -> dict[str, int]:
    usage = attempt.usage or Usage()
    paid = attempt.cost
    nothing = paid is None and attempt.usage is None
    listed = 0 if nothing else (paid.total if paid else None)
    billed = 0 if nothing else (paid.billed if paid else None)
    facts = {
        "tries": 1,
        "tries_failed": int(attempt.verdict is not Kind.OK),
        "input": usage.input,
        "cached": usage.cached,
        "output": usage.output,
        "thoughts": usage.thoughts,
        "tool": usage.tool,
        "estimated": usage.total if attempt.estimated else 0,
        "list_nano": listed or 0,
        "billed_nano": billed or 0,
        "estimated_list_nano": (listed or 0) if attempt.estimated else 0,
        "estimated_billed_nano": (billed or 0) if attempt.estimated else 0,
        "unpriced": int(listed is None),
        "unpriced_tokens": usage.total if listed is None else 0,
    }
    if paid is not None:
        facts |= {
            f"{kind}_nano": getattr(paid, kind) for kind in ("input", "cached", "output", "thoughts", "tool")
        }
        facts["other_nano"] = sum(charge.nano or 0 for charge in paid.charges)
    if paid is not None and paid.total is not None and usage.cached:
        plain = cost(
            BOOK.price(attempt.model, "standard", START), msgspec.structs.replace(usage, cached=0)
        ).total
        facts["saved_nano"] = max((plain or 0) - paid.total, 0)
    if one.outcome is not Outcome.OK or attempt is not final:
        word = "failed"
        raced = final is not None and (
            (attempt.hedge and attempt.number == final.number + 1)
            or (final.hedge and final.number == attempt.number + 1)
        )
        if attempt is final:
            word = "cancelled" if one.outcome is Outcome.CANCELLED else "failed"
        elif raced:
            word = "hedged"
        facts[f"{word}_list_nano"] = listed or 0
        facts[f"{word}_billed_nano"] = billed or 0
    return facts


def measured(one: Record) -> dict[str, int]:
    """A call's metrics, where it has them."""
    final = answering(one)
    if one.outcome is not Outcome.OK or final is None:
        return {}
    usage = final.usage or Usage()
    said = usage.output + usage.thoughts
    under_way: set[tuple[int, int]] = {(x.sent_at, x.sent_at + x.duration) for x in one.attempts}
    covered, end = 0, 0
    for start, until in sorted(under_way):
        covered += max(until - max(start, end), 0)
        end = max(end, until)
    found = {"duration": one.duration, "overhead": max(one.duration - one.waited - covered, 0)}
    if one.first_byte is not None:
        found["first_byte"] = one.first_byte
    if said and final.duration:
        found["rate"] = said * 1_000_000_000 // final.duration
    return found


def counted(
    rows: Sequence[Row], group: tuple[str, ...], filters: dict[str, tuple[str, ...]], bounds: Sequence[int]
) -> dict[tuple[int, tuple[str, ...]], list[int]]:
    """The facts by bucket and group, one row after the other."""
    found: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for at, names, facts in rows:
        for key in keyed(at, names, group, filters, bounds):
            have = found.setdefault(key, [0] * len(FACTS))
            for name, number in facts.items():
                have[INDEX[name]] += number
    return {key: facts for key, facts in found.items() if any(facts)}


def keyed(
    at: int,
    names: dict[str, tuple[str, ...]],
    group: tuple[str, ...],
    filters: dict[str, tuple[str, ...]],
    bounds: Sequence[int],
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Where a row counts: once for each of its tags that counts, where tags matter."""
    bucket = sum(at >= bound for bound in bounds) - 1
    if not 0 <= bucket < len(bounds) - 1:
        return
    tags: tuple[str | None, ...] = names["tag"] if "tag" in (*group, *filters) else (None,)
    for tag in tags:
        here: dict[str, Any] = {**{name: values[0] for name, values in names.items()}, "tag": tag}
        if all(here[name] in allowed for name, allowed in filters.items()):
            yield bucket, tuple(here[name] for name in group)


def sketched(values: Sequence[dict[str, int]]) -> Sketches:
    """Sketches of measured calls, made one number at a time."""
    found = Sketches()
    for place, metric in enumerate(METRICS):
        one = found[metric]
        for value in values:
            if metric in value:
                one.add(value[metric])
        found.lanes[place] = one.lanes
    return found
