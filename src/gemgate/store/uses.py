"""What was used of Google's windows and of virtual keys' limits, asked of the record when a gateway starts.

Laws:

- a try counts when its method is metered and it may have reached Google, whatever came of it: refused ones may
  count too. Its tokens are those on its row, or of its intent while it is open;
- sums of five minutes (``use_slots``) are made beside the traffic by ``advance``, by the tries' commit order: no
  try is summed twice and none is left out. ``marks`` says how far it came; what lies behind is read from the rows;
- what keys spent is summed by the hour (``key_hours``) in the same way, by the calls' commit order;
- every answer about the last 26 hours is exact at every position of the mark, which only makes it quicker.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from gemgate.core.actions import UNREACHED
from gemgate.dialects.gemini.methods import GENERATING

SLOT: Final = 300_000_000
"""The span of one sum in µs. Midnight in California falls on the bound of two."""
FINE: Final = 100_000
"""The span in µs within which ``used`` takes tries together."""
_KEPT: Final = 26 * 3_600_000_000  # the longest day has 25 hours
_LEAD: Final = 900_000_000  # no try is sent later than this after its call came
_NEVER: Final = 2**63 - 1
_HOUR: Final = 3_600_000_000
_HOURS_KEPT: Final = 40 * 24 * _HOUR

_COUNTED: Final = """
a.project_id IS NOT NULL AND a.model_id IS NOT NULL
AND c.method_id IN ({methods}) AND ifnull(a.reason_id, 0) NOT IN ({unsent})
"""
# CROSS JOIN holds SQLite to the order: the range of tries first, each one's call by its key.
_ADVANCE: Final = f"""
INSERT INTO use_slots(slot, project_id, model_id, requests, tokens, first_seq)
SELECT a.sent_at / {SLOT} * {SLOT}, a.project_id, a.model_id, count(*), sum(a.input), min(a.seq)
FROM attempts AS a CROSS JOIN calls AS c ON c.seq = a.call_seq
WHERE a.seq > :low AND a.seq <= :high AND {_COUNTED}
GROUP BY 1, 2, 3
ON CONFLICT(slot, project_id, model_id) DO UPDATE SET
    requests = requests + excluded.requests, tokens = tokens + excluded.tokens,
    first_seq = min(first_seq, excluded.first_seq)
