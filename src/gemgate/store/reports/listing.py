"""Lists of calls, narrowed, in an order, by pages that stay right while calls are recorded.

Laws:

- a page goes on after the last row looked at (by its value in the order, then its ``seq``), never by counting rows:
  every call that was there when the first page was read comes once;
- lists by time look at no more than ``Bounds.scanned`` calls a page. What was found until then is the page, with the
  place to go on from and ``scanned_until``, the time down (or up) to which everything has been looked at;
- lists by an amount need all calls that may be in them at once, and are refused beyond ``Bounds.ordered`` of them;
- where a filter's index has few rows, these are taken and sorted; else time leads, for a common name is soon met.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gemgate.insight.plan import MOST_ROWS, TooMuch
from gemgate.store.reports.calls import CallRow, by_seq
from gemgate.store.reports.listing_terms import TOKENS, Term, Wanted, terms

ORDERS: Final[dict[str, str]] = {
    "time": "t.received_at",
    "oldest": "t.received_at",
    # What is not known stands behind everything that is.
    "cost": "ifnull(t.billed_nano, -1)",
    "list_cost": "ifnull(t.list_nano, -1)",
    "duration": "t.duration",
    "tokens": TOKENS,
    "first_byte": "ifnull(t.first_byte, -1)",
}
"""The orders of a list: by time newest first, by time oldest first, and by an amount, largest first."""
ADVICE: Final = (
    "Give a shorter span (from, to), or name a key, user, tag, route, project, model_asked, reason or status."
)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much work one page may be.

    ``scanned``: the most calls that a page by time looks at, a third of it where each needs a look at its tries or
    tags. ``ordered``: the most calls that are put in an order by an amount. ``gathered``: the most rows of a filter's
    index that are taken and sorted for a page by time.
    """

    scanned: int = MOST_ROWS
    ordered: int = MOST_ROWS
    gathered: int = 20_000


EVERYDAY: Final = Bounds()


