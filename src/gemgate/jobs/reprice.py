"""Prices spans of the record anew, as somebody has asked for: one after another, each in short slices.

Laws:

- the calls of a slice, their sums, and how far the re-pricing has come change in one transaction: a death between
  two slices leaves a record that proves itself, and the next run goes on where the last one stood;
- what a slice shall write is worked out without the lock, which is held for 20 ms at most;
- a dry run does all but the writing;
- the book is that of the moment at which a run begins; a re-pricing is repeated without harm.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from gemgate.core.pricing import BadBook, PriceBook
from gemgate.core.wording import dollars
from gemgate.jobs.context import Context
from gemgate.store import audit, jobs, prices, reprice, stored_prices
from gemgate.store.connection import SLICE, Connection, reading, sliced, visitor
from gemgate.store.reprice import Anew, Place
from gemgate.store.reprice_sums import Moved

KIND: Final = "reprice"
"""How re-pricings are called among the jobs."""
PERIOD: Final = 1.0
"""Seconds between two looks for one that was asked for."""

_READ: Final = 500  # calls in one read
_GOAL: Final = SLICE / 5  # seconds that a slice should take: a busy machine takes longer
_MOST: Final = 200  # calls changed in one slice


class Asked(msgspec.Struct, frozen=True):
    """What is to be priced anew: calls that came in ``[since, until)`` (UTC µs); of them the tries that are priced as
    ``model``, empty for all. ``dry_run`` changes nothing."""

    since: int
    until: int
    model: str = ""
    dry_run: bool = False


class Money(msgspec.Struct):
    """What tries come to: nano-dollars of those with a known price, and how many have none."""

    list_nano: int = 0
    billed_nano: int = 0
    unpriced: int = 0

    def add(self, listed: int | None, billed: int | None) -> None:
        """Count a try."""
        self.list_nano += listed or 0
        self.billed_nano += billed or 0
        self.unpriced += listed is None


class Totals(msgspec.Struct):
    """The tries of one model (their own target): how many were looked at, how many get another price, and money."""

    tries: int = 0
    changed: int = 0
    before: Money = msgspec.field(default_factory=Money)
    after: Money = msgspec.field(default_factory=Money)


class Result(msgspec.Struct):
    """How far a re-pricing is, and what it came to so far, by model. ``after`` is the place of the last call."""

    after: Place | None = None
    models: dict[str, Totals] = {}

    def sums(self) -> tuple[Money, Money]:
        """The money of all models, before and after."""
        found = Money(), Money()
        for totals in self.models.values():
            for sum_, part in zip(found, (totals.before, totals.after), strict=True):
                sum_.list_nano += part.list_nano
                sum_.billed_nano += part.billed_nano
                sum_.unpriced += part.unpriced
        return found

    def count(self, anew: Anew) -> None:
        """Count the tries of a call with what they cost before and after."""
        for one, cost in zip(anew.call.tries, anew.costs, strict=True):
            if cost is None:
                continue
            totals = self.models.setdefault(one.model, Totals())
            totals.tries += 1
            totals.changed += reprice.differs(one, cost)
            totals.before.add(one.cost.total, one.cost.billed)
            totals.after.add(cost.total, cost.billed)


class _Step(NamedTuple):
    """From how many calls done to how many, of how many, and what they came to."""

    before: int
    done: int
    total: int
    result: Result


class _Elsewhere(Exception):
    """The re-pricing was cancelled, or another process has gone on with it."""


def run(context: Context) -> str:
    """Do the oldest re-pricing that waits or was left half done, to its end or until the process is to stop."""
    with contextlib.closing(visitor(context.database)) as conn:
        found = jobs.in_state(conn, KIND, "running") or jobs.in_state(conn, KIND, "queued")
        return _Work(context, conn, found[0].id).work() if found else ""


class _Work:
    """One re-pricing. It learns how many calls it may change in one step."""

    def __init__(self, context: Context, conn: Connection, number: int) -> None:
        self._context = context
        self._conn = conn
        self._number = number
        self._size = 1
        self._ids: dict[str, int] = {}

    def work(self) -> str:
        """Go on with it. Returns a sentence of what came of it."""
        number, file = self._number, self._context.settings.prices.file
        try:
            book = stored_prices.in_force(self._conn, file)
        except (BadBook, OSError):
            sentence = "The price book cannot be read; `gemgate prices` says why."
            self._write(lambda inside: self._fail(inside, sentence))
            return f"Re-pricing {number} failed: {sentence}"
        self._write(lambda inside: jobs.start(inside, number, _now()))
        while not self._context.stopping.is_set():
            job = jobs.find(self._conn, KIND, number)
            if job is None or job.state != "running":
                return f"Re-pricing {number} was cancelled."
            with contextlib.suppress(_Elsewhere):
                if not self._forward(job, book):
                    return self._end(number)
        return f"Re-pricing {number} goes on when the console runs again."

    def _fail(self, inside: Connection, sentence: str) -> None:
        """End it where it stands: what was changed by then, and what it came to, stays on record."""
        job = jobs.find(inside, KIND, self._number)
        if job is None or not jobs.end(inside, job.id, "failed", _now(), sentence, job.result):
            return
        result = msgspec.convert(job.result, Result)
        if result.models and not msgspec.convert(job.body, Asked).dry_run:
            audit.add(inside, _entry(job, result))

    def _forward(self, job: jobs.Job, book: PriceBook) -> bool:
        """Price the next calls anew; False when none is left. Raises _Elsewhere."""
        conn, asked = self._conn, msgspec.convert(job.body, Asked)
        result = msgspec.convert(job.result, Result)
        total = job.total or count(conn, asked)
        free = {project.name for project in self._context.settings.projects if project.tier == "free"}
        if not asked.dry_run and not self._ids:
            self._write(lambda inside: self._ids.update(prices.on_record(inside, book.rows(), book.name)))
        with reading(conn):
            calls = reprice.read(conn, result.after or (asked.since, -1), asked.until, _READ)
        left = [reprice.anew(call, book, free, asked.model) for call in calls]
        if not asked.dry_run and (unnamed := reprice.kinds(conn, left)):
            self._write(lambda inside: reprice.name_kinds(inside, unnamed))
        done = job.done
        while left and not self._context.stopping.is_set():
            part = _part(left, len(left) if asked.dry_run else self._size)
            del left[: len(part)]
            for one in part:
                result.count(one)
            result.after = (part[-1].call.received_at, part[-1].call.seq)
            self._slice(
                job.id, part, _Step(done, done + len(part), max(total, done + len(part)), result), asked
            )
            done += len(part)
        return bool(calls)

    def _slice(self, number: int, part: Sequence[Anew], to: _Step, asked: Asked) -> None:
        """Write a few calls and how far that is. Raises _Elsewhere."""
        conn: Connection = self._conn
        prepared: reprice.Prepared | None = None
        told = msgspec.to_builtins(to.result)
        held = 0.0

        def step(inside: Connection) -> bool:
            """All of it."""
            nonlocal held
            begun = time.monotonic()
            if not reprice.move(inside, number, (to.before, to.done), to.total, told):
                raise _Elsewhere
            if prepared is not None:
                reprice.write(inside, prepared, self._ids)
            held = time.monotonic() - begun
            return False

        while True:
            if not asked.dry_run:
                with reading(conn):
                    prepared = reprice.prepare(conn, part)
            try:
                self._slices(step)
                break
            except Moved:
                self._rest(_GOAL)
        if prepared is not None and prepared.changes:
            fits = len(prepared.changes) * _GOAL / max(held, 1e-4)
            self._size = int(min(max(fits, 1), 2 * self._size, _MOST))

    def _end(self, number: int) -> str:
        """Say that it is done, and what came of it."""
        job = jobs.find(self._conn, KIND, number)
        assert job is not None
        asked, result = msgspec.convert(job.body, Asked), msgspec.convert(job.result, Result)
        sentence = _told(asked, result)

        def write(inside: Connection) -> None:
            """The end, and the trace of it."""
            if not jobs.end(inside, number, "done", _now(), sentence, msgspec.to_builtins(result)):
                return
            if not asked.dry_run:
                audit.add(inside, _entry(job, result))

        self._write(write)
        return f"Re-pricing {number}: {sentence}"

    def _write(self, work: Callable[[Connection], object]) -> None:
        """One short transaction."""

        def step(inside: Connection) -> bool:
            """All of it."""
            work(inside)
            return False

        self._slices(step)

    def _slices(self, step: Callable[[Connection], bool]) -> None:
        """Short transactions, each with a pause as long after it."""
        begun = time.monotonic()
        sliced(self._conn, step, self._rest)
        self._rest(min(SLICE, time.monotonic() - begun))

    def _rest(self, seconds: float) -> None:
        self._context.stopping.wait(seconds)


def count(conn: Connection, asked: Asked) -> int:
    """How many calls a re-pricing looks at. Reads in short statements."""
    found, place = reprice.count(conn, (asked.since, -1), asked.until)
    while place is not None:
        more, place = reprice.count(conn, place, asked.until)
        found += more
    return found


def _part(left: list[Anew], most: int) -> list[Anew]:
    """The next calls, of which so many change at most."""
    changed = 0
    for place, one in enumerate(left):
        changed += one.changes
        if changed >= most:
            return left[: place + 1]
    return left[:]


def _entry(job: jobs.Job, result: Result) -> audit.Entry:
    """The trace of changed money."""
    before, after = result.sums()
    return audit.Entry(
        at=_now(),
        actor=job.actor,
        role="",
        action="reprice",
        kind="price",
        subject=f"reprice/{job.id}",
        before=msgspec.to_builtins(before),
        after=msgspec.to_builtins(after),
    )


def _told(asked: Asked, result: Result) -> str:
    """What a re-pricing came to, in a sentence."""
    before, after = result.sums()
    tries = sum(one.tries for one in result.models.values())
    changed = sum(one.changed for one in result.models.values())
    does = "would get" if asked.dry_run else "got"
    return (
        f"{changed:,} of {tries:,} tries {does} another price; list price {dollars(before.list_nano)} before,"
        f" {dollars(after.list_nano)} after; without a price {before.unpriced:,} before, {after.unpriced:,} after."
    )


def _now() -> int:
    return time.time_ns() // 1000
