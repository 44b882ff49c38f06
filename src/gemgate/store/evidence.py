"""The sample of calls that advice rests on, read beside the traffic; and the advice of the last run.

Laws:

- a span with more calls than a sample holds is thinned: all calls of short stretches are taken, which are spread
  evenly over it, over the hours of the day too, so that busy records are seen as long as quiet ones;
- the newest calls of a span come first, in chunks of a short read transaction each, with memory of one chunk;
- no chunk misses a call or has it twice: they go on by (time, number);
- the last run stands whole in one row of ``findings``, with its time, also when it has found nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from gemgate.core.usage import Detail, Usage
from gemgate.insight.advice.findings import Budgeted, Call, Failed, Finding, Sampled
from gemgate.store import budgets, keys
from gemgate.store.connection import Connection, reading

MOST: Final = 200_000
"""Calls in a sample."""
_CHUNK: Final = 2_000
_STRETCHES: Final = 40
"""So many a thinned sample has at least, where the shortest are short enough."""
_LENGTHS: Final = (3_600_000_000, 900_000_000, 300_000_000, 60_000_000, 10_000_000, 1_000_000)
_GOLDEN: Final = 0x9E3779B97F4A7C15  # 2**64 / phi: its multiples are spread evenly, whatever the stride
_HOUR: Final = 3_600_000_000
_RUN: Final = 1  # the row of the last run
_CALLS: Final = """
SELECT seq, call_id, received_at, duration, key_id, route_id, method_id, outcome_id, streaming_id, finish_id,
       request_bytes, tools, turns, media, thinking_id, json_output, cached_content, request_hash, answered
FROM calls WHERE received_at >= :since AND received_at <= :until AND (received_at < :until OR seq < :seq)
ORDER BY received_at DESC, seq DESC LIMIT :most
"""
_TRIES: Final = """
SELECT call_seq, seq, number, model_id, project_id, verdict_id, reason_id, duration, waited, tier_served_id,
       input, cached, output, thoughts, tool, searches, grounded, maps, list_nano, billed_nano
FROM attempts WHERE call_seq IN (SELECT value FROM json_each(?)) ORDER BY call_seq, number
"""
_DETAILS: Final = """
SELECT d.attempt_seq, s.name, m.name, d.tokens
FROM details AS d JOIN sides AS s ON s.id = d.side_id JOIN modalities AS m ON m.id = d.modality_id
WHERE d.attempt_seq IN (SELECT value FROM json_each(?)) ORDER BY d.attempt_seq, d.position
"""
_PREFIXES: Final = """
SELECT call_seq, size, hash FROM prefixes WHERE call_seq IN (SELECT value FROM json_each(?)) ORDER BY call_seq, size
"""
_TABLES: Final = (
    *("virtual_keys", "routes", "methods", "models", "projects", "outcomes", "streamings"),
    *("finish_reasons", "thinkings", "verdicts", "reasons", "tiers"),
)
_Names = dict[str, dict[int | None, str]]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: when it was, over how many calls received in [``since``, ``until``) (UTC µs), what it found."""

    as_of: int
    since: int
    until: int
    calls: int
    findings: list[Finding]


_run: Final = msgspec.json.Decoder(Run)


def begun(conn: sqlite3.Connection, since: int, until: int) -> int:
    """When the first call of a span came (UTC µs); ``until`` when there is none."""
    row = conn.execute(
        "SELECT min(received_at) FROM calls WHERE received_at >= ? AND received_at < ?", (since, until)
    ).fetchone()
    return until if row[0] is None else int(row[0])


