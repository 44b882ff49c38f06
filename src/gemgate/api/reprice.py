"""Spans of the record priced anew: asked for here, done by a job, looked at here again."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from flask_restx import Resource
from msgspec import Meta

from gemgate.api import context, named
from gemgate.api.operation import operation
from gemgate.api.prices import namespace
from gemgate.api.problems import Problem
from gemgate.api.roles import ADMIN
from gemgate.insight import cursors, spans
from gemgate.jobs.reprice import KIND, Asked, Result, Totals
from gemgate.store import jobs

__all__ = ["namespace"]

State = Literal["queued", "running", "done", "failed", "cancelled"]

_MOST_WAITING: Final = 20


class RepriceBody(msgspec.Struct, forbid_unknown_fields=True):
    """What to price anew: calls received in `[from, to)`."""

    since: Annotated[
        str,
        Meta(
            max_length=40,
            description="Calls received from then on: -24h, 2026-11-23, ISO 8601, or UTC µs as text.",
            examples=["-24h"],
        ),
    ] = msgspec.field(name="from")
    to: Annotated[
        str,
        Meta(max_length=40, description="Calls received before then, in the same forms.", examples=["now"]),
    ]
    zone: Annotated[
        str, Meta(max_length=64, description="The IANA time zone that dates and times without one are of.")
    ] = "UTC"
    model: Annotated[
        str, Meta(max_length=200, description="Only tries that are priced as this model; empty: all.")
    ] = ""
    dry_run: Annotated[bool, Meta(description="Say what would change, and change nothing.")] = True


class RepriceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which re-pricings."""

    limit: named.Limit = 50
    cursor: named.Cursor = ""


class Repricing(msgspec.Struct, kw_only=True):
    """A re-pricing: what was asked, how far it is (`done` of `total` calls), and what it came to, by model.

    Times are UTC µs, 0 for not yet. Money is nano-dollars, of tries with a known price; `unpriced` counts the others.
    """

    id: int
    state: State
    actor: str
    since: int = msgspec.field(name="from")
    to: int
    model: str
    dry_run: bool
    done: int
    total: int
    models: dict[str, Totals]
    message: str
    created_at: int
    started_at: int
    ended_at: int


class RepricingList(msgspec.Struct):
    """A page of re-pricings, the newest first."""

    items: list[Repricing]
    next: str | None


@namespace.route("/reprice")
class Repricings(Resource):
    """All re-pricings."""

    @operation(namespace, role=ADMIN, query=RepriceQuery, answer=RepricingList)
    def get(self, query: RepriceQuery) -> RepricingList:
        """List the re-pricings.

        The newest first, those under way with how far they are.
        """
        question, before = cursors.question(KIND), 0
        if query.cursor:
            try:
                (place,) = cursors.decode(query.cursor, question, 1)
            except cursors.BadCursor as fault:
                raise named.wrong({"cursor": str(fault)}, "BAD_QUERY") from None
            before = place if isinstance(place, int) and place > 0 else 1
        with context.reading() as conn:
            found = jobs.newest(conn, KIND, query.limit + 1, before)
        more = len(found) > query.limit
        some = found[: query.limit]
        return RepricingList(
            [_shown(job) for job in some], cursors.encode(question, (some[-1].id,)) if more else None
        )

    @operation(namespace, role=ADMIN, body=RepriceBody, answer=Repricing, status=202, errors=(429,))
    def post(self, body: RepriceBody) -> Repricing:
        """Price a span of the record anew.

        Each try of the calls received in the span gets the price that the book in force now has for the moment at
        which it was sent; tokens, estimates and free projects stay as they are on record. Sums, rollups and reports
        follow. What budgets were charged stays: it is what held calls back then. The work is done by a job, beside
        the traffic; GET tells how far it is. `dry_run`, which is the default, only says what would change.
        """
        since, until = _span(body)
        asked = Asked(since=since, until=until, model=body.model.strip(), dry_run=body.dry_run)
        plain = msgspec.to_builtins(asked)
        with context.changing() as change:
            if len(jobs.in_state(change.conn, KIND, *jobs.LIVE)) >= _MOST_WAITING:
                detail = f"{_MOST_WAITING} re-pricings wait already."
                raise Problem(429, "TOO_MANY_JOBS", detail, "Wait for one, or cancel one.", retry_after=60.0)
            number = jobs.create(change.conn, KIND, context.caller().name, plain, context.now())
            change.audit("create", "reprice", f"reprice/{number}", None, plain)
            job = jobs.find(change.conn, KIND, number)
        assert job is not None
        return _shown(job)


@namespace.route("/reprice/<int:number>")
class OneRepricing(Resource):
    """One re-pricing."""

    @operation(namespace, role=ADMIN, answer=Repricing)
    def get(self, number: int) -> Repricing:
        """Show a re-pricing.

        How far it is, and what it came to so far.
        """
        with context.reading() as conn:
            job = jobs.find(conn, KIND, _held(number))
        if job is None:
            raise named.missing("reprice", str(number), ())
        return _shown(job)

    @operation(namespace, role=ADMIN, answer=Repricing, errors=(409,))
    def delete(self, number: int) -> Repricing:
        """Cancel a re-pricing.

        What it has changed by then stays, and the record is whole; asking for the same span again goes over it anew.
        """
        with context.changing() as change:
            before = jobs.find(change.conn, KIND, _held(number))
            if before is None:
                raise named.missing("reprice", str(number), ())
            said = f"Cancelled after {before.done:,} of {before.total or before.done:,} calls."
            if not jobs.end(change.conn, number, "cancelled", context.now(), said, before.result):
                raise Problem(409, "JOB_ENDED", f"Re-pricing {number} has ended: {before.state}.")
            job = jobs.find(change.conn, KIND, number)
            change.audit(
                "cancel", "reprice", f"reprice/{number}", {"state": before.state}, {"state": "cancelled"}
            )
        assert job is not None
        return _shown(job)


def _span(body: RepriceBody) -> tuple[int, int]:
    """From and before, UTC µs. Raises Problem 400 that names the field."""
    now = context.now()
    try:
        since, until = (
            spans.moment(text, field, body.zone, now)
            for field, text in (("from", body.since), ("to", body.to))
        )
        spans.iso(now, body.zone)
    except spans.BadAsk as bad:
        raise named.wrong({bad.field: bad.sentence}) from None
    if since >= until:
        raise named.wrong({"to": "It must be after from."})
    return since, until


def _held(number: int) -> int:
    """A number that the record can be asked for."""
    return min(number, 2**62)


def _shown(job: jobs.Job) -> Repricing:
    asked, result = msgspec.convert(job.body, Asked), msgspec.convert(job.result, Result)
    return Repricing(
        id=job.id,
        state=msgspec.convert(job.state, State),
        actor=job.actor,
        since=asked.since,
        to=asked.until,
        model=asked.model,
        dry_run=asked.dry_run,
        done=job.done,
        total=job.total,
        models=result.models,
        message=job.message,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )
