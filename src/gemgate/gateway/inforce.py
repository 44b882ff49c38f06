"""What is in force: keys, budgets and what was spent of them, and what was stored beside gemgate.toml; read from the
store for as long as the gateway runs.

Laws:

- what the administrators change is in force within a second, without a restart; a store that cannot be read leaves
  in force what was known, and ``/healthz`` says how old that is;
- nothing that stands in the store ends the looking: a budget, a route, a limit or a price that cannot be meant is
  left out and named in the log;
- a new snapshot is built beside the loop and swapped whole, after the record has its price book: no call is priced
  by a row that is not on record. Calls under way keep the snapshot that they began with;
- what others have spent counts as soon as the store has it, also what a dead process had spilled and this one moved
  there long after its start; what this process charged is counted once, whether the store has it yet or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from time import time_ns
from typing import NamedTuple

import msgspec

from gemgate.core.access import Keys
from gemgate.core.budget import Budget, resets_at
from gemgate.core.call import Charged
from gemgate.core.errors import Refused
from gemgate.gateway import stored
from gemgate.gateway.desk import Desk
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.steady import Steady
from gemgate.gateway.stored import Configured, Stored
from gemgate.store import budgets, interrupted, keys, prices, revisions, spends, uses
from gemgate.store.connection import Connection, reader, reading

log = logging.getLogger("gemgate.gateway")

PERIOD = 0.5  # seconds of real time between two looks for changes
MINUTE = 61 * 1_000_000  # µs
PAST = 14 * 86_400 * 1_000_000  # µs of spending by which a key's usual rate is known
KNOWN = "keys, budgets and stored routes stay as they were known"
NOTHING = Stored()
Use = tuple[int, int, int, int]  # calls of a key, as ``uses.of_keys`` has them: key, when, how many, tokens


class Kept(NamedTuple):
    """What the store holds of access, as of one revision."""

    number: int
    keys: Keys
    budgets: list[Budget]
    bad: dict[str, str]  # budgets that cannot be meant, each with what is wrong
    spent: list[Charged]
    used: list[Use]  # the last minute's calls of keys
    hours: list[tuple[int, int, int]]  # what keys spent by the hour, as ``uses.rates`` has it


class InForce:
    """Keeps the desk's keys, brakes and snapshot as the store has them. ``configured`` is what the file says."""

    def __init__(self, desk: Desk, configured: Configured, known: Stored = NOTHING) -> None:
        self._desk = desk
        self._configured = configured
        self._stored = known
        self._began = desk.clock.now()
        self._turn = asyncio.Lock()
        self._swap = asyncio.Lock()
        self._owing = False  # the record lacks the price book in force
        self._budgets: list[Budget] = []
        self._used: list[Use] = []
        self._recorded: list[int] = []
        self._looking = Steady("the virtual keys cannot be read yet, calls are refused")
        self._writing = Steady("a key that was stopped is stopped in this gateway alone")
        self._configuring = Steady("the changed configuration is not used")
        self._bad: set[str] = set()

    async def follow(self) -> None:
        """Take over what the administrators change, for as long as the gateway runs."""
        while True:
            await asyncio.sleep(PERIOD)
            await self.look()
            await self.flush()

    async def look(self) -> None:
        """Read what is in force, if it is another than what is known."""
        desk, looking = self._desk, self._looking
        async with self._turn:
            known, recorded = desk.revision if desk.keys is not None else None, list(self._recorded)
            with looking.turn():
                found, more = await asyncio.to_thread(
                    self._read, known, self._stored.number, desk.clock.now()
                )
                if found is not None:
                    self._take(found)
                    looking.what = KNOWN
                    desk.brakes.stopped_on_record(recorded)
                    del self._recorded[: len(recorded)]
                if more is not None:
                    await self._follow(more)
                elif self._owing:
                    await self._keep_book(desk.snapshot)
            if looking.well:
                desk.good["access"] = desk.clock.now()

    async def configure(self, configured: Configured) -> None:
        """Take over another configuration, with what is known to be stored. A store that is down does not hold it up:
        the record then gets its price book later."""
        desk = self._desk
        with self._configuring.turn():
            async with self._swap:
                made = await asyncio.to_thread(stored.build, configured, self._stored, desk.snapshot)
                if _other(made, desk.snapshot):
                    with contextlib.suppress(Refused):
                        await self._keep_book(made)
                self._configured = configured
                self._put(made, configured=True)
                desk.revision = -1  # limits and budgets are read anew with the settings in force

    async def _follow(self, more: Stored) -> None:
        """Take over what is stored. Raises Refused while the record cannot take the prices: all stays as it was."""
        async with self._swap:
            made = await asyncio.to_thread(stored.build, self._configured, more, self._desk.snapshot)
            if _other(made, self._desk.snapshot):
                await self._keep_book(made)
            self._stored = more
            self._put(made, configured=False)

    async def _keep_book(self, made: Snapshot) -> None:
        """Put a price book on record, so that every row's money can be proven from it."""
        book, self._owing = made.book, True
        await self._desk.db.run(lambda conn: prices.sync(conn, book.rows(), book.name, time_ns() // 1000))
        self._owing = False

    def _put(self, made: Snapshot, *, configured: bool) -> None:
        desk = self._desk
        stored.tell(made, desk.snapshot)
        desk.snapshot = made
        desk.board.reload(made, configured=configured)

    async def again(self) -> bool:
        """Take over what others have spent before, once it has come into the store; False when it is not all there.

        What this process has charged since the store was asked comes on top: it goes there after the question.
        Raises Refused while the store is down.
        """
        desk = self._desk
        async with self._turn:
            if desk.keys is None:
                return True  # the first look reads everything
            if desk.db.health().spilled:
                return False
            now, before, known = desk.clock.now(), desk.brakes.budgets.charged(), self._budgets
            spent = await desk.db.run(lambda conn: spends.counting(conn, known, now))
            late = now - self._began >= MINUTE
            used = [] if late else self._before(await asyncio.to_thread(self._uses))
            desk.brakes.restore(_more(used, self._used))
            self._used = used or self._used
            spent += [
                Charged(*place, amount - before.get(place, 0))
                for place, amount in desk.brakes.budgets.charged().items()
                if amount > before.get(place, 0)
            ]
            desk.brakes.reload(desk.keys, known, spent, desk.snapshot.settings)
            return True

    async def flush(self) -> None:
        """Put on record which keys the brakes have stopped: until then they are stopped in this gateway alone."""
        brakes = self._desk.brakes
        stops, brakes.stops = brakes.stops, []
        if not stops:
            return

        def write(conn: Connection) -> None:
            """One transaction."""
            for key, at, why in stops:
                keys.stop(conn, key, at, why)

        written = False
        try:
            with self._writing.turn():
                await self._desk.db.run(write)
                written = True
        finally:
            if not written:
                brakes.stops = stops + brakes.stops
        if written:
            self._recorded += [key for key, _, _ in stops]
            self._desk.revision = -1  # what the store says of them counts from the next look on

    def _take(self, found: Kept) -> None:
        desk, first = self._desk, self._desk.keys is None
        for name, why in found.bad.items():
            if name not in self._bad:
                log.error("the budget %s cannot be meant and is left out: %s", name, why)
        self._bad = set(found.bad)
        if not first:
            desk.keys = found.keys  # whatever budgets bring, a key that was disabled is
        desk.brakes.reload(found.keys, found.budgets, found.spent, desk.snapshot.settings)
        desk.revision, desk.keys, self._budgets = found.number, found.keys, found.budgets
        desk.board.budget_bar = desk.brakes.barred if desk.brakes.budgets.any else None
        if first:
            desk.brakes.restore(found.used, found.hours)
            self._used = self._before(found.used)

    def _read(self, known: int | None, routing: int, now: int) -> tuple[Kept | None, Stored | None]:
        """What is in force of access, and what is stored beside the file; None for what is ``known``, or of the
        revision ``routing``. One look at the file, which does not wait for whoever writes."""
        with contextlib.closing(reader(self._desk.snapshot.settings.database)) as conn, reading(conn):
            number = revisions.number(conn, revisions.ACCESS)
            kept = None if number == known else self._kept(conn, number, known is None, now)
            self._desk.payloads.look(conn)
            if revisions.number(conn, revisions.ROUTING) == routing:
                return kept, None
            return kept, stored.read(conn)

    def _kept(self, conn: Connection, number: int, first: bool, now: int) -> Kept:
        """What is in force of access.

        What was used so far is read at the first time only, when nothing is known. What is still open then was left
        by the dead, or belongs to a gateway that drains: both are counted as what they hold.
        """
        good, bad = sound(budgets.every(conn), now)
        found = Kept(number, Keys(*keys.every(conn)), good, bad, spends.counting(conn, good, now), [], [])
        if not first:
            return found
        return found._replace(
            spent=found.spent + interrupted.holds(conn),
            used=uses.of_keys(conn, now - MINUTE),
            hours=uses.rates(conn, now - PAST),
        )

    def _uses(self) -> list[Use]:
        """The calls of keys since the minute before this process began."""
        with contextlib.closing(reader(self._desk.snapshot.settings.database)) as conn, reading(conn):
            return uses.of_keys(conn, self._began - MINUTE)

    def _before(self, used: Iterable[Use]) -> list[Use]:
        """Those that came before this process began, so through others."""
        return [row for row in used if row[1] < self._began]


def _other(made: Snapshot, before: Snapshot) -> bool:
    """Whether calls are priced by other rows than before."""
    return made.book is not before.book and made.book.rows() != before.book.rows()


def sound(every: Iterable[Budget], now: int) -> tuple[list[Budget], dict[str, str]]:
    """The budgets that can be meant at ``now`` (UTC µs); and the others by name, each with what is wrong."""
    good: list[Budget] = []
    bad: dict[str, str] = {}
    for budget in every:
        try:
            msgspec.convert(msgspec.structs.asdict(budget), Budget)
            resets_at(budget, now)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            bad[str(budget.name)] = str(error)
        else:
            good.append(budget)
    return good, bad


def _more(now: Sequence[Use], before: Sequence[Use]) -> list[Use]:
    """What each key has used beyond what was known before, at the time of its newest call."""
    known: dict[int, list[int]] = {}
    for key, _, calls, tokens in before:
        sums = known.setdefault(key, [0, 0])
        sums[0] += calls
        sums[1] += tokens
    newest: dict[int, list[int]] = {}
    for key, at, calls, tokens in now:
        rest = newest.setdefault(key, [0, *(-one for one in known.get(key, (0, 0)))])
        rest[0] = max(rest[0], at)
        rest[1] += calls
        rest[2] += tokens
    return [
        (key, at, max(0, calls), max(0, tokens))
        for key, (at, calls, tokens) in newest.items()
        if calls > 0 or tokens > 0
    ]