"""  # noqa: S608 - our own numbers
_RAW: Final = f"""
SELECT a.project_id, a.model_id, max(a.sent_at), count(*), sum(a.input), ifnull(sum(a.billed_nano), 0)
FROM attempts AS a CROSS JOIN calls AS c ON c.seq = a.call_seq
WHERE a.seq > :low AND a.sent_at >= :since AND a.sent_at < :until AND {_COUNTED}
GROUP BY a.project_id, a.model_id, a.sent_at / :fine
"""  # noqa: S608
_OPEN: Final = """
SELECT o.project_id, o.model_id, o.sent_at, 1, o.input_estimate, 0 FROM open_calls AS o
WHERE o.sent_at >= :since AND o.sent_at < :until AND o.project_id IS NOT NULL AND o.model_id IS NOT NULL
AND o.method_id IN ({methods})
"""
_SLOTS: Final = """
SELECT project_id, model_id, max(slot), sum(requests), sum(tokens), 0 FROM use_slots
WHERE slot >= :since AND slot < :until GROUP BY project_id, model_id
"""
_OF_ROUTES: Final = f"""
SELECT r.name, max(a.sent_at), count(*), sum(a.input)
FROM attempts AS a CROSS JOIN calls AS c ON c.seq = a.call_seq CROSS JOIN routes AS r ON r.id = c.route_id
WHERE a.seq > :low AND a.sent_at >= :since AND {_COUNTED}
GROUP BY r.name, a.sent_at / {FINE}
UNION ALL
SELECT r.name, o.sent_at, 1, o.input_estimate FROM open_calls AS o CROSS JOIN routes AS r ON r.id = o.route_id
WHERE o.sent_at >= :since AND o.method_id IN ({{methods}})
"""  # noqa: S608
# The plus keeps SQLite from walking all calls that ever had a key: few came lately.
_OF_KEYS: Final = f"""
SELECT c.key_id, max(c.received_at + c.waited), count(*), sum(c.input + c.output + c.thoughts + c.tool)
FROM calls AS c
WHERE c.received_at >= :early AND c.received_at + c.waited >= :since AND +c.key_id IS NOT NULL
AND c.attempts > 0 AND c.method_id IN ({{methods}})
GROUP BY c.key_id, (c.received_at + c.waited) / {FINE}
UNION ALL
SELECT o.key_id, min(o.sent_at), 1, max(o.input_estimate + o.output_estimate) FROM open_calls AS o
WHERE o.key_id IS NOT NULL AND o.method_id IN ({{methods}})
GROUP BY o.call_id HAVING min(o.sent_at) >= :since
"""  # noqa: S608
_HOURLY: Final = f"""
SELECT key_id, received_at / {_HOUR} * {_HOUR} AS hour, count(*) AS calls, ifnull(sum(billed_nano), 0) AS nano
FROM calls WHERE seq > :low AND seq <= :high AND +key_id IS NOT NULL
GROUP BY key_id, hour
"""  # noqa: S608
_ADVANCE_KEYS: Final = f"""
INSERT INTO key_hours(key_id, hour, calls, nano)
SELECT * FROM ({_HOURLY}) WHERE true
ON CONFLICT(key_id, hour) DO UPDATE SET calls = calls + excluded.calls, nano = nano + excluded.nano
"""  # noqa: S608
_MARK: Final = """
INSERT INTO marks(name, seq) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET seq = excluded.seq
"""
_Row = tuple[int, int, int, int, int, int]


class Spent(msgspec.Struct, frozen=True):
    """Tries of one model on one project: the last one's time (UTC µs), how many, input tokens, billed money."""

    project: str
    model: str
    sent_at: int
    requests: int
    tokens: int
    nano: int


def used(conn: sqlite3.Connection, since: int, methods: Collection[str] = GENERATING) -> list[Spent]:
    """The tries sent at ``since`` (UTC µs) or later, those within a tenth of a second taken together."""
    rows = [*_raw(conn, (since, _NEVER), FINE, methods), *_open(conn, (since, _NEVER), methods)]
    return sorted(_named(conn, rows), key=lambda one: one.sent_at)


def of_routes(
    conn: sqlite3.Connection, since: int, methods: Collection[str] = GENERATING
) -> list[tuple[str, int, int, int]]:
    """The tries of routes of one's own sent at ``since`` (UTC µs) or later: route, last time, how many, tokens."""
    found = conn.execute(_filled(conn, _OF_ROUTES, methods), {"low": _low(conn, since), "since": since})
    return [(str(name), int(at), int(count), int(tokens)) for name, at, count, tokens in found]


def of_keys(
    conn: sqlite3.Connection, since: int, methods: Collection[str] = GENERATING
) -> list[tuple[int, int, int, int]]:
    """The metered calls of virtual keys let in at ``since`` (UTC µs) or later: key, last time, how many, tokens.

    A call counts once, at the end of its waiting, when it came to a try; under way with its estimate.
    """
    sql = _filled(conn, _OF_KEYS, methods)
    found = conn.execute(sql, {"early": since - _LEAD, "since": since})
    return [(int(key), int(at), int(count), int(tokens)) for key, at, count, tokens in found]


