"""The sums of a record worked out call by call in the plainest way, to hold the tables of sums against, and calls of
all kinds to sum."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sampled import MODEL, PLAIN, RICH, START, attempt, intent, priced, record

from gemgate.core.call import Charge, Cost, Outcome, Record, Streaming
from gemgate.core.usage import Detail, Usage
from gemgate.core.verdict import Kind
from gemgate.insight.sketch import METRICS, Sketches
from gemgate.store import folding, reprice_sums
from gemgate.store.connection import Connection

NAMES = ("model", "route", "key", "project", "method", "status", "client", "reason", "tag")
GRAINS = {60: "thin", 900: "thin", 3_600: "thin", 86_400: "thin pair"}
DAY = 86_400_000_000
BASE = START // DAY * DAY
MIXED = Usage(
    input=5_000,
    cached=3_000,
    output=50,
    thoughts=11,
    details=(Detail("input", "audio", 900), Detail("cached", "audio", 400)),
)
_USAGES = (
    PLAIN,
    RICH,
    MIXED,
    Usage(),
    Usage(input=7, output=3),
    Usage(input=400_000, cached=1, output=9_000),
)
_CHARGED = Cost(5, 0, 6, 0, 0, (Charge("image_output", 2, 40), Charge("maps", 3, None)), None, None)


@contextlib.contextmanager
def correcting(conn: Connection, seqs: Sequence[int]) -> Iterator[None]:
    """Correct the sums of these calls for what the block changes of their money, in the caller's transaction."""
    before = folding.of(conn, sorted(seqs))
    yield
    reprice_sums.apply(conn, reprice_sums.prepare(conn, before, folding.of(conn, sorted(seqs))))


def calls(chance: random.Random, count: int, boot: bytes, span: int = 3 * DAY) -> list[Record]:
    """Calls of every kind in no order of time, with no try, one, or several."""
    return [_call(chance, boot, BASE + chance.randrange(span)) for _ in range(count)]


