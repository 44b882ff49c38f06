"""Whose things are, as memory and record have it: against a model that is too simple to be wrong."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gemgate.config import load
from gemgate.config.book import load_book
from gemgate.core.access import Key, Keys
from gemgate.core.call import Outcome, Record
from gemgate.core.errors import Refused
from gemgate.core.routing import Target
from gemgate.dialects.gemini import methods
from gemgate.dialects.gemini.tenancy import ANYBODY, Tenant
from gemgate.gateway import access
from gemgate.gateway.affinity import Affinity
from gemgate.gateway.exchange import Exchange, Message
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.watch import Vigil, Watch
from gemgate.store import affinity, migrate
from gemgate.store.connection import Connection, writer
from gemgate.store.database import Database

T = TypeVar("T")
SECRET = b"s" * 32
START = 1_795_197_600 * 1_000_000
PROJECTS = "".join(
    f'[[project]]\nname = "{name}"\nkeys = ["AIzaMemory{name:0>29}"]\n' for name in ("one", "two")
)
NOT_FOUND = "THING_NOT_FOUND"


def only(number: int) -> Tenant:
    """A key that shares with none."""
    return Tenant(f"key:{number}", frozenset((f"key:{number}",)))


ANN, BOB = only(1), only(2)
BOTH = Tenant(BOB.name, frozenset((ANN.name, BOB.name)))  # Bob's, while the two share
ROOT = Tenant("key:9")


class Store:
    """A database that does everything at once; ``down`` makes it fail."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.down = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        """As ``Database.run``."""
        if self.down:
            raise Refused(503, "STORE_DOWN", "It is down.")
        return work(self.conn)


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _nowhere(message: Message) -> None:
    raise AssertionError(message)


@cache
def fresh() -> bytes:
    """A database file without rows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gemgate.db"
        migrate.upgrade(file)
        return file.read_bytes()


class World:
    """One gateway's memory, its record, and what Google holds: (project, name) of things."""

    def __init__(self, folder: Path) -> None:
        config = folder / "gemgate.toml"
        config.write_text(PROJECTS, encoding="utf-8")
        config.chmod(0o600)
        values = load(config, {}, {"data": folder})
        self.snapshot = Snapshot(values, load_book(values.prices.file), "", None)
        (folder / "gemgate.db").write_bytes(fresh())
        self.conn = writer(folder / "gemgate.db")
        self.conn.execute("BEGIN")
        self.store = Store(self.conn)
        self.now = START
        self.things: set[tuple[str, str]] = set()
        self.restart()

    def restart(self) -> None:
        """Another process: nothing is left in memory."""
        self.affinity = Affinity(cast(Database, self.store), SECRET)

    def ticket(self, tenant: Tenant, verb: str, path: str) -> Ticket:
        """A call without a body."""
        scope = {"method": verb, "path": path, "scheme": "http", "headers": [], "query_string": b""}
        exchange = Exchange(scope, _never, _nowhere)
        ticket = Ticket(
            b"c" * 16, exchange, self.snapshot, Vigil(Watch(), _never, asyncio.get_running_loop()), self.now
        )
        ticket.match = methods.match(verb, path)
        ticket.tenant = tenant
        return ticket

    def settle(self, ticket: Ticket) -> None:
        """The call's row is committed."""
        self.now += 1
        record = Record(
            call_id=ticket.call_id,
            boot=b"b" * 16,
            method="files.get",
            version="v1beta",
            model="",
            client="",
            received_at=self.now,
            first_byte=None,
            duration=0,
            outcome=Outcome.OK,
            status=200,
            made=ticket.made,
        )
        affinity.keep(self.conn, [record])

    def answered(self, ticket: Ticket, project: str, answer: object) -> None:
        """A good answer came from this project."""
        trial = Trial(1, Target("", project), self.now)
        self.affinity.read(ticket, trial, [], json.dumps(answer).encode(), self.now)
        self.settle(ticket)

    async def make(self, tenant: Tenant, name: str, project: str) -> bool:
        """A file of that name is uploaded; False where Google has one already."""
        if (project, name) in self.things:
            return False
        self.things.add((project, name))
        self.answered(self.ticket(tenant, "POST", "/upload/v1beta/files"), project, {"file": {"name": name}})
        return True

    async def pinned(self, tenant: Tenant, verb: str, name: str) -> str | None:
        """The project to which a call that names it is led, empty for any, None where it does not exist."""
        ticket = self.ticket(tenant, verb, f"/v1beta/{name}")
        try:
            (pin,) = await self.affinity.pins(ticket, self.now)
        except Refused as refused:
            if (refused.status, refused.code) != (404, NOT_FOUND):
                raise
            return None
        places = [pin.project] if pin.project else ["one", "two"]
        for project in places:
            if (project, name) in self.things:
                if verb == "DELETE":
                    self.things.discard((project, name))
                self.answered(ticket, project, {"name": name} if verb == "GET" else {})
                break
        return pin.project

    async def listed(self, tenant: Tenant, project: str) -> set[str]:
        """The names that a tenant is shown of a project's list."""
        names = sorted(name for place, name in self.things if place == project)
        ticket = self.ticket(tenant, "GET", "/v1beta/files")
        self.answered(ticket, project, {"files": [{"name": name} for name in names]})
        homes = await self.affinity.homes(names, self.now)
        return {
            name
            for name in names
            if tenant.sees(homes[name].tenant) and (homes[name].project == project or not tenant.bound)
        }


