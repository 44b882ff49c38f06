"""Tries priced anew: the one change that calls and attempts on record undergo, and it is of their money alone.

Laws:

- what was used, what was estimated and which project paid nothing stay as they are: the price alone is another;
- a try is priced by the model that answered, at the moment at which it was sent, as when it was settled;
- tries, charges, the sums of calls, those of keys by the hour, and all that is rolled up change in one transaction,
  so that ``gemgate verify`` finds the record whole after any of them;
- what budgets were charged stays: it is what held calls back then.

Times are UTC µs, money nano-dollars, None unpriced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gemgate.core.call import Charge, Cost
from gemgate.core.pricing import PriceBook, cost
from gemgate.core.spending import UNMETERED
from gemgate.core.usage import Detail, Usage
from gemgate.dialects.gemini.methods import GENERATING
from gemgate.insight.fold import CallFact
from gemgate.store import folding, reprice_sums
from gemgate.store.connection import Connection
from gemgate.store.reprice_sums import Moves

Place = tuple[int, int]
"""Where a call stands in the order of their coming: its time and its seq."""

MOST: Final = 2**63 - 1
_HOUR: Final = 3_600_000_000
_PRICED: Final = GENERATING - UNMETERED
_CALLS: Final = """
SELECT c.seq, c.received_at, ifnull(c.key_id, 0), ifnull(m.name, ''), ifnull(t.name, '')
FROM calls AS c LEFT JOIN methods AS m ON m.id = c.method_id LEFT JOIN tiers AS t ON t.id = c.tier_id
WHERE (c.received_at, c.seq) > (?, ?) AND c.received_at < ? ORDER BY c.received_at, c.seq LIMIT ?
"""
_NEXT: Final = """
FROM (SELECT received_at, seq FROM calls WHERE (received_at, seq) > (?, ?) AND received_at < ?
      ORDER BY received_at, seq LIMIT ?)
"""
_TRIES: Final = """
SELECT a.seq, a.call_seq, a.number, ifnull(m.name, ''), ifnull(p.name, ''), a.sent_at, ifnull(s.name, ''),
       ifnull(t.name, ''), v.name = 'cut' AND ifnull(r.name, '') = 'interrupted', a.seen, a.estimated, a.price_id,
       a.input, a.cached, a.output, a.thoughts, a.tool, a.searches, a.grounded, a.maps,
       a.input_nano, a.cached_nano, a.output_nano, a.thoughts_nano, a.tool_nano, a.list_nano, a.billed_nano
FROM attempts AS a JOIN verdicts AS v ON v.id = a.verdict_id LEFT JOIN reasons AS r ON r.id = a.reason_id
LEFT JOIN models AS m ON m.id = a.model_id LEFT JOIN projects AS p ON p.id = a.project_id
LEFT JOIN models AS s ON s.id = a.model_served_id LEFT JOIN tiers AS t ON t.id = a.tier_served_id
WHERE a.call_seq = ? ORDER BY a.number
"""
_CHARGES: Final = """
SELECT k.name, c.quantity, c.nano FROM charges AS c JOIN charge_kinds AS k ON k.id = c.kind_id
WHERE c.attempt_seq = ? ORDER BY c.position
"""
_DETAILS: Final = """
SELECT s.name, m.name, d.tokens FROM details AS d
JOIN sides AS s ON s.id = d.side_id JOIN modalities AS m ON m.id = d.modality_id
WHERE d.attempt_seq = ? ORDER BY d.position
"""
_SET_TRY: Final = """
UPDATE attempts SET input_nano = ?, cached_nano = ?, output_nano = ?, thoughts_nano = ?, tool_nano = ?,
    list_nano = ?, billed_nano = ?, price_id = ? WHERE seq = ?
"""
_SET_CALL: Final = """
UPDATE calls SET list_nano = ?, billed_nano = ?, estimated_list_nano = ?, estimated_billed_nano = ?
WHERE seq = ? RETURNING billed_nano
"""


class Try(NamedTuple):
    """One try of a call. ``lost``: a dead process left it open, so nobody said of which tier it was."""

    seq: int
    number: int
    model: str
    project: str
    sent_at: int
    served: str
    tier: str
    estimated: bool
    priced: bool
    usage: Usage
    cost: Cost
    price_id: int | None


class Call(NamedTuple):
    """A call with its tries. ``key`` is its virtual key's number, 0 for none."""

    seq: int
    received_at: int
    key: int
    tries: tuple[Try, ...]


class Anew(NamedTuple):
    """A call with what its tries shall cost, in order; None for one that keeps its cost, unlooked at."""

    call: Call
    costs: tuple[Cost | None, ...]
    changes: bool
    book: PriceBook


def count(
    conn: sqlite3.Connection, after: Place, until: int, most: int = 100_000
) -> tuple[int, Place | None]:
    """How many calls came after a place and before ``until``: ``most`` of them at most.

    Where there may be more, the place of the last one comes too, to go on from; else None.
    """
    values = (*after, until, most)
    found, last = conn.execute(f"SELECT count(*), max(received_at) {_NEXT}", values).fetchone()
    if found < most:
        return int(found), None
    seq = conn.execute(f"SELECT max(seq) {_NEXT} WHERE received_at = ?", (*values, last)).fetchone()[0]
    return int(found), (int(last), int(seq))


