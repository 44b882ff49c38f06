"""The writer thread: takes what the queue holds, commits it as one, and turns to the spill file when it cannot.

Laws:

- one thread owns the hot connection and the spill file, so their order needs no lock;
- a batch is in the store or in the spill file, in whole, before any of its futures resolves;
- while a spill file waits to be moved everything new goes behind it: order is kept across an outage;
- a value that the store refuses for its own sake (not the store's) fails alone;
- after each commit the path must still lead to the file that took it, else the batch is spilled as well
  (settling is idempotent, so a row in both is a row once).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

from gemgate.core.errors import Refused
from gemgate.core.pricing import Price
from gemgate.store import boots, connection, operations, prices
from gemgate.store.backlog import VALUE_FAULTS, Backlog
from gemgate.store.connection import Connection, Durability
from gemgate.store.faults import AnotherSchema, Fault, diagnose
from gemgate.store.version import HEAD

log = logging.getLogger("gemgate.store")

PATIENCE: Final = 0.250  # seconds from the oldest value's enqueueing to the spill file
_BATCH: Final = 1_000  # values in one commit at most
_SLICE: Final = 0.025  # seconds that others may hold the lock, with some to spare
_PAGES: Final = 8  # pages that a commit writes, about, and rows that share one in a large commit
_ROWS: Final = 4
_PROBE: Final = 0.100  # seconds between looks at a store that is down


class Job(NamedTuple):
    """One entry of the queue: an operation with its value, or (``op`` None) a function to run by itself."""

    at: float
    future: asyncio.Future[Any]
    op: operations.Operation | None
    value: Any


class Life(NamedTuple):
    """What the writer is told at its start. ``kept`` is what a future of a write resolves with, stored or not."""

    path: Path
    boot: boots.Boot
    version: str
    node: str
    durability: Durability
    serve: bool
    loop: asyncio.AbstractEventLoop
    stored: object
    spilled: object
    prices: Sequence[Price]
    book: str


class Writer:
    """The thread's state. Other threads may read ``fault``, ``since``, ``last_commit``,
    ``pages`` and ``backlog.frames``."""

    def __init__(self, life: Life) -> None:
        self.queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self.fault: Fault | None = None
        self.since = time.time_ns() // 1000
        self.last_commit = 0
        self.pages = 0
        self.catch_up = threading.Event()
        self.backlog = Backlog(life.boot.data, life.boot.id, sync=life.durability == "power")
        self._life = life
        self._conn: Connection | None = None
        self._file = (0, 0)
        self._next_probe = 0.0
        self._priced = False  # the price book is on record
        self._mute = False  # said already that the spill file fails
        self._behind: deque[Job] = deque()
        self._abandoned: list[Connection] = []

    def run(self, ready: asyncio.Future[None]) -> None:
        """The thread's life: until a None comes out of the queue. ``ready`` resolves when values may come."""
        self.backlog.adopt()
        self._look()
        while not self._life.serve and self.fault is None and self.backlog.pending:
            self._mend()
        self._release([(ready, None)])
        ending = False
        while not ending:
            jobs, ending = self._next()
            self._turn(jobs)
        self._finish()

    def _turn(self, jobs: Sequence[Job]) -> None:
        """One turn of the thread. A fault of our own fails what is at hand: the thread must not die of it, for
        every call waits for it."""
        try:
            self._take(jobs)
            self._mend()
            if self.catch_up.is_set():
                self._checkpoint()
        except Exception as error:
            log.exception("the writer thread met a fault of its own")
            if self._conn is not None:
                self._roll_back(self._conn)
            self._release([(job.future, error) for job in jobs])

    def _next(self) -> tuple[list[Job], bool]:
        """What the queue holds, and whether the end was in it; waits when there is nothing else to do."""
        busy = self.fault is None and (self.backlog.pending or self._behind)
        jobs: list[Job] = []
        try:
            some = self.queue.get_nowait() if busy else self.queue.get(timeout=_PROBE if self.fault else None)
            while some is not None:
                jobs += some
                if len(jobs) >= _BATCH:
                    return jobs, False
                some = self.queue.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _take(self, jobs: Sequence[Job]) -> None:
        """Write a batch; functions in it run by themselves, in their place."""
        writes: list[Job] = []
        for job in jobs:
            if job.op is None:
                self._write(writes)
                writes = []
                self._run(job)
            else:
                writes.append(job)
        self._write(writes)

    def _write(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        if self.fault is None and not self.backlog.pending:
            jobs = self._commit(jobs)
        if jobs:
            self._divert(jobs)

    def _commit(self, jobs: list[Job]) -> list[Job]:
        """Commit the batch and resolve its futures. Returns those that the store could not take."""
        values = [(job.op, job.value) for job in jobs if job.op is not None]
        fault = self._transact(lambda conn: operations.apply(conn, values), jobs[0].at + PATIENCE)
        if fault is None:
            self._release([(job.future, self._life.stored) for job in jobs])
        elif isinstance(fault, Fault):
            self._fall(fault)
            return jobs
        elif len(jobs) == 1:
            self._release([(jobs[0].future, fault)])
        else:
            # One of them cannot be written for its own sake: each by itself, so that the others are kept.
            for place, job in enumerate(jobs):
                if self._commit([job]):
                    return jobs[place:]
        return []

    def _transact(self, work: Callable[[Connection], object], deadline: float) -> Fault | Exception | None:
        """Run ``work`` in one transaction: None when committed, the store's fault, or the value's exception."""
        conn = self._conn
        if conn is None:
            return self.fault or Fault.GONE
        fault = self._begin(conn, deadline)
        if fault is not None:
            return fault
        start, before = time.perf_counter_ns(), conn.total_changes
        try:
            work(conn)
            conn.keep()
        except (sqlite3.Error, *VALUE_FAULTS) as error:
            self._roll_back(conn)
            return (diagnose(error) if isinstance(error, sqlite3.Error) else None) or error
        self.pages += _PAGES + (conn.total_changes - before) // _ROWS
        self.last_commit = (time.perf_counter_ns() - start) // 1000
        return None if self._same_file() else Fault.GONE

    def _transact_soon(self, work: Callable[[Connection], object]) -> Fault | Exception | None:
        """With the patience for one slice of somebody else's; none while down, since values wait behind us."""
        return self._transact(work, time.monotonic() + (_SLICE if self.fault is None else 0.0))

    def _begin(self, conn: Connection, deadline: float) -> Fault | None:
        """Take the write lock, with our own short retry up to the deadline."""
        pause = 0.0005
        while True:
            try:
                conn.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                fault = diagnose(error) or Fault.IO
                if fault is not Fault.LOCKED or time.monotonic() + pause > deadline:
                    return fault
            else:
                return None
            time.sleep(pause)
            pause = min(pause * 2, 0.008)

    def _roll_back(self, conn: Connection) -> None:
        try:
            conn.forget()
        except sqlite3.Error:
            # A connection that cannot even roll back is of no use; the next look opens another.
            self._drop()

    def _run(self, job: Job) -> None:
        """Run a function in a transaction of its own; behind what was spilled, for it may read the record."""
        if self.fault is None and self.backlog.pending:
            self._behind.append(job)
            return
        results: list[Any] = []
        fault: Fault | Exception | None = self.fault
        if fault is None:
            # Time spent behind the spill is not its fault: patience counts from now at the earliest.
            fault = self._transact(lambda conn: results.append(job.value(conn)), time.monotonic() + PATIENCE)
            if isinstance(fault, Fault):
                self._fall(fault)
        if fault is None:
            self._release([(job.future, results[0])])
        else:
            self._release([(job.future, self._refusal() if isinstance(fault, Fault) else fault)])

    def _divert(self, jobs: Sequence[Job]) -> None:
        """The store cannot take these: into the spill file, or refuse them."""
        if not self._life.serve:
            self._release([(job.future, self._refusal()) for job in jobs])
            return
        frames: list[bytes] = []
        futures: list[asyncio.Future[Any]] = []
        for job in jobs:
            assert job.op is not None
            try:
                frames.append(operations.encode(job.op, job.value))
                futures.append(job.future)
            except VALUE_FAULTS as error:
                self._release([(job.future, error)])
        try:
            self.backlog.append(frames)
        except OSError as error:
            if not self._mute:
                log.error("the spill file cannot be written either: %s", error.strerror)
            self._mute = True
            self._release([(future, _record_down(error)) for future in futures])
        else:
            self._mute = False
            self._release([(future, self._life.spilled) for future in futures])

    def _fall(self, fault: Fault) -> None:
        """The store is down from now on."""
        self._next_probe = time.monotonic() + _PROBE
        if self.fault is not fault:
            self.fault = fault
            self.since = time.time_ns() // 1000
            log.error("the store is down: %s. %s", fault.value, fault.remedy)

    def _refusal(self) -> Refused:
        fault = self.fault or Fault.BEHIND
        message = f"The record cannot be written: {fault.value}."
        return Refused(503, "STORE_DOWN", message, hint=fault.remedy, retry_after=1.0)

    def _mend(self) -> None:
        """Look whether a store that is down is back; move a slice of what was spilled."""
        if self.fault is not None:
            if time.monotonic() < self._next_probe:
                return
            self._look()
        elif self.backlog.pending:
            fault = self.backlog.move(self._transact_soon)
            if fault is not None:
                self._fall(fault)
        if self.fault is not None or not self.backlog.pending:
            for _ in range(len(self._behind)):
                self._run(self._behind.popleft())

    def _look(self) -> None:
        """Try to write, and to move a slice; open the file anew where the old connection cannot be trusted."""
        if self.fault not in (Fault.LOCKED, Fault.FULL):
            self._drop()
        fault: Fault | Exception | None
        try:
            if self._conn is None:
                self._connect()
        except sqlite3.Error as error:
            fault = diagnose(error) or Fault.IO
        else:
            fault = self._transact_soon(self._register)
            self._priced = self._priced or fault is None
            if fault is None and self.backlog.pending:
                fault = self.backlog.move(self._transact_soon)
        if fault is not None:
            self._fall(fault if isinstance(fault, Fault) else Fault.IO)
        elif self.fault is not None:
            self.fault = None
            self.since = time.time_ns() // 1000
            log.warning("the store is back; %d values wait in spill files", self.backlog.frames)

    def _register(self, conn: Connection) -> None:
        life = self._life
        boots.register(conn, life.boot.id, life.node, life.version, life.boot.started)
        # Once; and again only into a file that has none, for a book loaded since then may be in force.
        if life.prices and not (self._priced and conn.names.prices):
            prices.sync(conn, life.prices, life.book, time.time_ns() // 1000)

    def _connect(self) -> None:
        conn = connection.writer(self._life.path, self._life.durability)
        try:
            found = conn.execute("SELECT version_num FROM alembic_version").fetchone()
            if found is None or found[0] != HEAD:
                raise AnotherSchema(f"schema {found}")
            conn.names.load_prices()
            status = self._life.path.stat()
        except (sqlite3.Error, OSError) as error:
            conn.close()
            raise (
                error if isinstance(error, sqlite3.Error) else sqlite3.OperationalError(str(error))
            ) from error
        self._file = (status.st_dev, status.st_ino)
        self._conn = conn

    def _drop(self) -> None:
        """Let go of the connection. One whose file is gone stays open: closing it would remove the log of the
        file that may stand there now."""
        if self._conn is None:
            return
        if self._same_file():
            with contextlib.suppress(sqlite3.Error):
                self._conn.close()
        else:
            self._abandoned.append(self._conn)
        self._conn = None

    def _same_file(self) -> bool:
        try:
            status = self._life.path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._file

    def _checkpoint(self) -> None:
        """Finish what the checkpoint thread began, while nobody writes: only so can the log begin anew."""
        self.catch_up.clear()
        if self._conn is not None and self.fault is None:
            with contextlib.suppress(sqlite3.Error):
                self._conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _finish(self) -> None:
        """Move what can be moved, say that this boot ended in order, and close."""
        while self.fault is None and self.backlog.pending:
            self._mend()
        if self.fault is None:
            now = time.time_ns() // 1000
            self._transact_soon(lambda conn: boots.end(conn, self._life.boot.id, now))
        self.fault = Fault.CLOSED
        self._drop()
        self.backlog.close()
        while not self.queue.empty():
            self._release([(job.future, self._refusal()) for job in self.queue.get_nowait() or ()])

    def _release(self, results: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
        """Resolve futures in their loop, all of a batch by one call."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self._life.loop.call_soon_threadsafe(_resolve, results)


def _resolve(results: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _record_down(error: OSError) -> Refused:
    return Refused(
        503,
        "RECORD_DOWN",
        f"The record cannot be written, nor its spill file: {error.strerror}.",
        hint="Make room on the disk of the data folder, and see that gemgate may write there.",
        retry_after=1.0,
    )
