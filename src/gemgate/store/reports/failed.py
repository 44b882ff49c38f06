"""Tries that did not answer, summed by target and reason, with where their calls went next.

The middle of a span comes from the table ``failures``, whole hours and days of it; its edges, and calls that the
rollups have not taken in yet, are read from the rows. As everywhere, a try belongs to the moment its call came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from gemgate.insight.cubes import Grain
from gemgate.insight.sets import THIN_SET
from gemgate.store.reports.asked import Ask
from gemgate.store.rollups import mark

_KEY: Final = ("model", "project", "verdict", "reason", "status", "next_model", "next_project")
_SUMMED: Final = f"""
SELECT {", ".join(_KEY)}, sum(tries), sum(list_nano), sum(billed_nano) FROM failures
WHERE grain = ? AND slot >= ? AND slot < ? GROUP BY {", ".join(_KEY)}
"""  # noqa: S608 - our own columns
# The next try of the same call, by its number; CROSS JOIN holds SQLite to the order.
_ROWS: Final = """
SELECT ifnull(a.model_id, 0), ifnull(a.project_id, 0), a.verdict_id, ifnull(a.reason_id, 0), a.status,
       ifnull(n.model_id, 0), ifnull(n.project_id, 0),
       count(*), ifnull(sum(a.list_nano), 0), ifnull(sum(a.billed_nano), 0)
FROM calls AS c CROSS JOIN attempts AS a ON a.call_seq = c.seq
LEFT JOIN attempts AS n ON n.call_seq = a.call_seq AND n.number = (
    SELECT min(m.number) FROM attempts AS m WHERE m.call_seq = a.call_seq AND m.number > a.number)
WHERE {where} AND a.verdict_id <> (SELECT id FROM verdicts WHERE name = 'ok')
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
_BY_TIME: Final = _ROWS.format(where="c.received_at >= ? AND c.received_at < ?")
_BY_SEQ: Final = _ROWS.format(where="c.seq > ? AND c.received_at >= ? AND c.received_at < ?")
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


def failures(conn: sqlite3.Connection, ask: Ask) -> list[Failure]:
    """The failed tries of the span's calls; of ``ask.filters`` those by model and project hold. Needs ``reading``."""
    sums: dict[_Row, list[int]] = {}
    for row in _rows(conn, ask.start, ask.until):
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
    ]
    models, projects = ask.filters.get("model"), ask.filters.get("project")
    return [
        one
        for one in found
        if (models is None or one.model in models) and (projects is None or one.project in projects)
    ]


def _rows(conn: sqlite3.Connection, start: int, until: int) -> Iterator[_Row]:
    """Key and sums, a key perhaps several times."""
    hour, day = Grain.HOUR.span, Grain.DAY.span
    first, last = -(-start // hour) * hour, until // hour * hour
    folded = mark(conn, THIN_SET)
    if first >= last or folded < 0:  # no whole hour, or a table that is being emptied
        yield from conn.execute(_BY_TIME, (start, until))
        return
    for low, high in ((start, first), (last, until)):
        if low < high:
            yield from conn.execute(_BY_TIME, (low, high))
    begin, end = -(-first // day) * day, last // day * day
    spans = [(Grain.HOUR, first, last)]
    if begin < end:
        spans = [(Grain.HOUR, first, begin), (Grain.DAY, begin, end), (Grain.HOUR, end, last)]
    for grain, low, high in spans:
        if low < high:
            yield from conn.execute(_SUMMED, (int(grain), low, high))
    yield from conn.execute(_BY_SEQ, (folded, first, last))