def read(conn: sqlite3.Connection, after: Place, until: int, limit: int) -> list[Call]:
    """The next calls that came after a place and before ``until``; ``limit`` of them at most."""
    return [
        Call(seq, at, key, tuple(_tries(conn, seq, method in _PRICED, tier)))
        for seq, at, key, method, tier in conn.execute(_CALLS, (*after, until, limit)).fetchall()
    ]


def anew(call: Call, book: PriceBook, free: Collection[str], model: str = "") -> Anew:
    """What a call costs by a book.

    ``free`` are the projects that pay nothing now: they decide where the record does not tell (a try that cost
    nothing at list price). ``model``: only tries that are priced as this model.
    """
    only = book.resolve(model) if model else ""
    costs = tuple(_cost(one, book, free, only) for one in call.tries)
    return Anew(call, costs, any(map(differs, call.tries, costs)), book)


class Prepared(NamedTuple):
    """Calls priced anew, and what their sums move by."""

    changes: tuple[Anew, ...]
    moves: Moves | None


def prepare(conn: Connection, changes: Sequence[Anew]) -> Prepared:
    """Work out, without the lock, what is to be written when these calls change. In a read transaction.

    The kinds of charges must be on record (``kinds``).
    """
    chosen = sorted((one for one in changes if one.changes), key=lambda one: one.call.seq)
    if not chosen:
        return Prepared((), None)
    before = folding.of(conn, [one.call.seq for one in chosen])
    after = [_after(conn, fact, one) for fact, one in zip(before, chosen, strict=True)]
    return Prepared(tuple(chosen), reprice_sums.prepare(conn, before, after))


def kinds(conn: Connection, changes: Iterable[Anew]) -> set[str]:
    """The kinds of charges of these calls that have no integer on record yet."""
    known = {name for (name,) in conn.execute("SELECT name FROM charge_kinds")}
    found = {charge.kind for one in changes for cost_ in one.costs if cost_ for charge in cost_.charges}
    return found - known


def name_kinds(conn: Connection, names: Iterable[str]) -> None:
    """Give kinds of charges their integers. Needs the caller's transaction."""
    for name in sorted(names):
        conn.names.charge_kinds[name]


def write(conn: Connection, prepared: Prepared, ids: Mapping[str, int]) -> None:
    """Put the money of these calls on record, and all sums of it. ``ids`` are the price rows' integers.

    Needs the caller's transaction. What was read must still be so: one re-pricing at a time. Raises Moved when the
    sums went on meanwhile: then the transaction is to be undone, and the calls prepared anew.
    """
    for change in prepared.changes:
        for one, cost_ in zip(change.call.tries, change.costs, strict=True):
            if cost_ is not None and differs(one, cost_):
                _write_try(conn, one, cost_, ids)
        _write_call(conn, change)
    if prepared.moves is not None:
        reprice_sums.apply(conn, prepared.moves)


def _after(conn: Connection, fact: CallFact, change: Anew) -> CallFact:
    """A call as the sums will see it."""
    numbers = conn.names.charge_kinds
    tries = []
    for has, one, cost_ in zip(fact.tries, change.call.tries, change.costs, strict=True):
        if cost_ is None or not differs(one, cost_):
            tries.append(has)
            continue
        tries.append(
            has._replace(
                input_nano=cost_.input,
                cached_nano=cost_.cached,
                output_nano=cost_.output,
                thoughts_nano=cost_.thoughts,
                tool_nano=cost_.tool,
                list_nano=cost_.total,
                billed_nano=cost_.billed,
                saved_nano=_saved(one, cost_, change.book),
                charges=tuple((numbers[each.kind] or 0, each.quantity, each.nano) for each in cost_.charges),
            )
        )
    return fact._replace(tries=tuple(tries))


def _saved(one: Try, cost_: Cost, book: PriceBook) -> int:
    """What the cached tokens of a try would cost more as ordinary input, as ``folding`` works it out."""
    if not one.usage.cached or cost_.total is None or not cost_.price:
        return 0
    price = book.price(one.served or book.routed(one.model, one.sent_at), one.tier, one.sent_at)
    fresh = tuple(detail for detail in one.usage.details if detail.side != "cached")
    whole = cost(price, msgspec.structs.replace(one.usage, cached=0, details=fresh)).total
    return 0 if whole is None else max(whole - cost_.total, 0)


def move(
    conn: Connection, number: int, step: tuple[int, int], total: int, result: Mapping[str, object]
) -> bool:
    """Say how far a re-pricing (a job's number) has come: from ``step[0]`` calls done to ``step[1]``.

    False when it is not there any more: it was cancelled, or another process does it. Needs the transaction that
    changes these calls.
    """
    done, more = step
    row = conn.execute(
        "UPDATE jobs SET done = ?, total = ?, result = ? WHERE id = ? AND state = 'running' AND done = ?",
        (more, total, msgspec.json.encode(result).decode(), number, done),
    )
    return row.rowcount > 0


