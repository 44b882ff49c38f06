"""Advice on a record with planted waste of each kind: each is found, with the money right; a clean one has none.

What the waste costs is worked out here by hand, from prices in nano-dollars per token.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sampled import START, ask

from gemgate.config import load
from gemgate.config.book import load_book
from gemgate.core.call import Attempt, Record, Shape, Streaming, mint, spell
from gemgate.core.pricing import cost
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.insight.advice.study import KINDS
from gemgate.jobs import advice
from gemgate.jobs.context import Context
from gemgate.store import connection, evidence
from gemgate.store.database import FILE
from gemgate.store.evidence import Run
from gemgate.store.ledger import settle

HOUR = 3_600_000_000
DAY = 24 * HOUR
DAYS = 10
NOW = START + DAYS * DAY
BOOK = load_book()
KEYS = ("clean", "light", "alike", "again", "thinker", "night", "refused", "free-hand", "old")
_number = itertools.count(1)


def call(key: str, at: int, model: str, usage: Usage, **more: Any) -> Record:
    """One call of a key's, priced by the package's book; what it has of its own is unlike all others."""
    number = next(_number)
    shape = {"turns": 1, "tools": 2, "request_hash": number, "prefix_hashes": ()} | more.pop("shape", {})
    tries = more.pop("tries", [])
    one = Attempt(
        number=len(tries) + 1,
        model=model,
        project="paid",
        credential="key:1",
        sent_at=at + 10,
        first_byte=100_000,
        duration=900_000,
        verdict=Kind.OK,
        status=200,
        model_served=model,
        tier_served="standard",
        response="r",
        usage=usage,
        cost=cost(BOOK.price(model, "standard", at), usage),
    )
    values: dict[str, Any] = {
        "method": "models.streamGenerateContent",
        "streaming": Streaming.SSE,
        "finish": "STOP",
        "request_bytes": usage.input * 4,
    }
    return Record(
        call_id=mint(at, number.to_bytes(8, "big") + b".."),
        boot=b"b" * 16,
        received_at=at,
        first_byte=200_000,
        duration=1_000_000,
        version="v1beta",
        model=model,
        client="tests",
        outcome="ok",  # type: ignore[arg-type]
        status=200,
        attempts=[*tries, one],
        shape=Shape(**shape),  # type: ignore[arg-type]
        key=KEYS.index(key) + 1,
        **values | more,
    )


def spread(count: int, start: int = START) -> Iterator[int]:
    """So many moments over the days, from the first one on."""
    return (start + place * (NOW - start) // count for place in range(count))


def clean(key: str = "clean", count: int = 400, model: str = "gemini-3.8-flash") -> list[Record]:
    """Calls that nothing is to be said of: long, with tools, streamed, all day, each its own."""
    return [call(key, at, model, Usage(input=6_000, output=300, thoughts=100)) for at in spread(count)]


def light(count: int) -> list[Record]:
    usage = Usage(input=1_400, output=190)
    return [call("light", at, "gemini-3.8-flash", usage, shape={"tools": 0}) for at in spread(count)]


def alike(days: int = DAYS) -> list[Record]:
    """Twenty calls in each of three hours a day, which begin with the same 32 KiB of 48,000 bytes."""
    first = (START // DAY + 1) * DAY + 9 * HOUR
    moments = [
        first + day * DAY + hour * HOUR + place * 100_000_000
        for day in range(days - 1)
        for hour in range(3)
        for place in range(20)
    ]
    usage = Usage(input=12_000, output=300)
    shape = {"prefix_hashes": (11, 22, 33)}
    return [call("alike", at, "gemini-3.6-flash", usage, shape=shape, request_bytes=48_000) for at in moments]


def again(count: int) -> list[Record]:
    """Each asked three times within half an hour."""
    usage = Usage(input=3_000, output=300)
    return [
        call(
            "again", at + turn * 600_000_000, "gemini-3.8-flash", usage, shape={"request_hash": 10**6 + place}
        )
        for place, at in enumerate(spread(count))
        for turn in range(3)
        if at + turn * 600_000_000 < NOW
    ]


def thinker(count: int) -> list[Record]:
    usage = Usage(input=500, output=10, thoughts=2_000)
    return [call("thinker", at, "gemini-2.5-flash-lite", usage, shape={"tools": 0}) for at in spread(count)]


def night(count: int) -> list[Record]:
    """A burst in one hour of each of eight nights, not streamed."""
    first = (START // DAY + 1) * DAY + 2 * HOUR
    moments = [first + day * DAY + place * 30_000_000 for day in range(8) for place in range(count)]
    more: dict[str, Any] = {
        "method": "models.generateContent",
        "streaming": Streaming.NONE,
        "shape": {"tools": 0},
    }
    return [call("night", at, "gemini-3.8-flash", Usage(input=9_000, output=400), **more) for at in moments]


def refused(count: int) -> list[Record]:
    """Calls whose first try met a full minute, and which waited two seconds for the next."""
    made = []
    for at in spread(count):
        spent = Attempt(
            number=1,
            model="gemini-3.8-flash",
            project="spent",
            credential="key:2",
            sent_at=at,
            first_byte=None,
            duration=500_000,
            verdict=Kind.BUSY,
            status=429,
            reason="quota_minute",
        )
        one = call("refused", at, "gemini-3.8-flash", Usage(input=6_000, output=300), tries=[spent])
        one.attempts[-1].waited = 2_000_000
        made.append(one)
    return made


PLANTED = {
    # nano-dollars in the sample: calls, then tokens times the difference of two prices of a token
    "cheaper_model": ("light", lambda: light(600), 600 * (1_400 * (750 - 300) + 190 * (3_750 - 2_500))),
    # less the cache's writing once a day and its keeping for three hours a day
    "prompt_caching": (
        "alike",
        alike,
        9 * (60 * 8_192 * (750 - 75) - 8_192 * 750 - 3 * 8_192 * 500),
    ),
    "exact_repeats": ("again", lambda: again(300), 2 * 300 * (3_000 * 750 + 300 * 3_750)),
    "idle_thinking": ("thinker", lambda: thinker(600), 600 * 2_000 * 400),
    "batch": ("night", lambda: night(100), 800 * (9_000 * 375 + 400 * 1_875)),
    "spent_targets": ("", lambda: refused(100), None),
    "unlimited_key": ("free-hand", lambda: clean("free-hand", 100), None),
    "ending_model": ("", lambda: clean("old", 100, "gemini-2.5-pro"), None),
}


def record(data: Path, calls: list[Record]) -> None:
    """Put the calls on record, with all keys; one of them has no limit."""
    conn = connection.writer(data / FILE)
    conn.execute("BEGIN IMMEDIATE")
    for number, name in enumerate(KEYS, 1):
        conn.execute(
            "INSERT INTO virtual_keys(id, name, owner, tags, routes, networks, rights, rpm, created_at,"
            " expires_at, disabled_at, stopped_at, stopped_why)"
            " VALUES(?, ?, '', '[]', '[]', '[]', '[]', ?, 0, 0, 0, 0, '')",
            (number, name, None if name == "free-hand" else 600),
        )
    # By no order of time: a sample goes by it all the same.
    settle(conn, sorted(calls, key=lambda one: one.shape.request_hash * 7919 % 104_729))
    conn.keep()
    conn.close()


def looked(data: Path, most: int = evidence.MOST) -> Run:
    """What a run finds."""
    conn = connection.reader(data / FILE)
    try:
        return advice.study(conn, load(None, {}, {"data": data}), NOW, most=most)
    finally:
        conn.close()


def test_planted_waste_of_each_kind_is_found_with_its_money(data: Path) -> None:
    record(data, [*clean(), *(one for _, made, _ in PLANTED.values() for one in made())])
    run = looked(data)
    assert (run.as_of, run.since, run.until) == (NOW, START, NOW)
    found = {(one.kind, one.key): one for one in run.findings}
    assert set(found) == {(kind, key) for kind, (key, _, _) in PLANTED.items()}
    assert set(KINDS) == set(PLANTED)
    for kind, (key, _, nano) in PLANTED.items():
        one = found[kind, key]
        if nano is None:
            assert one.nano_per_month is None
        else:
            assert one.nano_per_month == pytest.approx(nano * 30 / DAYS, rel=0.05), one
        assert one.evidence.calls >= 50
        assert 1 <= len(one.evidence.ids) <= 10
        assert all((one.title, one.sentence, one.risk, one.try_it, one.evidence.computed)), one
    assert "2.5 s each" in found["spent_targets", ""].sentence
    assert "gemini-3.8-flash from 2026-12-01" in found["ending_model", ""].sentence


def test_evidence_names_calls_of_the_key(data: Path) -> None:
    record(data, [*clean(), *light(600)])
    (one,) = looked(data).findings
    theirs = {spell(call_id) for (call_id,) in ask(data, "SELECT call_id FROM calls WHERE key_id = 2")}
    assert len(one.evidence.ids) == 10
    assert set(one.evidence.ids) <= theirs
    assert one.evidence.calls == 600


def test_a_clean_record_gets_no_advice(data: Path) -> None:
    record(data, clean(count=1_500))
    run = looked(data)
    assert run.calls == 1_500
    assert run.findings == []


def near_misses() -> list[Record]:
    """Calls that look like waste and are none."""
    flash, lite = "gemini-3.8-flash", "gemini-3.5-flash-lite"
    made = []
    for place, at in enumerate(spread(600)):
        small = Usage(input=1_400, output=190)
        # Light, but already at the smallest size; with media; meant to be thought over; of a long talk.
        made.append(call("light", at, lite, small, shape={"tools": 0}))
        made.append(call("light", at, flash, small, shape={"tools": 0, "media": 1}))
        made.append(call("light", at, flash, small, shape={"tools": 0, "thinking": "level:high"}))
        made.append(call("light", at, flash, small, shape={"tools": 0, "turns": 9}))
        # A common beginning that Google's own cache has found, and one that is too short.
        usage = Usage(input=12_000, cached=9_000, output=300)
        shape: dict[str, Any] = {"prefix_hashes": (1, 2, 3)}
        made.append(call("alike", at, "gemini-3.6-flash", usage, shape=shape, request_bytes=48_000))
        shape = {"prefix_hashes": (4,)}
        made.append(
            call("alike", at, flash, Usage(input=3_000, output=300), shape=shape, request_bytes=12_000)
        )
        # The same again, before the first was answered, and two days later.
        shape = {"request_hash": 10**7 + place}
        if place % 2:
            made.append(call("again", at, flash, Usage(input=3_000, output=300), shape=shape))
            made.append(call("again", at + 500_000, flash, Usage(input=3_000, output=300), shape=shape))
        shape = {"request_hash": 10**8 + place % 120}
        made.append(call("again", at, flash, Usage(input=3_000, output=300), shape=shape))
        # Thoughts that a model cannot leave out, and thoughts before an answer of some length.
        thought = Usage(input=500, output=10, thoughts=2_000)
        made.append(call("thinker", at, "gemini-3.1-pro-preview", thought, shape={"tools": 0}))
        thought = Usage(input=5_500, output=400, thoughts=2_000)
        made.append(call("thinker", at, "gemini-2.5-flash-lite", thought, shape={"tools": 0}))
        # Not streamed, but all day long.
        unary: dict[str, Any] = {"method": "models.generateContent", "streaming": Streaming.NONE}
        made.append(call("night", at, flash, Usage(input=9_000, output=400), shape={"tools": 0}, **unary))
    # A few refusals of many.
    return [*made, *refused(40)]


def test_what_only_looks_like_waste_gets_no_advice(data: Path) -> None:
    record(data, near_misses())
    assert looked(data).findings == []


def test_an_empty_record_gets_no_advice(data: Path) -> None:
    assert looked(data) == Run(as_of=NOW, since=NOW, until=NOW, calls=0, findings=[])


@pytest.mark.parametrize("kind", [kind for kind, (_, _, nano) in PLANTED.items() if nano is not None])
def test_what_costs_nothing_saves_nothing(data: Path, kind: str) -> None:
    """The same waste on a free tier."""
    calls = PLANTED[kind][1]()
    for one in calls:
        cost = one.attempts[-1].cost
        assert cost is not None
        one.attempts[-1].cost = type(cost)(
            cost.input, cost.cached, cost.output, cost.thoughts, total=cost.total, billed=0, price=cost.price
        )
    record(data, calls)
    assert looked(data).findings == []


def test_little_evidence_is_none(data: Path) -> None:
    few = [*light(40), *alike(2)[:40], *again(15), *thinker(40), *night(5), *refused(40)]
    few += [*clean("free-hand", 40), *clean("old", 40, "gemini-2.5-pro")]
    record(data, [*clean(), *few])
    assert looked(data).findings == []


def test_a_busy_hour_is_no_month(data: Path) -> None:
    for one in (calls := light(5_000)):
        one.received_at = NOW - HOUR + (one.received_at - START) % HOUR
    record(data, calls)
    assert looked(data).findings == []


def test_a_sample_has_each_call_once_the_newest_first(data: Path) -> None:
    calls = clean(count=2_500)
    for place, one in enumerate(calls):
        # Many of one moment, over the bound of a chunk too.
        one.received_at = START + place // 700 * HOUR
    record(data, calls)
    conn = connection.reader(data / FILE)
    found = list(evidence.sample(conn, START, NOW))
    assert [one.received_at for one in found] == sorted((one.received_at for one in calls), reverse=True)
    assert {one.call_id for one in found} == {one.call_id for one in calls}
    newest = list(evidence.sample(conn, START, NOW, 2_100))
    assert newest == found[:2_100]
    assert evidence.begun(conn, START, NOW) == START
    conn.close()


DENSE = 600
"""Calls in a sample that stand for 200,000: 12 hours of a record of ten days, as 200,000 are at 5 calls a second."""


def test_a_busy_record_is_thinned_and_its_money_scaled(data: Path) -> None:
    record(data, [*clean(count=6_000), *light(4_000), *thinker(2_000)])
    run = looked(data, DENSE)
    assert (run.since, run.until) == (START, NOW)
    assert DENSE * 0.8 <= run.calls <= DENSE
    found = {one.kind: one for one in run.findings}
    assert set(found) == {"cheaper_model", "idle_thinking"}
    for kind, count in (("cheaper_model", 4_000), ("idle_thinking", 2_000)):
        one, nano = found[kind], PLANTED[kind][2]
        assert nano is not None
        assert one.nano_per_month == pytest.approx(nano * count / 600 * 30 / DAYS, rel=0.05), one
        assert one.evidence.calls < run.calls
        assert f"The sample is {run.calls:,} of 12,000 calls" in one.evidence.computed
    (said,) = [word for word in found["idle_thinking"].sentence.split() if "," in word and word[0].isdigit()]
    assert int(said.replace(",", "")) == pytest.approx(2_000, rel=0.05)


def test_a_thinned_sample_is_whole_stretches_of_all_hours_of_the_day(data: Path) -> None:
    record(data, clean(count=3_000))
    with contextlib.closing(connection.reader(data / FILE)) as conn:
        sampled = evidence.chosen(conn, START, NOW, 1_000)
        found = list(evidence.taken(conn, sampled))
        assert (sampled.total, sampled.taken, sampled.length) == (3_000, len(found), HOUR)
        assert 900 <= len(found) <= 1_000
        times = [one.received_at for one in found]
        assert times == sorted(times, reverse=True)
        each = [start <= at < until for at in times for start, until in sampled.chosen]
        assert sum(each) == len(times)
        whole = [one for one in evidence.sample(conn, START, NOW) if one.received_at in set(times)]
        assert whole == found
        # A third of the hours, and of each day of them and each time of the day at least one.
        assert len({start // DAY for start, _ in sampled.chosen}) >= DAYS
        assert len({start // HOUR % 24 for start, _ in sampled.chosen}) == 24
        said: list[int] = []
        evidence.chosen(conn, START, NOW, 1_000, lambda: said.append(0))
        assert len(said) == 24 * DAYS
        dense = evidence.chosen(conn, START, NOW, 100)
        assert dense.length < HOUR
        assert len(dense.chosen) > 20
        assert len(list(evidence.taken(conn, dense))) == dense.taken <= 100


def test_a_cache_in_a_thinned_sample_costs_for_the_part_of_the_hours(data: Path) -> None:
    """Calls of all hours that begin alike: the storage of an hour weighs as much as all its calls."""
    usage, shape = Usage(input=12_000, output=300), {"prefix_hashes": (11, 22, 33)}
    more: dict[str, Any] = {"shape": shape, "request_bytes": 48_000}
    record(data, [call("alike", at, "gemini-3.6-flash", usage, **more) for at in spread(6_000)])
    whole, thinned = looked(data), looked(data, 300)
    assert thinned.calls <= 300
    ((one,), (other,)) = (
        [one for one in run.findings if one.kind == "prompt_caching"] for run in (whole, thinned)
    )
    assert one.nano_per_month is not None
    assert other.nano_per_month is not None
    # A run of hours cannot be seen in a part of them: writing the cache counts for each.
    assert 0.6 * one.nano_per_month <= other.nano_per_month <= 1.05 * one.nano_per_month


def test_a_run_is_kept_and_found_again(data: Path) -> None:
    record(data, [*clean(), *light(600)])
    run = looked(data)
    with_none = Run(as_of=NOW + 1, since=START, until=NOW, calls=0, findings=[])
    conn = connection.visitor(data / FILE)
    assert evidence.last(conn) is None
    for one in (run, with_none):
        advice.keep(conn, one)
        assert evidence.last(conn) == one
    conn.execute("UPDATE findings SET body = x'00'")
    assert evidence.last(conn) is None
    conn.close()


def test_a_sample_is_read_by_indexes(data: Path) -> None:
    conn = connection.reader(data / FILE)
    said: list[str] = []
    conn.set_trace_callback(said.append)
    record(data, clean(count=60))
    assert len(list(evidence.sample(conn, START, NOW))) == 60
    evidence.begun(conn, START, NOW)
    evidence.chosen(conn, START, START + 2 * HOUR, 1)
    conn.set_trace_callback(None)
    asked = [sql for sql in said if "calls" in sql or "attempts" in sql or "prefixes" in sql]
    assert len(asked) >= 4
    for sql in asked:
        steps = [step for *_, step in conn.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [
            step
            for step in steps
            if step.startswith("SCAN") and "json_each" not in step and "(subq" not in step
        ], (
            sql,
            steps,
        )
    conn.close()


def test_the_job_keeps_what_it_finds_and_stops_when_told(data: Path) -> None:
    record(data, [*clean(), *light(600)])
    context = Context(load(None, {}, {"data": data}))
    context.stopping.set()
    assert advice.run(context) == ""
    with contextlib.closing(connection.reader(data / FILE)) as conn:
        assert evidence.last(conn) is None
        context.stopping.clear()
        said = advice.run(context)
        kept = evidence.last(conn)
        assert kept is not None
        assert said == f"Looked over {kept.calls:,} calls; findings: {len(kept.findings)}."
