"""The store as the gateway sees it: values go in, futures say where they are kept.

Laws (each has a test):

- a future resolves with ``Kept.STORED`` after its commit, with ``Kept.SPILLED`` after its value is in the spill
  file; under durability ``process`` that survives the death of the process, under ``power`` that of the machine;
- a value waits at most 250 ms for a store that cannot take it (locked by another program, disk full, file
  unwritable, gone or damaged), and not at all once the store is known to be down. Then by ``when_down``:
  ``serve`` spills it, ``refuse`` raises Refused 503 STORE_DOWN; a spill that fails too raises 503 RECORD_DOWN;
- what was spilled goes into the store in order and exactly once when the store is back, and before anything
  newer does;
- values that wait together are committed together (group commit) and released by one call into the loop;
- nothing here blocks the event loop: a thread owns the connection, another one makes the checkpoints.

One bound is the disk's own: a commit already under way is waited for, however slow the disk is.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, Literal, NamedTuple, TypeVar

from gemgate.core.errors import Refused
from gemgate.core.pricing import Price
from gemgate.store import boots, interrupted
from gemgate.store.checkpoint import Checkpoints
from gemgate.store.connection import Connection, Durability
from gemgate.store.faults import Fault
from gemgate.store.operations import NAMES
from gemgate.store.writer import Job, Life, Writer

V = TypeVar("V")
T = TypeVar("T")
WhenDown = Literal["serve", "refuse"]
FILE: Final = "gemgate.db"
WAL_ALARM: Final = 64 * 1024 * 1024


class Kept(enum.Enum):
    """Where a value is kept."""

    STORED = "stored"
    SPILLED = "spilled"


class Health(NamedTuple):
    """The store's state. ``since`` is UTC µs, ``last_commit_us`` the span of the last commit.

    ``spilled`` values wait to be moved, ``rejected`` ones were put aside because the store refuses them.
    """

    up: bool
    reason: str
    remedy: str
    since: int
    spilled: int
    rejected: int
    wal_bytes: int
    wal_alarm: bool
    queue: int
    last_commit_us: int


class Settings(NamedTuple):
    """How the store is to be kept.

    ``prices`` are all rows of the price book in force, ``book`` its name for people: they are put on record
    before the first value is, also before what an earlier run spilled.
    """

    durability: Durability = "process"
    when_down: WhenDown = "serve"
    version: str = ""
    wal_alarm: int = WAL_ALARM
    prices: Sequence[Price] = ()
    book: str = ""


class Database:
    """The gateway's side of the store. Made by ``open``; belongs to one event loop."""

    def __init__(self, writer: Writer, checkpoints: Checkpoints, boot: boots.Boot) -> None:
        self.boot = boot
        self._writer = writer
        self._handed: list[Job] = []
        self._checkpoints = checkpoints
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._threads: list[threading.Thread] = []

    @classmethod
    async def open(cls, path: Path, boot: boots.Boot, settings: Settings | None = None) -> Database:
        """Open a file that has this gemgate's schema (``version.needs`` says no).

        Opens too when the file cannot be written or read: then ``health`` says why, and values are spilled or
        refused. With ``when_down`` "refuse" it returns after what an earlier run spilled was moved.
        """
        settings = settings or Settings()
        loop = asyncio.get_running_loop()
        life = Life(
            path=path,
            boot=boot,
            version=settings.version,
            node=socket.gethostname(),
            durability=settings.durability,
            serve=settings.when_down == "serve",
            loop=loop,
            stored=Kept.STORED,
            spilled=Kept.SPILLED,
            prices=settings.prices,
            book=settings.book,
        )
        writer = Writer(life)
        checkpoints = Checkpoints(path, boot, settings.durability, settings.wal_alarm)
        database = cls(writer, checkpoints, boot)
        ready: asyncio.Future[None] = loop.create_future()
        database._start(ready)
        await ready
        return database

    def write(self, op: Callable[[Connection, Sequence[V]], None], value: V) -> asyncio.Future[Kept]:
        """Hand a value over to ``ledger.open_tries``, ``ledger.next_try`` or ``ledger.settle``.

        The future raises Refused (see the laws), or what the value itself was at fault for. Who stops waiting
        does not take the value back.
        """
        if op not in NAMES:
            raise TypeError(f"{op!r} cannot be spilled: use Database.run")
        future: asyncio.Future[Kept] = self._loop.create_future()
        if self._closing:
            future.set_exception(_closed())
        else:
            self._hand_over(Job(monotonic(), future, op, value))
        return future

    def run(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Run ``work`` in a write transaction of its own, after all values handed over before.

        It must be short. The future raises Refused 503 STORE_DOWN while the store is down, or what ``work``
        raised.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing:
            future.set_exception(_closed())
        else:
            self._hand_over(Job(monotonic(), future, None, work))
        return future

    def _hand_over(self, job: Job) -> None:
        """To the writer, with all that comes in this turn of the loop: waking it once for all of them makes
        commits larger, and Python's lock changes hands less often."""
        if not self._handed:
            self._loop.call_soon(self._flush)
        self._handed.append(job)

    def _flush(self) -> None:
        if self._handed:
            self._writer.queue.put(self._handed)
            self._handed = []

    async def sweep(self, price: interrupted.Price) -> int:
        """Close the calls that dead processes left open; returns how many. Raises Refused while the store is down.

        Their spill files are moved first, so that a call whose row was spilled is not called interrupted.
        """
        data = self.boot.data
        dead = await self.run(lambda conn: boots.find_dead(conn, data))
        await self.run(lambda _: self._writer.backlog.adopt())
        closed = await self.run(lambda conn: interrupted.close_dead(conn, dead, price))
        ended = await self.run(lambda conn: boots.find_ended(conn, data))
        boots.sweep(data, set(dead) | ended)
        return closed

    def health(self) -> Health:
        """The store's state now; cheap."""
        writer = self._writer
        fault = writer.fault
        if fault is None and writer.backlog.pending:
            fault = Fault.BEHIND
        return Health(
            up=fault is None,
            reason=fault.value if fault else "",
            remedy=fault.remedy if fault else "",
            since=writer.since,
            spilled=writer.backlog.frames,
            rejected=writer.backlog.rejected,
            wal_bytes=self._checkpoints.wal_bytes,
            wal_alarm=self._checkpoints.alarmed,
            queue=writer.queue.qsize() + bool(self._handed),
            last_commit_us=writer.last_commit,
        )

    async def close(self, deadline: float = 5.0) -> bool:
        """Write what was handed over, then close. False when that took longer than ``deadline`` seconds."""
        if not self._closing:
            self._closing = True
            self._checkpoints.stop()
            self._flush()
            self._writer.queue.put(None)
        end = monotonic() + deadline
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, end - monotonic()))
        done = not any(thread.is_alive() for thread in self._threads)
        if done:
            self.boot.release()
        return done

    def _start(self, ready: asyncio.Future[None]) -> None:
        self._threads = [
            threading.Thread(target=self._writer.run, args=(ready,), name="store-writer", daemon=True),
            threading.Thread(
                target=self._checkpoints.run,
                args=(self._writer.catch_up, lambda: self._writer.pages),
                name="store-checkpoints",
                daemon=True,
            ),
        ]
        for thread in self._threads:
            thread.start()


def _closed() -> Refused:
    fault = Fault.CLOSED
    message = "The record is closed: gemgate is stopping."
    return Refused(503, "STORE_DOWN", message, hint=fault.remedy, retry_after=1.0)