def _write_try(conn: Connection, one: Try, cost_: Cost, ids: Mapping[str, int]) -> None:
    parts = (cost_.input, cost_.cached, cost_.output, cost_.thoughts, cost_.tool)
    price = ids[cost_.price] if cost_.price else None
    conn.execute(_SET_TRY, (*parts, cost_.total, cost_.billed, price, one.seq))
    if cost_.charges != one.cost.charges:
        conn.execute("DELETE FROM charges WHERE attempt_seq = ?", (one.seq,))
        kinds = conn.names.charge_kinds
        rows = [
            (one.seq, place, kinds[charge.kind], charge.quantity, charge.nano)
            for place, charge in enumerate(cost_.charges)
        ]
        conn.executemany(
            "INSERT INTO charges(attempt_seq, position, kind_id, quantity, nano) VALUES(?, ?, ?, ?, ?)", rows
        )


def _write_call(conn: Connection, change: Anew) -> None:
    """The sums of a call, and of its key's hour."""
    call = change.call
    costs = [cost_ or one.cost for one, cost_ in zip(call.tries, change.costs, strict=True)]
    guessed = [cost_ for one, cost_ in zip(call.tries, costs, strict=True) if one.estimated]
    sums = (
        *(_sum(cost_.total for cost_ in costs), _sum(cost_.billed for cost_ in costs)),
        *(_sum(cost_.total for cost_ in guessed), _sum(cost_.billed for cost_ in guessed)),
    )
    conn.execute(_SET_CALL, (*sums, call.seq))
    before = _sum(one.cost.billed for one in call.tries)
    if call.key and (more := (sums[1] or 0) - (before or 0)):
        conn.execute(
            "UPDATE key_hours SET nano = nano + ? WHERE key_id = ? AND hour = ?"
            " AND ? <= ifnull((SELECT seq FROM marks WHERE name = 'key_hours'), 0)",
            (more, call.key, call.received_at // _HOUR * _HOUR, call.seq),
        )


def _tries(conn: sqlite3.Connection, call: int, priced: bool, tier: str) -> Iterator[Try]:
    """The tries of a call, whose method has prices or not, and which asked for that tier."""
    for row in conn.execute(_TRIES, (call,)).fetchall():
        seq, _, number, model, project, sent_at, served, said, lost, seen, estimated, price_id = row[:12]
        details: tuple[Detail, ...] = ()
        if seen:
            details = tuple(Detail(*one) for one in conn.execute(_DETAILS, (seq,)))
        usage = Usage(
            row[12],
            row[13],
            row[14],
            row[15],
            row[16],
            details,
            searches=row[17],
            grounded=bool(row[18]),
            maps=row[19],
        )
        charges = tuple(Charge(*one) for one in conn.execute(_CHARGES, (seq,)))
        yield Try(
            *(seq, number, model, project, sent_at, served),
            tier=tier if lost and not said else said,
            estimated=bool(estimated),
            priced=bool(priced and seen),
            usage=usage,
            cost=Cost(row[20], row[21], row[22], row[23], row[24], charges, row[25], row[26]),
            price_id=price_id,
        )


def _cost(one: Try, book: PriceBook, free: Collection[str], only: str) -> Cost | None:
    """What a try costs by the book; None where it is none of those that are priced anew."""
    if not one.priced:
        return None
    model = one.served or book.routed(one.model, one.sent_at)
    if only and book.resolve(model) != only:
        return None
    found = cost(book.price(model, one.tier, one.sent_at), one.usage, free=_was_free(one, free))
    return Cost(
        min(found.input, MOST),
        min(found.cached, MOST),
        min(found.output, MOST),
        min(found.thoughts, MOST),
        min(found.tool, MOST),
        tuple(_held(charge) for charge in found.charges),
        _known(found.total),
        _known(found.billed),
        found.price,
    )


def _was_free(one: Try, free: Collection[str]) -> bool:
    """Whether the try's project paid nothing when it was settled, as far as its row can tell."""
    if one.cost.billed == 0 and one.cost.total == 0:
        return one.project in free
    return one.cost.billed == 0


def differs(one: Try, other: Cost | None) -> bool:
    """Whether a try's money on record is another than this, whichever row of whichever book either came from."""
    if other is None:
        return False
    return msgspec.structs.replace(other, price="") != one.cost or (one.price_id is None) != (not other.price)


def _held(charge: Charge) -> Charge:
    return Charge(charge.kind, min(charge.quantity, MOST), _known(charge.nano))


def _known(nano: int | None) -> int | None:
    """Money that no row can hold is not known either."""
    return None if nano is None or nano > MOST else nano


def _sum(amounts: Iterable[int | None]) -> int | None:
    """A sum, None when a part of it is."""
    total = 0
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return _known(total)