class Place(msgspec.Struct, frozen=True):
    """Where a page ended: the value and ``seq`` of its last row, and ``top``, the newest ``seq`` that belongs to
    the list (calls recorded since do not enter an order by an amount)."""

    top: int
    value: int
    seq: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Calls in the order asked for; ``after`` is where the next page begins, None where there is none.

    ``scanned_until`` (UTC µs) is set where the page ended before it was full.
    """

    calls: list[CallRow]
    after: Place | None = None
    scanned_until: int | None = None


class _List(msgspec.Struct):
    """One list being read."""

    conn: sqlite3.Connection
    wanted: Wanted
    terms: list[Term]
    order: str
    limit: int
    place: Place | None
    top: int
    bounds: Bounds

    @property
    def value(self) -> str:
        """The expression that it is ordered by."""
        return ORDERS[self.order]

    @property
    def upward(self) -> bool:
        """Whether the smallest value comes first."""
        return self.order == "oldest"

    @property
    def direction(self) -> str:
        """The same in SQL."""
        return "ASC" if self.upward else "DESC"


def page(
    conn: sqlite3.Connection,
    wanted: Wanted,
    order: str,
    limit: int,
    place: Place | None = None,
    bounds: Bounds = EVERYDAY,
) -> Page:
    """One page of at most ``limit`` calls. Raises ``insight.plan.TooMuch``. ``order`` is one of ``ORDERS``."""
    found = terms(conn, wanted)
    if found is None:
        return Page(calls=[])
    top = place.top if place is not None else _newest(conn)
    asked = _List(conn, wanted, found, order, limit, place, top, bounds)
    if order in ("time", "oldest"):
        source = _narrowest(asked, bounds.gathered)
        return _gather(asked, source) if source is not None and source.sql else _by_time(asked)
    source = _narrowest(asked, bounds.ordered)
    if source is None:
        raise TooMuch(bounds.ordered + 1, ADVICE)
    return _gather(asked, source)


def matches(conn: sqlite3.Connection, wanted: Wanted, after: int, top: int) -> list[int] | None:
    """The ``seq`` of wanted calls in ``(after, top]`` in their order; None where no such call can be."""
    found = terms(conn, wanted)
    if found is None:
        return None
    where, values = _span(wanted)
    where = ["t.seq > ?", "t.seq <= ?", *(f"+{one}" for one in where), *(f"({one.sql})" for one in found)]
    values = [after, top, *values, *(value for one in found for value in one.values)]
    sql = f"SELECT t.seq FROM calls AS t WHERE {' AND '.join(where)} ORDER BY t.seq"  # noqa: S608
    return [row[0] for row in conn.execute(sql, values)]


def _newest(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT ifnull(max(seq), 0) FROM calls").fetchone()[0])


def _span(wanted: Wanted) -> tuple[list[str], list[Any]]:
    bounds = ((wanted.start, ">="), (wanted.until, "<"))
    given = [(f"t.received_at {sign} ?", bound) for bound, sign in bounds if bound is not None]
    return [sql for sql, _ in given], [bound for _, bound in given]


def _sources(asked: _List) -> Iterable[Term]:
    """Each way to find what may be in the list by an index: the span, and the filters that have one."""
    where, values = _span(asked.wanted)
    # The rows of the whole list need no condition, and their number is soon known.
    sql = f"SELECT t.seq FROM calls AS t{' WHERE ' + ' AND '.join(where) if where else ''}"  # noqa: S608
    yield Term("", tuple(values), sql)
    yield from (one for one in asked.terms if one.source)


def _narrowest(asked: _List, most: int) -> Term | None:
    """The way with the fewest rows, None where each has more than ``most``."""
    best, fewest = None, most + 1
    for one in _sources(asked):
        count = asked.conn.execute(
            f"SELECT count(*) FROM ({one.source} LIMIT {fewest})",  # noqa: S608 - our own words
            one.values,
        ).fetchone()[0]
        if count < fewest:
            best, fewest = one, count
    return best


def _gather(asked: _List, source: Term) -> Page:
    """A page of all rows of a source, sorted."""
    value, sign = asked.value, ">" if asked.upward else "<"
    where, values = _span(asked.wanted)
    for one in asked.terms:
        if one is not source:
            where.append(f"({one.sql})")
            values += one.values
    where.append("t.seq <= ?")
    values.append(asked.top)
    if asked.place is not None:
        where.append(f"({value} {sign} ? OR {value} = ? AND t.seq {sign} ?)")
        values += [asked.place.value, asked.place.value, asked.place.seq]
    # The left side leads: SQLite takes no index of the right one but the key.
    sql = (
        f"SELECT t.seq, {value} FROM ({source.source}) AS s CROSS JOIN calls AS t ON t.seq = s.seq"  # noqa: S608
        f" WHERE {' AND '.join(where)} ORDER BY 2 {asked.direction}, 1 {asked.direction} LIMIT ?"
    )
    rows = asked.conn.execute(sql, [*source.values, *values, asked.limit + 1]).fetchall()
    shown = rows[: asked.limit]
    calls = by_seq(asked.conn, [seq for seq, _ in shown])
    if len(rows) <= asked.limit:
        return Page(calls=calls)
    return Page(calls=calls, after=Place(asked.top, shown[-1][1], shown[-1][0]))


def _by_time(asked: _List) -> Page:
    """A page of the calls in the order of their coming, each looked at, up to the bound."""
    scanned = asked.bounds.scanned
    budget = max(1, scanned // 3) if any(one.heavy for one in asked.terms) else scanned
    where, values = _span(asked.wanted)
    if asked.place is not None:
        sign = ">" if asked.upward else "<"
        # Twice, for SQLite begins at the bound only where it stands alone.
        where += [f"t.received_at {sign}= ?", f"(t.received_at {sign} ? OR t.seq {sign} ?)"]
        values += [asked.place.value, asked.place.value, asked.place.seq]
    hit = " AND ".join(f"({one.sql})" for one in asked.terms) or "1"
    hits = [value for one in asked.terms for value in one.values]
    sql = (
        f"SELECT t.seq, t.received_at, {hit} FROM calls AS t INDEXED BY ix_calls_received_at"  # noqa: S608
        f"{' WHERE ' + ' AND '.join(where) if where else ''}"
        f" ORDER BY t.received_at {asked.direction}, t.seq {asked.direction} LIMIT ?"
    )
    found: list[int] = []
    last = Place(asked.top, 0, 0)
    more = False
    for looked, (seq, received_at, is_hit) in enumerate(
        asked.conn.execute(sql, [*hits, *values, budget + 1])
    ):
        if looked == budget or len(found) == asked.limit:
            more = True
            break
        last = Place(asked.top, received_at, seq)
        if is_hit:
            found.append(seq)
    calls = by_seq(asked.conn, found)
    if not more:
        return Page(calls=calls)
    short = len(found) < asked.limit
    return Page(calls=calls, after=last, scanned_until=last.value if short else None)