def rates(conn: sqlite3.Connection, since: int) -> list[tuple[int, int, int]]:
    """What virtual keys have spent in each hour since that of ``since`` (UTC µs): key, hour's start, nano-dollars.

    Forty days at most. A call belongs to the hour in which it came.
    """
    sums: dict[tuple[int, int], int] = {}
    first = since // _HOUR * _HOUR
    rows = conn.execute("SELECT key_id, hour, nano FROM key_hours WHERE hour >= ?", (first,)).fetchall()
    later = conn.execute(_HOURLY, {"low": _mark(conn, "key_hours"), "high": _NEVER}).fetchall()
    for key, hour, nano in (*rows, *((key, hour, nano) for key, hour, _, nano in later if hour >= first)):
        sums[key, hour] = sums.get((key, hour), 0) + nano
    return [(key, hour, nano) for (key, hour), nano in sorted(sums.items())]


def days(
    conn: sqlite3.Connection, since: int, until: int, methods: Collection[str] = GENERATING
) -> list[Spent]:
    """The tries sent from ``since`` and before ``until`` (UTC µs): one row for each project and model.

    Quick where both are on the bound of a slot. Money is left out (0): no window of it is that long.
    """
    first, last = -(-since // SLOT) * SLOT, until // SLOT * SLOT
    if first >= last:
        rows = list(_raw(conn, (since, until), _NEVER, methods))
    else:
        rows = conn.execute(_SLOTS, {"since": first, "until": last}).fetchall()
        rows += _raw(conn, (first, last), _NEVER, methods, low=_skipped(conn, _mark(conn), first - _LEAD))
        if since < first:
            rows += _raw(conn, (since, first), _NEVER, methods)
        if last < until:
            rows += _raw(conn, (last, until), _NEVER, methods)
    rows += _open(conn, (since, until), methods)
    sums: dict[tuple[str, str], Spent] = {}
    for one in _named(conn, rows):
        key = (one.project, one.model)
        have = sums.get(key, Spent(*key, one.sent_at, 0, 0, 0))
        sums[key] = Spent(
            *key, max(have.sent_at, one.sent_at), have.requests + one.requests, have.tokens + one.tokens, 0
        )
    return list(sums.values())


def since_midnight(
    conn: sqlite3.Connection, midnight: int, recent: int, methods: Collection[str] = GENERATING
) -> list[Spent]:
    """All use since ``midnight``, as fine as ``used`` tells it since ``recent`` or a little earlier (UTC µs).

    Each try belongs to one row. Where ``recent`` lies before midnight, what was sent in between comes too.
    """
    fine = recent // SLOT * SLOT
    coarse = days(conn, midnight, fine, methods) if midnight < fine else []
    return coarse + used(conn, fine, methods)


def advance(
    conn: sqlite3.Connection, now: int, most: int = 2_000, methods: Collection[str] = GENERATING
) -> bool:
    """Sum up to ``most`` further tries; True when more are left. ``now`` is UTC µs.

    Takes one to two µs a try. Needs the caller's transaction. A start that finds a day unsummed (the first after
    an upgrade) is quicker when it sums first and asks then.
    """
    low = _skipped(conn, _mark(conn), now - _KEPT)
    top = conn.execute("SELECT ifnull(max(seq), 0) FROM attempts").fetchone()[0]
    high = min(top, low + most)
    if high > low:
        conn.execute(_filled(conn, _ADVANCE, methods), {"low": low, "high": high})
        conn.execute(_MARK, ("use_slots", high))
    conn.execute("DELETE FROM use_slots WHERE slot < ?", (now - _KEPT,))
    return bool(high < top)


def advance_keys(conn: sqlite3.Connection, now: int, most: int = 2_000) -> bool:
    """Sum what keys spent in up to ``most`` further calls; True when more are left. ``now`` is UTC µs.

    Needs the caller's transaction.
    """
    low = _mark(conn, "key_hours")
    top = conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0]
    high = min(top, low + most)
    if high > low:
        conn.execute(_ADVANCE_KEYS, {"low": low, "high": high})
        conn.execute(_MARK, ("key_hours", high))
    conn.execute("DELETE FROM key_hours WHERE hour < ?", (now - _HOURS_KEPT,))
    return bool(high < top)


