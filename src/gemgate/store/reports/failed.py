"""Tries that did not answer, summed by target and reason, with where their calls went next.

The middle of a span comes from the table ``failures``, whole hours and days of it. The rows tell of its edges, which
are added or taken off, and of calls that the rollups have not taken in yet. As everywhere, a try belongs to the
moment its call came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from gemgate.insight.cubes import Grain
from gemgate.insight.plan import TooMuch
from gemgate.insight.sets import THIN_SET
from gemgate.store.reports.asked import Ask
from gemgate.store.reports.rows import COUNT
from gemgate.store.rollups import mark

MOST_CUT: Final = 300_000
"""Calls in hours that a bound cuts, or in no hour of the sums: more of them take over a second."""
_ADVICE: Final = "let the span begin and end at whole hours in UTC"
_KEY: Final = ("model", "project", "verdict", "reason", "status", "next_model", "next_project")
_SUMMED: Final = f"""
SELECT {", ".join(_KEY)}, sum(tries), sum(list_nano), sum(billed_nano) FROM failures
WHERE grain = ? AND slot >= ? AND slot < ? GROUP BY {", ".join(_KEY)}
"""  # noqa: S608 - our own columns
# The next try of the same call, by its number; CROSS JOIN holds SQLite to the order. The only try of a call that
# went well did not fail: most calls are left out before their tries are looked for.
_ROWS: Final = """
SELECT ifnull(a.model_id, 0), ifnull(a.project_id, 0), a.verdict_id, ifnull(a.reason_id, 0), a.status,
       ifnull(n.model_id, 0), ifnull(n.project_id, 0),
       count(*), ifnull(sum(a.list_nano), 0), ifnull(sum(a.billed_nano), 0)
FROM calls AS c CROSS JOIN attempts AS a ON a.call_seq = c.seq
LEFT JOIN attempts AS n ON n.call_seq = a.call_seq AND n.number = (
    SELECT min(m.number) FROM attempts AS m WHERE m.call_seq = a.call_seq AND m.number > a.number)
WHERE {where} AND (c.attempts > 1 OR c.outcome_id <> (SELECT id FROM outcomes WHERE name = 'ok'))
AND a.verdict_id <> (SELECT id FROM verdicts WHERE name = 'ok')
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_BY_TIME: Final = _ROWS.format(where="c.received_at >= ? AND c.received_at < ?")
# The plus keeps SQLite from going by time: calls above the mark are few, those of a span may be millions.
_BY_SEQ: Final = _ROWS.format(where="c.seq > ? AND +c.received_at >= ? AND +c.received_at < ?")
_FOLDED: Final = _ROWS.format(where="c.received_at >= ? AND c.received_at < ? AND +c.seq <= ?")
_Row = tuple[int, ...]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Tries of one target that failed alike and after which their calls went the same way ("" for nowhere)."""

    model: str
    project: str
    verdict: str
    reason: str
    status: int
    next_model: str
    next_project: str
    tries: int
    list_nano: int
    billed_nano: int


def failures(conn: sqlite3.Connection, ask: Ask, most: int = MOST_CUT) -> list[Failure]:
    """The failed tries of the span's calls; of ``ask.filters`` those by model and project hold. Needs ``reading``.

    Raises TooMuch where hours that the span cuts hold over ``most`` calls.
    """
    sums: dict[_Row, list[int]] = {}
    for row in _rows(conn, ask, most):
        have = sums.setdefault(row[: len(_KEY)], [0, 0, 0])
        for place, more in enumerate(row[len(_KEY) :]):
            have[place] += more
    names = {
        table: {0: "", **dict(conn.execute(f"SELECT id, name FROM {table}"))}  # noqa: S608 - our own names
        for table in ("models", "projects", "verdicts", "reasons")
    }
    found = [
        Failure(
            model=names["models"][key[0]],
            project=names["projects"][key[1]],
            verdict=names["verdicts"][key[2]],
            reason=names["reasons"][key[3]],
            status=key[4],
            next_model=names["models"][key[5]],
            next_project=names["projects"][key[6]],
            tries=tries,
            list_nano=list_nano,
            billed_nano=billed_nano,
        )
        for key, (tries, list_nano, billed_nano) in sums.items()
        if tries
    ]
    models, projects = ask.filters.get("model"), ask.filters.get("project")
    return [
        one
        for one in found
        if (models is None or one.model in models) and (projects is None or one.project in projects)
    ]


def _rows(conn: sqlite3.Connection, ask: Ask, most: int) -> Iterator[_Row]:
    """Key and sums, a key perhaps several times; what is taken off has sums below 0."""
    start, until = ask.start, ask.until
    folded = mark(conn, THIN_SET)
    low, high = _whole(ask)
    if low >= high or folded < 0:  # no slot that helps, or a table that is being emptied
        _bound(conn, ((start, until),), most)
        yield from conn.execute(_BY_TIME, (start, until))
        return
    _bound(conn, ((start, low), (high, until), (low, start), (until, high)), most)
    for since, end in ((start, low), (high, until)):
        if since < end:
            yield from conn.execute(_BY_TIME, (since, end))
    for since, end in ((low, start), (until, high)):
        if since < end:
            for row in conn.execute(_FOLDED, (since, end, folded)):
                yield (*row[: len(_KEY)], *(-number for number in row[len(_KEY) :]))
    for grain, since, end in _slots(low, high):
        yield from conn.execute(_SUMMED, (int(grain), since, end))
    yield from conn.execute(_BY_SEQ, (folded, max(low, start), min(high, until)))


def _bound(conn: sqlite3.Connection, cut: Iterable[tuple[int, int]], most: int) -> None:
    """Refuse to look at too many calls one by one."""
    room = most
    for since, end in cut:
        if since < end:
            room -= conn.execute(COUNT, (since, end, room + 1)).fetchone()[0]
            if room < 0:
                raise TooMuch(most - room, _ADVICE, most)


def _whole(ask: Ask) -> tuple[int, int]:
    """The hours that are taken from the sums. One that a bound cuts is taken whole where less of it lies beyond the
    bound, and what does is taken off; nothing lies beyond now, however busy the hour is."""
    hour = Grain.HOUR.span
    before, after = ask.start % hour, -ask.until % hour
    low = ask.start - before if before < hour // 2 else ask.start + hour - before
    high = ask.until + after if after < hour // 2 or ask.until >= ask.now else ask.until + after - hour
    return low, high


def _slots(low: int, high: int) -> Iterator[tuple[Grain, int, int]]:
    """Whole hours as days, as far as they are, and as hours."""
    day = Grain.DAY.span
    begin, end = -(-low // day) * day, high // day * day
    if begin >= end:
        yield Grain.HOUR, low, high
        return
    yield Grain.DAY, begin, end
    for since, until in ((low, begin), (end, high)):
        if since < until:
            yield Grain.HOUR, since, until
