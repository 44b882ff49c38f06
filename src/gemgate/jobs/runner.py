"""Runs the jobs of the console, each on a thread of its own.

Laws:

- a job never runs twice at once; a run that comes due meanwhile is left out, not caught up on;
- what a run raises ends that run alone: it goes to the log by kind and place, and into ``job_runs``;
- a run is put on record when it went otherwise than the one before, else every 10 s at most, and every minute when
  it did nothing: a job of every second must not write as often;
- ``stop`` asks the jobs to end and waits for them for a bounded time: what they write is in short transactions, so
  that ending the process in the middle of one leaves the record whole.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from gemgate.core.errors import place_of
from gemgate.jobs.context import Context
from gemgate.jobs.table import Job
from gemgate.store import job_runs, version
from gemgate.store.connection import Connection, slice_, visitor

_LOG = logging.getLogger(__name__)
_OFTEN: Final = 10_000_000
_SELDOM: Final = 60_000_000
_SOON: Final = 1.0  # seconds after the start at which jobs begin, so that the console answers first


class Runner:
    """The jobs of one console process."""

    def __init__(self, context: Context, jobs: Sequence[Job]) -> None:
        self._context = context
        self._jobs = tuple(jobs)
        self._told: dict[str, tuple[int, bool]] = {job.name: (0, True) for job in jobs}
        self._untold = dict.fromkeys(self._told, 0)
        self._under_way = 0
        self._idle = threading.Condition()
        self._ready = False
        # What a skipped run says every second is no news.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(max(1, len(self._jobs)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
            daemon=True,
        )

    def start(self) -> None:
        """Begin. Each job runs a second after the start, and then in its period."""
        first = datetime.now(UTC) + timedelta(seconds=_SOON)
        for job in self._jobs:
            trigger = IntervalTrigger(seconds=job.period, timezone=UTC)
            self._scheduler.add_job(self.run, trigger, args=(job,), name=job.name, next_run_time=first)
        self._scheduler.start()

    def stop(self, patience: float = 3.0) -> bool:
        """Let the jobs end; False when one was still under way after ``patience`` seconds."""
        self._context.stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        with self._idle:
            if not self._idle.wait_for(lambda: self._under_way == 0, patience):
                return False
        while self._context.at_end:
            self._context.at_end.pop()()
        return True

    def run(self, job: Job) -> None:
        """One run of a job, with all that may come of it."""
        with self._idle:
            if self._context.stopping.is_set():
                return
            self._under_way += 1
        try:
            if self._usable():
                self._run(job)
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _run(self, job: Job) -> None:
        started = time.time_ns() // 1000
        if not self._told[job.name][0]:  # the first run may be a long one, and nothing else tells of it
            with contextlib.suppress(sqlite3.Error, OSError):
                self._tell(lambda conn: job_runs.begin(conn, job.name, started))
        try:
            message, ok = job.run(self._context), True
        except Exception as error:  # noqa: BLE001 - the edge of a job
            # The kind and place alone: a fault's text may carry what a caller sent.
            message, ok = f"{type(error).__name__} at {place_of(error)}", False
            _LOG.error("the job %s failed: %s", job.name, message)
        ended = time.time_ns() // 1000
        self._untold[job.name] += 1
        told, went = self._told[job.name]
        if ok == went and ended - told < (_OFTEN if message else _SELDOM):
            return
        run = job_runs.Run(
            name=job.name,
            started_at=started,
            ended_at=ended,
            ok=ok,
            message=message,
            runs=self._untold[job.name],
        )
        # A record that is held or away is no fault of the job; the next run is put down with this one's count.
        with contextlib.suppress(sqlite3.Error, OSError):
            self._tell(lambda conn: job_runs.put(conn, run))
            self._told[job.name], self._untold[job.name] = (ended, ok), 0

    def _tell(self, work: Callable[[Connection], None]) -> None:
        with contextlib.closing(visitor(self._context.database)) as conn, slice_(conn):
            work(conn)

    def _usable(self) -> bool:
        """Whether there is a record of our schema to work on."""
        if not self._ready:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._ready = version.found(self._context.database) == version.HEAD
        return self._ready
