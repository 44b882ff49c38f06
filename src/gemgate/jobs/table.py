"""What the console does by itself, and how often. A new job adds its line; its function has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from gemgate.jobs import advice, exports, payloads, reprice, rollup
from gemgate.jobs.context import Context


class Job(NamedTuple):
    """One job. ``run`` returns a sentence of what was done, "" for nothing; ``period`` is in seconds."""

    name: str
    run: Callable[[Context], str]
    period: float
    sentence: str


JOBS: Final[tuple[Job, ...]] = (
    Job("rollup", rollup.run, rollup.PERIOD, "Brings the sums that reports read up to the newest call."),
    Job("advice", advice.run, advice.PERIOD, "Looks over the record for what could cost less."),
    Job(
        "reprice", reprice.run, reprice.PERIOD, "Prices spans of the record anew, as somebody has asked for."
    ),
    Job("exports", exports.run, exports.PERIOD, "Starts exports that wait, and takes old files away."),
    Job("payloads", payloads.run, payloads.PERIOD, "Takes away stored bodies that are too old or too many."),
)