def pass_over(conn: sqlite3.Connection, calls: tuple[int, int], tries: tuple[int, int]) -> None:
    """Leave out calls and tries that nobody made (after the first ``seq``, up to the second): a seeding's.

    They are passed over where all before them is summed; a gateway that starts would else read them one by one.
    Needs the transaction that writes them.
    """
    for name, (low, high) in (("key_hours", calls), ("use_slots", tries)):
        if _mark(conn, name) == low:
            conn.execute(_MARK, (name, high))


def _mark(conn: sqlite3.Connection, name: str = "use_slots") -> int:
    """The last try or call that is in the sums of that name, 0 before the first."""
    row = conn.execute("SELECT seq FROM marks WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def _skipped(conn: sqlite3.Connection, low: int, at: int) -> int:
    """``low``, or further on when nobody summed for long: what follows it is of calls received before ``at``."""
    row = conn.execute(
        "SELECT c.received_at FROM attempts AS a JOIN calls AS c ON c.seq = a.call_seq"
        " WHERE a.seq > ? ORDER BY a.seq LIMIT 1",
        (low,),
    ).fetchone()
    return low if row is None or row[0] >= at else max(low, _before(conn, at))


def _before(conn: sqlite3.Connection, at: int) -> int:
    """A ``seq`` that is below those of all tries of calls received at ``at`` or later."""
    call = conn.execute("SELECT min(seq) FROM calls WHERE received_at >= ?", (at,)).fetchone()[0]
    if call is None:
        return int(conn.execute("SELECT ifnull(max(seq), 0) FROM attempts").fetchone()[0])
    row = conn.execute(
        "SELECT seq FROM attempts WHERE call_seq >= ? ORDER BY call_seq, number LIMIT 1", (call,)
    ).fetchone()
    return int(row[0]) - 1 if row is not None else 0


def _raw(
    conn: sqlite3.Connection,
    span: tuple[int, int],
    fine: int,
    methods: Collection[str],
    low: int | None = None,
) -> Iterator[_Row]:
    """Settled tries of the span, grouped by ``fine`` µs, from the rows after ``low`` or all that may matter."""
    since, until = span
    if low is None:
        low = _low(conn, since)
    yield from conn.execute(
        _filled(conn, _RAW, methods), {"low": low, "since": since, "until": until, "fine": fine}
    )


def _low(conn: sqlite3.Connection, since: int) -> int:
    """A ``seq`` that is below those of all tries sent at ``since`` or later."""
    mark = _mark(conn)
    first = conn.execute(
        "SELECT min(first_seq) FROM use_slots WHERE slot >= ?", (since // SLOT * SLOT,)
    ).fetchone()[0]
    return _skipped(conn, mark if first is None else min(mark, int(first) - 1), since - _LEAD)


def _open(conn: sqlite3.Connection, span: tuple[int, int], methods: Collection[str]) -> Iterator[_Row]:
    """Tries under way, with their estimates."""
    yield from conn.execute(_filled(conn, _OPEN, methods), {"since": span[0], "until": span[1]})


def _filled(conn: sqlite3.Connection, sql: str, methods: Collection[str]) -> str:
    """The statement with the integers of names in it: looked up row by row they would take most of its time."""
    known = dict(conn.execute("SELECT name, id FROM methods"))
    reasons = dict(conn.execute("SELECT name, id FROM reasons"))
    metered = ",".join(str(known[name]) for name in sorted(methods) if name in known)
    unsent = ",".join(str(reasons[name]) for name in sorted(UNREACHED) if name in reasons)
    return sql.format(methods=metered, unsent=unsent)


def _named(conn: sqlite3.Connection, rows: list[_Row]) -> Iterator[Spent]:
    projects = dict(conn.execute("SELECT id, name FROM projects"))
    models = dict(conn.execute("SELECT id, name FROM models"))
    for project, model, *values in rows:
        yield Spent(projects[project], models[model], *values)