def _call(chance: random.Random, boot: bytes, at: int) -> Record:
    pick = chance.choice
    one = intent(
        boot,
        received_at=at,
        method=pick(("generateContent", "countTokens")),
        model=pick((MODEL, "gemini-other")),
        client=pick(("", "curl", "sdk")),
        streaming=pick(tuple(Streaming)),
    )
    tries = []
    sent = at
    for number in range(1, pick((0, 1, 1, 1, 1, 2, 3)) + 1):
        sent += chance.randrange(2_000_000)
        usage = pick((None, *_USAGES))
        model = pick((MODEL, MODEL, "gemini-other", ""))
        there = msgspec.structs.replace(
            one, attempt=number, sent_at=sent, model=model, project=pick(("a", "b"))
        )
        cost = None if usage is None else pick((priced(usage), priced(usage, free=True), None, _CHARGED))
        made = attempt(
            there,
            usage=usage,
            cost=cost,
            duration=chance.randrange(5_000_000),
            verdict=pick((Kind.OK, *Kind)),
            status=pick((200, 429, 503)),
            reason=pick(("", "quota_minute", "stall")),
            estimated=pick((False, False, True)),
            hedge=number == 2 and pick((False, True)),
        )
        tries.append(made)
    duration = pick(
        (0, chance.randrange(200), chance.randrange(9_000_000), chance.randrange(4 * 3_600_000_000))
    )
    made = record(
        one,
        received_at=at,
        duration=duration,
        first_byte=pick((None, 0, duration // 2)),
        waited=chance.randrange(400_000),
        outcome=pick((Outcome.OK, Outcome.OK, *Outcome)),
        status=pick((200, 200, 400, 503)),
        reason=pick(("", "", "spent", "no_room")),
        route=pick(("", "fast")),
        answered=pick((0, chance.randint(0, len(tries)))),
        request_bytes=chance.randrange(10**6),
        response_bytes=chance.randrange(10**6),
        tags=tuple(chance.sample(("x", "y", "z"), pick((0, 0, 1, 3)))),
    )
    return msgspec.structs.replace(made, attempts=tries)


Sums = dict[str, int]
Key = tuple[Any, ...]


class Truth:
    """What the tables must hold for the calls up to a mark."""

    def __init__(self) -> None:
        self.facts: dict[Key, Sums] = defaultdict(lambda: defaultdict(int))
        self.samples: dict[Key, list[list[int]]] = defaultdict(lambda: [[], [], [], []])
        self.charges: dict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.failures: dict[Key, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.busy: dict[int, int] = defaultdict(int)


def rows(conn: sqlite3.Connection, sql: str, *values: Any) -> list[dict[str, Any]]:
    """The rows as dictionaries."""
    found = conn.execute(sql, values)
    return [dict(zip((column[0] for column in found.description), row, strict=True)) for row in found]


def truth(conn: sqlite3.Connection, marks: dict[str, int], since: int) -> Truth:
    """The sums, each set up to its mark, minutes from ``since`` on."""
    made = Truth()
    names = {
        table: dict(conn.execute(f"SELECT id, name FROM {table}"))
        for table in ("outcomes", "verdicts", "streamings")
    }
    for call in rows(conn, "SELECT * FROM calls"):
        tries = rows(conn, "SELECT * FROM attempts WHERE call_seq = ? ORDER BY number", call["seq"])
        tags = [
            tag for (tag,) in conn.execute("SELECT tag_id FROM call_tags WHERE call_seq = ?", (call["seq"],))
        ]
        call["outcome"] = names["outcomes"][call["outcome_id"]]
        call["streamed"] = names["streamings"].get(call["streaming_id"], "none") != "none"
        for one in tries:
            one["verdict"] = names["verdicts"][one["verdict_id"]]
            one["charges"] = rows(conn, "SELECT * FROM charges WHERE attempt_seq = ?", one["seq"])
            one["saved"] = _saved(conn, one)
        _count(made, call, tries, tags or [0], marks, since)
    return made


def _saved(conn: sqlite3.Connection, one: dict[str, Any]) -> int:
    """With the book of the tests: plain tokens cost 270 nano-dollars less each when cached, unlike audio's 970."""
    if not one["cached"] or one["list_nano"] is None or one["price_id"] is None:
        return 0
    audio = conn.execute(
        "SELECT ifnull(sum(d.tokens), 0) FROM details AS d JOIN sides AS s ON s.id = d.side_id"
        " WHERE d.attempt_seq = ? AND s.name = 'cached'",
        (one["seq"],),
    ).fetchone()[0]
    return (one["cached"] - audio) * 270 + audio * 970


def _count(
    made: Truth,
    call: dict[str, Any],
    tries: list[dict[str, Any]],
    tags: list[int],
    marks: dict[str, int],
    since: int,
) -> None:
    last = next((one for one in tries if one["number"] == call["answered"]), tries[-1] if tries else None)
    for where in _where(call, last, tags, marks, since):
        sums = made.facts[where]
        for name, number in _of_call(call, tries, last).items():
            sums[name] += number
        if call["outcome"] == "ok" and last is not None:
            for kept, value in zip(made.samples[where], _metrics(call, tries, last), strict=True):
                if value is not None:
                    kept.append(value)
    for one in tries:
        for where in _where(call, one, tags, marks, since):
            for name, number in _of_try(call, one, last).items():
                made.facts[where][name] += number
            for charge in one["charges"]:
                have = made.charges[(*where, charge["kind_id"])]
                have[0] += charge["quantity"]
                have[1] += charge["nano"] or 0
                have[2] += charge["nano"] is None
    if call["seq"] > marks["thin"]:
        return
    for one, after in itertools.zip_longest(tries, tries[1:]):
        if one is not None and one["verdict"] != "ok":
            to = (0, 0) if after is None else (after["model_id"] or 0, after["project_id"] or 0)
            key = (one["model_id"] or 0, one["project_id"] or 0, one["verdict_id"], one["reason_id"] or 0)
            for grain in (3_600, 86_400):
                slot = call["received_at"] // (grain * 10**6) * grain * 10**6
                have = made.failures[(grain, slot, *key, one["status"], *to)]
                have[0] += 1
                have[1] += one["list_nano"] or 0
                have[2] += one["billed_nano"] or 0
    start, end = call["received_at"], call["received_at"] + call["duration"]
    for minute in range(start // 60_000_000 * 60_000_000, end if call["duration"] else 0, 60_000_000):
        made.busy[minute] += min(end, minute + 60_000_000) - max(start, minute)


def _where(
    call: dict[str, Any], target: dict[str, Any] | None, tags: list[int], marks: dict[str, int], since: int
) -> list[Key]:
    """All rows in which a call, or one of its tries, counts."""
    values = {name: call.get(f"{name}_id") or 0 for name in NAMES}
    values["status"] = call["status"]
    for name in ("model", "project"):
        values[name] = 0 if target is None else target[f"{name}_id"] or 0
    found: list[Key] = []

    def add(cube: int, at: str, grains: tuple[int, ...], names: tuple[str, ...]) -> None:
        if call["seq"] > marks[at] or ("reason" in names and not values["reason"]):
            return
        for tag in tags if "tag" in names else [0]:
            keys = [tag if name == "tag" else values[name] for name in names]
            for grain in grains:
                slot = call["received_at"] // (grain * 10**6) * grain * 10**6
                if grain > 60 or slot >= since:
                    found.append((cube, grain, slot, *keys, *[0] * (2 - len(keys))))

    add(0, "thin", (60, 900, 3_600, 86_400), ())
    for place, name in enumerate(NAMES, 1):
        add(place, "thin", (60, 900, 3_600, 86_400), (name,))
    for number, (one, other) in enumerate(itertools.combinations(range(1, 10), 2)):
        add(100 + 10 * one + other, f"pairs.{number // 4}", (86_400,), (NAMES[one - 1], NAMES[other - 1]))
    if call["seq"] <= marks["cells"]:
        hour = call["received_at"] // 3_600_000_000 * 3_600_000_000
        found.append((10, 3_600, hour, tuple(values[name] for name in NAMES[:-1]), 0))
    return found


def _of_call(
    call: dict[str, Any], tries: list[dict[str, Any]], last: dict[str, Any] | None
) -> dict[str, int]:
    outcome = call["outcome"]
    missed = [one for one in tries if last is not None and one["number"] < last["number"]]
    target = ("model_id", "project_id")
    return {
        "calls": 1,
        **{
            name: int(outcome == name)
            for name in ("ok", "refused", "failed", "cut", "cancelled", "interrupted")
        },
        "streamed": int(call["streamed"]),
        "retried": int(len(tries) >= 2),
        "switched": int(last is not None and any(last[name] != tries[0][name] for name in target)),
        "rescued": int(outcome == "ok" and any(one["verdict"] not in ("ok", "cancelled") for one in missed)),
        "hedged": int(any(one["hedge"] for one in tries)),
        "hedges_won": int(outcome == "ok" and last is not None and last["hedge"]),
        "waited": call["waited"],
        "busy": call["duration"],
        "request_bytes": call["request_bytes"],
        "response_bytes": call["response_bytes"],
    }


def _of_try(call: dict[str, Any], one: dict[str, Any], last: dict[str, Any] | None) -> dict[str, int]:
    assert last is not None
    tokens = one["input"] + one["output"] + one["thoughts"] + one["tool"]
    listed, billed = one["list_nano"] or 0, one["billed_nano"] or 0
    found = {
        "tries": 1,
        "tries_failed": int(one["verdict"] != "ok"),
        **{name: one[name] for name in ("input", "cached", "output", "thoughts", "tool")},
        "estimated": one["estimated"] * tokens,
        "list_nano": listed,
        "billed_nano": billed,
        "estimated_list_nano": one["estimated"] * listed,
        "estimated_billed_nano": one["estimated"] * billed,
        "unpriced": int(one["list_nano"] is None),
        "unpriced_tokens": tokens * (one["list_nano"] is None),
        **{f"{name}_nano": one[f"{name}_nano"] for name in ("input", "cached", "output", "thoughts", "tool")},
        "other_nano": sum(charge["nano"] or 0 for charge in one["charges"]),
        "saved_nano": one["saved"],
    }
    if call["outcome"] == "ok" and one["number"] == last["number"]:
        return found
    how = "failed"
    if abs(one["number"] - last["number"]) == 1 and max(one, last, key=lambda each: each["number"])["hedge"]:
        how = "hedged"
    elif one["number"] == last["number"] and call["outcome"] == "cancelled":
        how = "cancelled"
    return {**found, f"{how}_list_nano": listed, f"{how}_billed_nano": billed}


def _metrics(
    call: dict[str, Any], tries: list[dict[str, Any]], last: dict[str, Any]
) -> tuple[int | None, ...]:
    said = last["output"] + last["thoughts"]
    rate = said * 10**9 // last["duration"] if said and last["duration"] else None
    away = 0
    bounds = sorted({bound for one in tries for bound in (one["sent_at"], one["sent_at"] + one["duration"])})
    for start, end in itertools.pairwise(bounds):
        if any(one["sent_at"] <= start and end <= one["sent_at"] + one["duration"] for one in tries):
            away += end - start
    overhead = max(call["duration"] - call["waited"] - away, 0)
    return call["duration"], call["first_byte"], rate, overhead


def table(conn: sqlite3.Connection, name: str, since: int) -> dict[Key, dict[str, Any]]:
    """The rows of a table of sums by their place; a cell's integer is undone."""
    cells = {row[0]: row[1:] for row in conn.execute("SELECT * FROM cells")}
    found = {}
    for row in rows(conn, f"SELECT * FROM {name} WHERE grain > 60 OR slot >= ?", since):
        a = cells[row["a"]] if row["cube"] == 10 else row["a"]
        key: Key = (row["cube"], row["grain"], row["slot"], a, row["b"])
        found[(*key, row["kind_id"]) if "kind_id" in row else key] = row
    return found


def check(conn: sqlite3.Connection, marks: dict[str, int], since: int = 0) -> None:
    """Hold all tables of sums against the record."""
    made = truth(conn, marks, since)
    facts = table(conn, "rollups", since)
    assert facts.keys() == made.facts.keys()
    for key, sums in made.facts.items():
        row = facts[key]
        assert {name: row[name] for name in row if row[name] and name not in _PLACE} == {
            name: number for name, number in sums.items() if number
        }, key
    sketches = table(conn, "sketches", since)
    assert sketches.keys() == made.samples.keys()
    for key, kept in made.samples.items():
        found = Sketches.decode(sketches[key]["body"])
        for metric, values in zip(METRICS, kept, strict=True):
            _near(found[metric], sorted(values))
    charges = table(conn, "rollup_charges", since)
    assert {
        key: [row["quantity"], row["nano"], row["unpriced"]]
        for key, row in charges.items()
        if row["quantity"] or row["nano"] or row["unpriced"]
    } == dict(made.charges)
    failures = {tuple(row[:9]): list(row[9:]) for row in conn.execute("SELECT * FROM failures")}
    assert {key: numbers for key, numbers in failures.items() if any(numbers)} == dict(made.failures)
    assert dict(conn.execute("SELECT minute, busy FROM busy_minutes")) == dict(made.busy)


_PLACE = ("cube", "grain", "slot", "a", "b")


def _near(sketch: Any, values: list[int]) -> None:
    assert sketch.count == len(values)
    for percent in (1, 50, 90, 99, 100):
        got = sketch.quantiles((percent / 100,))[0]
        if not values:
            assert got is None
            continue
        true = values[-(-percent * len(values) // 100) - 1]
        assert abs(got - true) <= true / 128