class Rules:
    """The keys in force, of which 9 has the right ``shared``, and whether those of one owner share."""

    def __init__(self) -> None:
        self.owners = {1: "ann", 2: "ann", 3: "", 9: "ann"}
        self.share = False

    def tenant(self, number: int) -> Tenant:
        """For whom a call of this key acts, as the gateway finds it."""
        rights = {9: frozenset({"shared"})}
        keys = Keys(
            [
                Key(id=one, name=f"k{one}", owner=owner, rights=rights.get(one, frozenset()))
                for one, owner in self.owners.items()
            ],
            [],
        )
        key = keys.key(number)
        assert key is not None
        return access.tenant_of(key, keys, shared=self.share)

    def sees(self, number: int, other: int) -> bool:
        """Whether this key should see what the other has made."""
        mine, theirs = self.owners[number], self.owners[other]
        return number == other or (self.share and mine == theirs != "")


class Step(NamedTuple):
    """Something that somebody does, or that is done to the rules."""

    what: str
    key: int
    name: str
    project: str
    owner: str


STEPS = st.builds(
    Step,
    st.sampled_from(["make", "make", "get", "get", "list", "delete", "restart", "share", "owner"]),
    st.sampled_from([1, 2, 3, 9]),
    st.sampled_from(["files/a", "files/b"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["ann", "bob", ""]),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=3, max_size=25))
def test_whatever_happens_a_key_has_what_it_made_last(steps: list[Step]) -> None:
    """Names are the client's choice, so two keys may use one; whoever made it last under it has it, and whoever
    shares with that key by the owners and the setting of this moment sees it."""

    async def play(world: World) -> None:
        rules = Rules()
        makers: dict[str, tuple[int, str]] = {}
        for what, key, name, project, owner in steps:
            tenant = rules.tenant(key)
            assert tenant.bound is (key != 9)
            if what == "restart":
                world.restart()
            elif what == "share":
                rules.share = not rules.share
            elif what == "owner":
                rules.owners[key] = owner
            elif what == "make":
                if await world.make(tenant, name, project):
                    makers[name] = (key, project)
            elif what == "list":
                shown = await world.listed(tenant, project)
                if tenant.bound:
                    assert shown == {
                        one
                        for one, (maker, place) in makers.items()
                        if place == project and rules.sees(key, maker)
                    }
                else:
                    assert shown == {one for place, one in world.things if place == project}
            else:
                led = await world.pinned(tenant, "GET" if what == "get" else "DELETE", name)
                if tenant.bound:
                    seen = name in makers and rules.sees(key, makers[name][0])
                    assert led == (makers[name][1] if seen else None)
                if what == "delete" and led is not None:
                    makers.pop(name, None)

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            asyncio.run(play(world))
        finally:
            world.conn.close()


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """One for a test."""
    found = World(tmp_path)
    yield found
    found.conn.close()


