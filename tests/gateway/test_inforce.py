"""What is in force: read anew when it changes, whole when the store comes back, and whatever stands in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import msgspec
import pytest

from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.core import access as tokens
from gemgate.core.access import Key, Keys, Token
from gemgate.core.budget import Budget, Estimate
from gemgate.core.call import Charged, mint
from gemgate.core.errors import Refused
from gemgate.core.estimate import Estimates
from gemgate.dialects.openai.reading import Signature
from gemgate.gateway import access, state
from gemgate.gateway.brakes import Brakes
from gemgate.gateway.clock import Clock
from gemgate.gateway.desk import Desk
from gemgate.gateway.inforce import InForce
from gemgate.gateway.payloads import Payloads
from gemgate.gateway.signatures import DAY, Signatures
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.stored import Configured, Stored
from gemgate.gateway.ticket import Ticket
from gemgate.store import boots, budgets, keys, migrate, spends
from gemgate.store.connection import Connection, visitor
from gemgate.store.database import FILE, Database

SECOND = 1_000_000
NOON = 1_795_003_200 * SECOND
TODAY = NOON // (86_400 * SECOND) * 86_400 * SECOND
WHOLE = Budget(id=0, name="whole", scope="all", unit="tokens", amount=1_000, period="day")


class Hand(Clock):
    """A clock that is moved by hand."""

    at = NOON

    def now(self) -> int:
        return self.at


class Store:
    """The files of one gateway, and its desk as far as access needs it."""

    def __init__(self, data: Path, db: Database) -> None:
        self.db, self.data, self.clock = db, data, Hand()
        snapshot = Snapshot(Settings(data=data), load_book(), "", None)
        board = SimpleNamespace(estimates=Estimates(), budget_bar=None)
        brakes = Brakes(self.clock, board)
        self.desk = cast(
            Desk,
            SimpleNamespace(
                snapshot=snapshot,
                db=db,
                clock=self.clock,
                board=board,
                brakes=brakes,
                keys=None,
                revision=-1,
                good={},
                payloads=Payloads(),
            ),
        )
        self.configured = Configured(snapshot.settings, snapshot.book, "", None, snapshot.catalog)
        self.in_force = InForce(self.desk, self.configured, Stored(0))

    def write(self, work: Callable[[Connection], object]) -> None:
        """As an administrator, or another process."""
        with contextlib.closing(visitor(self.data / FILE)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            work(conn)
            conn.keep()

    def key(self, name: str = "app", **fields: Any) -> None:
        token = Token(digest=tokens.digest(name), key=0)
        self.write(lambda conn: keys.create(conn, Key(id=0, name=name, created_at=1, **fields), token))

    def spend(self, amount: int) -> None:
        self.write(lambda conn: spends.add(conn, [[Charged(1, TODAY, amount)]]))

    def charge(self, amount: int) -> Charged:
        """A call of this gateway ends, in memory."""
        known = self.desk.brakes.budgets
        call = mint(NOON, b"%08d" % amount)
        held = known.hold(call, self.in_force._budgets, Estimate(0, 0, amount, amount), NOON)
        assert isinstance(held, tuple)
        (found,) = known.settle(call, lambda _: amount, NOON)
        return found

    @property
    def spent(self) -> int:
        (row,) = self.desk.brakes.budgets.state(NOON)
        return row.spent


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    migrate.upgrade(tmp_path / FILE)
    db = await Database.open(tmp_path / FILE, boots.begin(tmp_path, mint(1, b"12345678")))
    try:
        yield Store(tmp_path, db)
    finally:
        await db.close()


async def test_what_comes_into_the_store_late_counts_once(store: Store) -> None:
    store.write(lambda conn: budgets.create(conn, WHOLE, 1))
    store.spend(100)
    await store.in_force.look()
    assert store.spent == 100
    before = store.charge(10)
    stored = store.db.run(lambda conn: spends.add(conn, [[before]]))
    store.spend(300)  # a dead process' spill was moved: no revision tells of it
    await store.in_force.look()
    asking = asyncio.create_task(store.in_force.again())
    await asyncio.sleep(0)  # the question is on its way to the writer
    store.charge(7)
    assert await asking
    await stored
    assert store.spent == 100 + 10 + 300 + 7
    assert await store.in_force.again()
    assert store.spent == 417


class Told(Brakes):
    """Says what it was told of before the start."""

    def restore(self, used: Any, hours: Any = ()) -> None:
        self.told = [*getattr(self, "told", ()), *used]


class Listed(InForce):
    """The record shows these calls of keys."""

    rows: ClassVar[list[tuple[int, int, int, int]]] = []

    def _uses(self) -> list[tuple[int, int, int, int]]:
        return list(self.rows)


async def test_a_key_s_minute_before_the_start_counts_once(store: Store) -> None:
    store.key(rpm=10)
    desk = store.desk
    desk.brakes = told = Told(store.clock, desk.board)
    in_force = Listed(desk, store.configured, Stored(0))
    await in_force.look()
    in_force.rows.append((1, NOON - 20 * SECOND, 2, 50))
    await in_force.again()
    # What the dead had spilled, and a call of our own.
    in_force.rows.extend([(1, NOON - 5 * SECOND, 3, 9), (1, NOON + SECOND, 1, 1)])
    await in_force.again()
    await in_force.again()
    assert told.told == [(1, NOON - 20 * SECOND, 2, 50), (1, NOON - 5 * SECOND, 3, 9)]


async def test_a_budget_that_cannot_be_meant_is_left_out_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.key()
    await store.in_force.look()
    store.write(lambda conn: budgets.create(conn, WHOLE, 1))
    for name, bad in (("mars", {"zone": "Mars/Phobos"}), ("odd", {"amount": "much"})):
        wrong = msgspec.structs.replace(WHOLE, name=name, **bad)
        store.write(partial(budgets.create, budget=wrong, now=1))
    await store.in_force.look()
    store.write(lambda conn: keys.change(conn, "app", disabled_at=1))
    await store.in_force.look()
    assert store.desk.keys is not None
    assert [key.disabled_at for key in store.desk.keys.every] == [1]
    assert [row.budget.name for row in store.desk.brakes.budgets.state(NOON)] == ["whole"]
    assert [one.message.split(" cannot")[0] for one in caplog.records] == [
        "the budget mars",
        "the budget odd",
    ]


async def test_a_row_that_nobody_can_read_leaves_what_was_known_and_is_said_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.key()
    await store.in_force.look()
    known = store.desk.keys
    store.write(lambda conn: keys.change(conn, "app", owner="ann"))
    store.write(lambda conn: conn.execute("UPDATE virtual_keys SET tags = '{'"))
    store.clock.at += SECOND
    with caplog.at_level(logging.WARNING):
        await store.in_force.look()
        await store.in_force.look()
    assert store.desk.keys is known
    assert len(caplog.records) == 1
    assert store.desk.good["access"] == NOON
    store.write(lambda conn: conn.execute("UPDATE virtual_keys SET tags = '[]'"))
    await store.in_force.look()
    assert store.desk.good["access"] == NOON + SECOND
    assert store.desk.keys is not known


class Broken:
    """A desk that nobody can read."""

    def __init__(self) -> None:
        self.asked = 0
        self.often = asyncio.Event()

    @property
    def board(self) -> None:
        self.asked += 1
        if self.asked == 3:
            self.often.set()
        raise ValueError("a bad value")


async def test_the_keeping_of_the_state_outlives_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    desk = Broken()
    task = asyncio.create_task(state.keep(cast(Desk, desk), 0.0))
    often = asyncio.create_task(desk.often.wait())
    await asyncio.wait((task, often), return_when=asyncio.FIRST_COMPLETED)
    assert desk.often.is_set()
    assert len(caplog.records) == 1
    task.cancel()


async def test_a_key_that_is_enabled_again_at_once_is_not_stopped_for_good(store: Store) -> None:
    store.key()
    await store.in_force.look()
    brakes = store.desk.brakes
    brakes._stopped[1] = "It ran away."
    brakes.stops.append((1, NOON, "It ran away."))
    await store.in_force.flush()
    assert not brakes.stops
    assert brakes._stopped  # until the store was read after it was written
    store.write(lambda conn: keys.change(conn, "app", stopped_at=0, stopped_why=""))
    await store.in_force.look()
    assert not brakes._stopped


async def test_stops_wait_for_a_store_that_is_down(store: Store) -> None:
    store.key()
    await store.in_force.look()
    store.desk.brakes.stops.append((1, NOON, "It ran away."))
    with contextlib.closing(visitor(store.data / FILE)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        await store.in_force.flush()
        assert store.desk.brakes.stops == [(1, NOON, "It ran away.")]
        task = asyncio.create_task(store.in_force.flush())
        await asyncio.sleep(0)
        task.cancel()  # the gateway stops meanwhile
        await asyncio.wait((task,))
        assert store.desk.brakes.stops == [(1, NOON, "It ran away.")]


def held(key: Key | None) -> Ticket:
    return cast(Ticket, SimpleNamespace(key=key, client=""))


def at(*rows: Key, now: int = NOON) -> Desk:
    return cast(Desk, SimpleNamespace(keys=Keys(rows, ()), clock=SimpleNamespace(now=lambda: now)))


def test_a_key_is_looked_at_once_more_after_the_body_was_read() -> None:
    key = Key(id=1, name="app")
    access.still(held(None), at())
    access.still(held(key), at(key))
    access.still(held(key), at(Key(id=1, name="app", owner="ann")))
    ends = Key(id=1, name="app", expires_at=NOON + 1)
    access.still(held(ends), at(ends))
    for desk, code in (
        (at(), "KEY_UNKNOWN"),
        (at(ends, now=NOON + 1), "KEY_EXPIRED"),
        (at(Key(id=1, name="app", disabled_at=1)), "KEY_DISABLED"),
        (at(Key(id=1, name="app", stopped_at=1)), "KEY_STOPPED"),
    ):
        with pytest.raises(Refused) as raised:
            access.still(held(ends if code == "KEY_EXPIRED" else key), desk)
        assert raised.value.code == code


async def test_signatures_are_bound_in_bytes_and_end(store: Store) -> None:
    kept = Signatures(store.db, b"secret", store.clock, most=10_000)
    for number in range(50):
        kept.keep(1, [(f"call_{number}", Signature("s" * 1_000, ""))], NOON)
        assert kept.size <= 10_000
    kept.keep(1, [("call_large", Signature("s" * 20_000, ""))], NOON)
    assert 5_000 < kept.size <= 10_000
    ids = ["call_0", "call_49", "call_large"]
    assert list(await kept.find(1, ids)) == ["call_49"]  # none of them is in the store
    store.clock.at += DAY
    assert not await kept.find(1, ids)


async def test_a_signature_from_the_store_ends_too(store: Store) -> None:
    rows = Signatures(store.db, b"secret", store.clock).keep(1, [("call_1", Signature("abc", ""))], NOON)
    store.write(
        lambda conn: conn.executemany(
            "INSERT INTO signatures VALUES(?, ?, ?)", [(one.name, one.body, one.expires_at) for one in rows]
        )
    )
    fresh = Signatures(store.db, b"secret", store.clock)
    for _ in range(2):
        assert await fresh.find(1, ["call_1"]) == {"call_1": Signature("abc", "")}
    store.clock.at += DAY
    assert not await fresh.find(1, ["call_1"])