def chosen(
    conn: sqlite3.Connection, since: int, until: int, most: int = MOST, look: Callable[[], None] | None = None
) -> Sampled:
    """Which calls of a span make the sample. ``look`` is called between reads; what it raises ends it."""
    with reading(conn):
        sql = "SELECT count(*) FROM (SELECT 1 FROM calls WHERE received_at >= ? AND received_at < ? LIMIT ?)"
        total: int = conn.execute(sql, (since, until, most + 1)).fetchone()[0]
    if total <= most:
        return Sampled(total, total, 0, ((since, until),))
    total = 0
    for start in range(since, until, _HOUR):
        total += _count(conn, start, min(start + _HOUR, until))
        if look is not None:
            look()
    fits = most / _STRETCHES * (until - since)
    length = next((one for one in _LENGTHS if total * one <= fits), _LENGTHS[-1])
    # In the order of their multiples: any first ones of these are spread over all.
    ranked = sorted((at * _GOLDEN % 2**64, at) for at in range(since // length, -(-until // length)))
    taken = 0
    found: list[tuple[int, int]] = []
    for _, at in ranked:
        stretch = max(at * length, since), min((at + 1) * length, until)
        count = _count(conn, *stretch)
        if found and taken + count > most:
            break
        taken += count
        found.append(stretch)
    return Sampled(total, min(taken, most), length, tuple(sorted(found, reverse=True)))


def _count(conn: sqlite3.Connection, start: int, until: int) -> int:
    with reading(conn):
        sql = "SELECT count(*) FROM calls WHERE received_at >= ? AND received_at < ?"
        return int(conn.execute(sql, (start, until)).fetchone()[0])


def taken(conn: sqlite3.Connection, sampled: Sampled) -> Iterator[Call]:
    """The calls of a sample, the newest first."""
    left = sampled.taken
    for start, until in sampled.chosen:
        for call in sample(conn, start, until, left):
            left -= 1
            yield call


def sample(conn: sqlite3.Connection, since: int, until: int, most: int = MOST) -> Iterator[Call]:
    """The newest calls received in [``since``, ``until``) (UTC µs), at most ``most`` of them, the newest first."""
    left, place = most, {"since": since, "until": until, "seq": 0}
    while left > 0:
        with reading(conn):
            rows = conn.execute(_CALLS, {**place, "most": min(_CHUNK, left)}).fetchall()
            found = list(_calls(conn, rows)) if rows else []
        if not rows:
            return
        yield from found
        left -= len(rows)
        place.update(until=rows[-1][2], seq=rows[-1][0])


def budgeted(conn: sqlite3.Connection) -> Budgeted:
    """The keys, and which of them have a budget of their own in force."""
    every, _ = keys.every(conn)
    of = frozenset(one.of for one in budgets.every(conn) if one.scope == "key" and not one.disabled_at)
    return Budgeted(tuple(every), of)


def keep(conn: Connection, run: Run) -> None:
    """Put a run in the place of the last one. Needs the caller's transaction."""
    conn.execute(
        "INSERT INTO findings(id, body, as_of) VALUES(?, ?, ?)"
        " ON CONFLICT(id) DO UPDATE SET body = excluded.body, as_of = excluded.as_of",
        (_RUN, msgspec.json.encode(run), run.as_of),
    )


def last(conn: sqlite3.Connection) -> Run | None:
    """The last run, None before the first, and when it was kept by another version in another form."""
    row = conn.execute("SELECT body FROM findings WHERE id = ?", (_RUN,)).fetchone()
    if row is None:
        return None
    try:
        return _run.decode(row[0])
    except msgspec.DecodeError:
        return None


def _calls(conn: sqlite3.Connection, rows: list[Any]) -> Iterator[Call]:
    """These rows of ``_CALLS`` with all that belongs to them."""
    names = _names(conn)
    seqs = json.dumps([row[0] for row in rows])
    tries: dict[int, list[Any]] = {}
    for one in conn.execute(_TRIES, (seqs,)):
        tries.setdefault(one[0], []).append(one)
    details: dict[int, tuple[Detail, ...]] = {}
    numbers = json.dumps([one[1] for some in tries.values() for one in some])
    for seq, side, modality, tokens in conn.execute(_DETAILS, (numbers,)):
        details[seq] = (*details.get(seq, ()), Detail(side, modality, tokens))
    prefixes: dict[int, tuple[tuple[int, int], ...]] = {}
    for seq, size, value in conn.execute(_PREFIXES, (seqs,)):
        prefixes[seq] = (*prefixes.get(seq, ()), (size, value))
    for row in rows:
        yield _call(row, tries.get(row[0], []), details, prefixes.get(row[0], ()), names)


def _call(
    row: Any,
    tries: list[Any],
    details: dict[int, tuple[Detail, ...]],
    prefixes: tuple[tuple[int, int], ...],
    names: _Names,
) -> Call:
    """One call. The try that answered is that of its row, else the last."""
    answered = next((one for one in tries if one[2] == row[18]), tries[-1] if tries else None)
    billed = answered[19] if answered is not None else 0
    return Call(
        call_id=row[1],
        received_at=row[2],
        duration=row[3],
        key=names["virtual_keys"].get(row[4], ""),
        route=names["routes"].get(row[5], ""),
        method=names["methods"].get(row[6], ""),
        outcome=names["outcomes"].get(row[7], ""),
        streaming=names["streamings"].get(row[8], ""),
        finish=names["finish_reasons"].get(row[9], ""),
        request_bytes=row[10],
        tools=row[11],
        turns=row[12],
        media=row[13],
        thinking=names["thinkings"].get(row[14], ""),
        json_output=bool(row[15]),
        cached_content=bool(row[16]),
        request_hash=row[17],
        model=names["models"].get(answered[3], "") if answered is not None else "",
        project=names["projects"].get(answered[4], "") if answered is not None else "",
        tier=names["tiers"].get(answered[9], "") if answered is not None else "",
        usage=_usage(answered, details.get(answered[1], ())) if answered is not None else Usage(),
        paid=bool(billed),
        nano=billed or 0,
        prefixes=prefixes,
        failed=tuple(_failed(tries, answered, names)),
    )


def _usage(one: Any, details: tuple[Detail, ...]) -> Usage:
    return Usage(
        input=one[10],
        cached=one[11],
        output=one[12],
        thoughts=one[13],
        tool=one[14],
        details=details,
        searches=one[15],
        grounded=bool(one[16]),
        maps=one[17],
    )


def _failed(tries: list[Any], answered: Any, names: _Names) -> Iterator[Failed]:
    """The tries that did not answer, each with the wait that the next one had."""
    for place, one in enumerate(tries):
        verdict = names["verdicts"].get(one[5], "")
        if one is answered and verdict == "ok":
            continue
        waited = tries[place + 1][8] if place + 1 < len(tries) else 0
        yield Failed(
            names["models"].get(one[3], ""),
            names["projects"].get(one[4], ""),
            verdict,
            names["reasons"].get(one[6], ""),
            one[7] + waited,
            one[19] or 0,
        )


def _names(conn: sqlite3.Connection) -> _Names:
    """The names of all dimensions that a call has, by number."""
    return {
        table: {number: str(name) for number, name in conn.execute(f"SELECT id, name FROM {table}")}  # noqa: S608
        for table in _TABLES
    }
