"""When the jobs of the console last ran, and what came of it. One row a job."""

from __future__ import annotations

import sqlite3

import msgspec


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The last run of a job. Times are UTC µs; ``runs`` counts all of them; ``message`` says what was done.

    While the first one of a console is under way, ``started_at`` is after ``ended_at``, which is 0 when none ended.
    """

    name: str
    started_at: int
    ended_at: int
    ok: bool
    message: str
    runs: int


def put(conn: sqlite3.Connection, run: Run) -> None:
    """Put the last run of a job on record; its ``runs`` are added to those that stand there.

    Needs the caller's transaction.
    """
    conn.execute(
        "INSERT INTO job_runs(name, started_at, ended_at, ok, message, runs) VALUES(?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(name) DO UPDATE SET started_at = excluded.started_at, ended_at = excluded.ended_at,"
        " ok = excluded.ok, message = excluded.message, runs = runs + excluded.runs",
        (run.name, run.started_at, run.ended_at, int(run.ok), run.message[:1_000], run.runs),
    )


def begin(conn: sqlite3.Connection, name: str, at: int) -> None:
    """Say that a job runs since then (UTC µs). Needs the caller's transaction."""
    conn.execute(
        "INSERT INTO job_runs(name, started_at, ended_at, ok, message, runs) VALUES(?, ?, 0, 1, '', 0)"
        " ON CONFLICT(name) DO UPDATE SET started_at = excluded.started_at",
        (name, at),
    )


def every(conn: sqlite3.Connection) -> list[Run]:
    """The last run of each job that ever ran, by name."""
    rows = conn.execute("SELECT name, started_at, ended_at, ok, message, runs FROM job_runs ORDER BY name")
    return [
        Run(name=name, started_at=start, ended_at=end, ok=bool(ok), message=message, runs=runs)
        for name, start, end, ok, message, runs in rows
    ]
