"""What was charged to budgets, compared with what calls took: after each death and each restart.

Laws:

- a call whose row came from its own gateway is charged what the row says that it cost, once;
- a call that its gateway left open is charged what its tries held when it died, once, however often the next
  gateways die while they close it: a try that had ended before is charged what it came to;
- nothing else is ever charged;
- a budget that is spent stays within its line and the error of one call's estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gemgate.core.budget import Budget
from gemgate.core.call import Attempt, Charged, Intent, Record
from gemgate.core.usage import Usage
from gemgate.store import operations, spill
from gemgate.store.ledger import NextTry
from tests.crash.victim import Victim
from tests.proof.braked import budget, key

TIGHT = 30_000
ERROR = 10_000
"""No call of the load is estimated at more tokens: 6,400 for the longest prompt, and its answer."""
KEYS = (key("ann"), key("ben", concurrency=6), key("tom"))
SHARES = (5, 3, 2)
"""How often the load asks with each of them."""
BUDGETS = (
    budget("money", 10**15),
    budget("tokens", 10**12, unit="tokens", period="rolling", seconds=86_400),
    budget("ann's", 10**15, scope="key", of="ann", period="month", zone="Asia/Kolkata"),
    budget("ben's", 10**12, unit="tokens", scope="key", of="ben", period="hour"),
    budget("tom's", TIGHT, unit="tokens", scope="key", of="tom", period="month"),
)
_OPEN = "SELECT call_id, attempt, held, finished FROM open_calls"
_SPENDS = "SELECT budget_id, sum(spent) FROM budget_spends GROUP BY budget_id"
_PAID = """
SELECT c.call_id, ifnull(k.name, ''), c.billed_nano, c.input + c.output + c.thoughts + c.tool
FROM calls AS c LEFT JOIN virtual_keys AS k ON k.id = c.key_id WHERE c.seq > ? ORDER BY c.seq
"""
_held = msgspec.msgpack.Decoder(tuple[Charged, ...])
_attempt = msgspec.msgpack.Decoder(Attempt)


@dataclass(frozen=True, slots=True)
class Paid:
    """What a row says that its call took."""

    call_id: bytes
    key: str
    nano: int
    tokens: int


@dataclass(slots=True)
class Try:
    """A try that a dead gateway left open: what it held, and how it had ended, if it had."""

    held: tuple[Charged, ...]
    finished: Attempt | None = None


@dataclass(slots=True)
class Left:
    """What a dead gateway left open, by call."""

    tries: dict[bytes, dict[int, Try]] = field(default_factory=dict)

    def apply(self, value: object) -> None:
        """What one value in a spill file does to it."""
        if isinstance(value, Intent):
            self.tries.setdefault(value.call_id, {})[value.attempt] = Try(value.held)
        elif isinstance(value, NextTry):
            before = self.tries.get(value.opened.call_id, {}).get(value.finished.number)
            if before is not None:
                before.finished = value.finished
            self.apply(value.opened)
        elif isinstance(value, Record):
            self.tries.pop(value.call_id, None)

    def charged(self, units: Mapping[int, str]) -> Counter[int]:
        """What closing these calls must charge, by budget."""
        sums: Counter[int] = Counter()
        for one in (one for tries in self.tries.values() for one in tries.values()):
            for row in one.held:
                sums[row.budget] += row.amount if one.finished is None else _came_to(one.finished, units, row)
        return sums


def _came_to(finished: Attempt, units: Mapping[int, str], row: Charged) -> int:
    usage = finished.usage or Usage()
    if units[row.budget] == "tokens":
        return usage.total
    if finished.cost is not None and finished.cost.billed is not None:
        return finished.cost.billed
    return row.amount if usage != Usage() else 0


def left(victim: Victim) -> Left:
    """What the dead gateway left open: in the store, and in spill files on their way there."""
    found = Left()
    for call_id, attempt, holds, finished in victim.rows(_OPEN):
        found.tries.setdefault(call_id, {})[attempt] = Try(
            () if holds is None else _held.decode(holds),
            None if finished is None else _attempt.decode(finished),
        )
    for _, path in spill.left(victim.data):
        file = spill.Spill(path, sync=False)
        file.load()
        for frame in file.take(0, file.frames)[0]:
            found.apply(operations.decode(frame)[1])
        file.close()
    return found


def spent(victim: Victim) -> dict[int, int]:
    """What was charged to each budget in all."""
    return {int(number): int(amount) for number, amount in victim.rows(_SPENDS)}


def paid(victim: Victim, seq: int) -> list[Paid]:
    """The rows after a number."""
    return [Paid(call_id, name, nano, tokens) for call_id, name, nano, tokens in victim.rows(_PAID, seq)]


def faults(
    limits: Sequence[Budget],
    before: Mapping[int, int],
    after: Mapping[int, int],
    rows: Iterable[Paid],
    open_: Left,
) -> list[str]:
    """Where the books differ from what the rows since ``before`` and what was left open say. Pure."""
    owed = open_.charged({one.id: one.unit for one in limits})
    for row in rows:
        if row.call_id in open_.tries:
            continue
        for one in limits:
            if one.scope == "all" or one.of == row.key:
                owed[one.id] += row.tokens if one.unit == "tokens" else row.nano
    found = []
    for one in limits:
        charged = after.get(one.id, 0) - before.get(one.id, 0)
        if charged != owed[one.id]:
            found.append(f"the budget {one.name} was charged {charged}, its calls took {owed[one.id]}")
        if after.get(one.id, 0) > one.amount + ERROR:
            found.append(f"the budget {one.name} of {one.amount} is overspent: {after[one.id]}")
    return found
