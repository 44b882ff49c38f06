"""Findings on the record: what could cost less, and what will end."""

from __future__ import annotations

import contextlib
import threading
from typing import Annotated, Final

import msgspec
from flask_restx import Namespace, Resource

from gemgate.api import context
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import Role
from gemgate.core.pricing import BadBook
from gemgate.insight.advice.findings import Finding
from gemgate.insight.advice.study import KINDS
from gemgate.jobs import advice
from gemgate.store import evidence
from gemgate.store.connection import reader
from gemgate.store.evidence import Run

namespace = Namespace(
    "advice", description="Findings on the record: what could cost less, and what will end."
)
UNDER_WAY: Final = threading.Lock()
"""Held by the run that somebody has asked for."""


class AdviceQuery(msgspec.Struct, kw_only=True):
    """Which findings."""

    kind: Annotated[
        list[str], msgspec.Meta(description=f"Only these kinds: {', '.join(KINDS)}.", examples=[["batch"]])
    ] = []
    key: (
        Annotated[
            str,
            msgspec.Meta(description="Only findings on this virtual key.", max_length=200, examples=["web"]),
        ]
        | None
    ) = None


class Advice(msgspec.Struct, kw_only=True):
    """The findings of the last run. Times in UTC µs; ``as_of`` is null before the first run.

    ``calls`` were looked at, received from ``since`` to ``until``. ``nano_per_month`` of all findings is not given:
    two of them may save the same money.
    """

    as_of: int | None
    since: int | None
    until: int | None
    calls: int
    findings: list[Finding]


@namespace.route("")
class TheAdvice(Resource):
    """What the last run found."""

    @operation(namespace, role=Role.VIEWER, query=AdviceQuery, answer=Advice)
    def get(self, query: AdviceQuery) -> Advice:
        """The findings on the record, those with the most money first.

        Made once an hour from calls of the last 30 days, and answered at once from what was kept. Money is
        nano-dollars in 30 days at today's prices, null where none can be named; each finding says how it was made.
        """
        strange = sorted(set(query.kind) - set(KINDS))
        if strange:
            sentence = f"{strange[0]!r} is no kind; use some of: {', '.join(KINDS)}."
            raise Problem(400, "BAD_QUERY", "The query cannot be understood.", errors={"kind": sentence})
        with context.reading() as conn:
            return _shown(evidence.last(conn), query)


@namespace.route("/refresh")
class Refresh(Resource):
    """A run now."""

    @operation(namespace, role=Role.OPERATOR, answer=Advice, errors=(409, 422, 503))
    def post(self) -> Advice:
        """Look over the record now, and give what was found.

        Takes some seconds where the record is large: up to 200,000 calls are read.
        """
        if not UNDER_WAY.acquire(blocking=False):
            raise Problem(409, "UNDER_WAY", "A run is under way.", "Read GET /api/v1/advice in some seconds.")
        try:
            settings = context.settings()
            with context.reading():
                pass  # there is a record that can be read; the run has read transactions of its own
            with contextlib.closing(reader(settings.database)) as conn:
                found = advice.study(conn, settings, context.now())
            with context.changing() as change:
                evidence.keep(change.conn, found)
        except (BadBook, OSError):
            hint = "`gemgate doctor` looks at the file that prices.file names."
            raise Problem(503, "PRICES_UNREADABLE", "The price book cannot be read.", hint) from None
        finally:
            UNDER_WAY.release()
        return _shown(found, AdviceQuery())


def _shown(run: Run | None, query: AdviceQuery) -> Advice:
    if run is None:
        return Advice(as_of=None, since=None, until=None, calls=0, findings=[])
    found = [
        one
        for one in run.findings
        if (not query.kind or one.kind in query.kind) and (query.key is None or one.key == query.key)
    ]
    return Advice(as_of=run.as_of, since=run.since, until=run.until, calls=run.calls, findings=found)
