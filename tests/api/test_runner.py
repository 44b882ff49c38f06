"""The jobs of the console: each on its own, none stops another, and the record says what came of them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from gemgate.config import Settings
from gemgate.jobs.context import Context
from gemgate.jobs.runner import Runner
from gemgate.jobs.table import JOBS, Job
from gemgate.store import job_runs
from gemgate.store.connection import reader
from gemgate.store.migrate import upgrade


def runs(settings: Settings) -> dict[str, job_runs.Run]:
    with contextlib.closing(reader(settings.database)) as conn:
        return {run.name: run for run in job_runs.every(conn)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data=tmp_path)
    upgrade(made.database)
    return made


def test_a_run_is_put_down_and_a_fault_ends_that_run_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(context: Context) -> str:
        raise RuntimeError("AIzaSecretInAFault")

    good = Job("good", lambda context: f"looked at {context.database.name}", 1, "Looks.")
    bad = Job("bad", broken, 1, "Breaks.")
    runner = Runner(Context(settings), (good, bad))
    runner.run(bad)
    runner.run(good)
    found = runs(settings)
    assert (found["good"].ok, found["good"].message, found["good"].runs) == (True, "looked at gemgate.db", 1)
    assert not found["bad"].ok
    assert found["bad"].message.startswith("RuntimeError at ")
    assert "AIzaSecretInAFault" not in found["bad"].message + caplog.text
    assert found["good"].started_at <= found["good"].ended_at


def test_runs_that_did_nothing_do_not_write_each_time_but_are_counted(settings: Settings) -> None:
    said = [""]
    quiet = Job("quiet", lambda context: said[0], 1, "Rests.")
    runner = Runner(Context(settings), (quiet,))
    for _ in range(5):
        runner.run(quiet)
    assert runs(settings)["quiet"].runs == 1

    def fails(context: Context) -> str:
        raise ValueError

    runner.run(quiet._replace(run=fails))
    found = runs(settings)["quiet"]
    assert (found.ok, found.runs) == (False, 6)


def test_without_a_record_jobs_do_not_run(tmp_path: Path) -> None:
    ran: list[Context] = []
    job = Job("some", lambda context: str(ran.append(context)), 1, "Runs.")
    Runner(Context(Settings(data=tmp_path)), (job,)).run(job)
    assert ran == []
    assert list(tmp_path.iterdir()) == []


def test_jobs_run_by_themselves_and_stop_when_told(settings: Settings) -> None:
    began = threading.Event()

    def long(context: Context) -> str:
        began.set()
        context.stopping.wait()
        return "ended"

    closed: list[bool] = []
    context = Context(settings, at_end=[lambda: closed.append(True)])
    runner = Runner(context, (Job("long", long, 3_600, "Waits."),))
    runner.start()
    assert began.wait(60)
    found = runs(settings)["long"]  # under way
    assert (found.runs, found.ended_at) == (0, 0)
    assert found.started_at > 0
    assert not closed
    assert runner.stop(60)
    assert closed == [True]
    assert runs(settings)["long"].message == "ended"


def test_a_job_that_does_not_end_is_told_of(settings: Settings) -> None:
    began, free = threading.Event(), threading.Event()

    def stuck(context: Context) -> str:
        began.set()
        free.wait()
        return ""

    runner = Runner(Context(settings), (Job("stuck", stuck, 3_600, "Hangs."),))
    runner.start()
    assert began.wait(60)
    assert not runner.stop(0.0)
    free.set()
    assert runner.stop(60)


def test_every_job_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert job.sentence.endswith(".")
        assert job.period > 0
