"""What gemgate is made of, how large the record is, and what it does by itself."""

from __future__ import annotations

import platform
import sqlite3

import msgspec
from flask_restx import Namespace, Resource

from gemgate import __version__
from gemgate.api import context
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.jobs.table import JOBS
from gemgate.store import job_runs, sizes, version
from gemgate.store.sizes import Life, Mark, Rows, Sizes

namespace = Namespace("system", description="Versions, sizes, rows, sums and jobs.")


class Made(msgspec.Struct, kw_only=True):
    """What runs. ``schema`` is the record's."""

    gemgate: str
    python: str
    sqlite: str
    schema: str


class JobItem(msgspec.Struct, kw_only=True):
    """What the console does by itself, every ``period`` seconds, and its last run: times in UTC µs.

    ``ok`` and the times are null when it has not run yet; while its first run goes on ``started_at`` stands there
    alone, and later runs are told when they end. ``message`` says what was done, or what failed and where.
    """

    name: str
    sentence: str
    period: float
    runs: int = 0
    ok: bool | None = None
    started_at: int | None = None
    ended_at: int | None = None
    message: str = ""


class System(msgspec.Struct, kw_only=True):
    """What gemgate is made of, how large the record is, and what it does by itself. ``as_of`` is UTC µs.

    ``lag`` is how many seconds the sums of single dimensions are behind the calls, 0.0 when they hold them all.
    """

    versions: Made
    sizes: Sizes
    rows: list[Rows]
    marks: list[Mark]
    jobs: list[JobItem]
    gateways: list[Life]
    as_of: int
    lag: float = 0.0


@namespace.route("")
class TheSystem(Resource):
    """The installation."""

    @operation(namespace, role=Role.VIEWER, answer=System, errors=(422,))
    def get(self) -> System:
        """Show versions, sizes, rows, sums and jobs.

        Sizes are bytes. Tables are counted up to 10,000 rows, beyond that `rows` is an estimate (with
        `at_least` a floor) and `exact` false.
        `marks` say how far the sums that reports read are behind the calls; what is behind is read call by call.
        `gateways` are the ten newest lives of gateways on this record.
        """
        now = context.now()
        with context.reading() as conn:
            marks = sizes.marks(conn, now)
            runs = {run.name: run for run in job_runs.every(conn)}
            return System(
                versions=Made(
                    gemgate=__version__,
                    python=platform.python_version(),
                    sqlite=sqlite3.sqlite_version,
                    schema=version.HEAD,
                ),
                sizes=sizes.sizes(conn, context.settings().database),
                rows=sizes.rows(conn),
                marks=marks,
                jobs=[_job(job.name, job.sentence, job.period, runs.get(job.name)) for job in JOBS],
                gateways=sizes.lives(conn),
                as_of=now,
                lag=max((one.lag for one in marks if one.name == "thin"), default=0) / 1_000_000,
            )


def _job(name: str, sentence: str, period: float, run: job_runs.Run | None) -> JobItem:
    if run is None:
        return JobItem(name=name, sentence=sentence, period=period)
    return JobItem(
        name=name,
        sentence=sentence,
        period=period,
        runs=run.runs,
        ok=run.ok if run.ended_at else None,
        started_at=run.started_at,
        ended_at=run.ended_at or None,
        message=run.message,
    )