def test_a_store_that_cannot_be_asked_shows_nobody_anything(world: World) -> None:
    async def play() -> None:
        await world.make(ANN, "files/a", "one")
        world.store.down = True
        assert await world.pinned(ANN, "GET", "files/a") == "one"
        assert await world.pinned(BOB, "GET", "files/a") is None
        world.restart()
        for tenant in (ANN, BOB):
            with pytest.raises(Refused) as refused:
                await world.affinity.pins(world.ticket(tenant, "GET", "/v1beta/files/a"), world.now)
            assert refused.value.status == 503
        with pytest.raises(Refused):
            await world.affinity.homes(["files/a"], world.now)

    asyncio.run(play())


def test_what_was_made_and_read_without_keys_stays_nobodys(world: World) -> None:
    async def play() -> None:
        await world.make(ANYBODY, "files/a", "one")
        await world.listed(ANYBODY, "one")
        assert await world.pinned(ANYBODY, "GET", "files/a") == "one"
        assert await world.pinned(ANN, "GET", "files/a") is None
        assert await world.listed(ANN, "one") == set()
        # Memory of a time without keys does not hide whose a thing is.
        await world.make(ANN, "files/b", "two")
        world.restart()
        await world.listed(ANYBODY, "two")
        assert await world.pinned(ANN, "GET", "files/b") == "two"
        assert await world.pinned(BOB, "GET", "files/b") is None

    asyncio.run(play())


def test_what_a_thing_brings_forth_belongs_to_whom_it_belongs(world: World) -> None:
    batch = {"name": "batches/b", "done": True, "response": {"responsesFile": "files/out"}}

    async def play() -> None:
        made_by = world.ticket(ANN, "POST", "/v1beta/models/m:batchGenerateContent")
        world.answered(made_by, "one", {"name": "batches/b"})
        assert await world.pinned(ANN, "GET", "files/out") is None
        # Who sees it too may read it, which makes nothing hers.
        for reader in (ROOT, BOTH, ANN):
            seen = world.ticket(reader, "GET", "/v1beta/batches/b")
            await world.affinity.pins(seen, world.now)
            world.answered(seen, "one", batch)
        assert await world.pinned(ANN, "GET", "files/out") == "one"
        assert await world.pinned(BOB, "GET", "files/out") is None
        world.restart()
        assert await world.pinned(ANN, "GET", "files/out") == "one"
        assert await world.pinned(BOB, "GET", "files/out") is None

    asyncio.run(play())


def test_who_sees_everything_may_have_things_of_its_own(world: World) -> None:
    async def play() -> None:
        await world.make(ROOT, "files/a", "one")
        assert await world.pinned(only(9), "GET", "files/a") == "one"
        assert await world.pinned(ANN, "GET", "files/a") is None

    asyncio.run(play())


def test_a_thing_that_was_deleted_is_forgotten(world: World) -> None:
    async def play() -> None:
        await world.make(ANN, "files/a", "one")
        assert await world.pinned(ANN, "DELETE", "files/a") == "one"
        assert await world.pinned(ANN, "GET", "files/a") is None
        world.restart()
        assert await world.pinned(ANN, "GET", "files/a") is None
        affinity.sweep(world.conn, world.now + 1)
        assert world.conn.execute("SELECT count(*) FROM affinities").fetchone() == (0,)

    asyncio.run(play())
