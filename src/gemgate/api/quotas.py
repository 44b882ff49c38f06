"""Quota: how full Google's windows are, whose limit each one is, when room returns, and what rests."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import named, standing
from gemgate.api.operation import operation
from gemgate.api.roles import VIEWER
from gemgate.core.call import spell
from gemgate.core.health import Change, State
from gemgate.core.quota import Window
from gemgate.core.remedies import REMEDIES
from gemgate.gateway.outlook import Outlook, Place, closed
from gemgate.store import quotas

namespace = Namespace(
    "quotas",
    description="Quota: how full Google's windows are as far as gemgate knows, when room returns, and what rests "
    "after failures.",
)

WindowName = Literal["rpm", "tpm", "rpd", "tpd", "spend"]
_SHOWN = 50


class WindowAnswer(msgspec.Struct, kw_only=True):
    """A window. Times are UTC µs; 2^62 stands for never.

    `window`: requests (rpm, rpd) or input tokens (tpm, tpd) of a minute or a Pacific day, or nano-dollars in ten
    minutes (spend). `family` is what Google counts together; a spend window has the billing account there, a route's
    own window the route, and neither has a project. `limit` of null is not known yet. `source` of the limit: file,
    stored, tier, learned (from a refusal), or empty. `room_at` is when the smallest call has room, 0 for now.
    `closed_until` is 0 while it is open, `reason` Google's word for the closing and `sentence` what it means.
    `since`: the midnight of a day.
    """

    project: str
    family: str
    window: WindowName
    used: int
    limit: int | None
    source: str
    room_at: int
    closed_until: int
    reason: str
    sentence: str
    since: int


class BreakerAnswer(msgspec.Struct, kw_only=True):
    """What rests after failures. Times are UTC µs; `until` is when it is tried again, `failures` how many in a row.

    `scope` is upstream, project, model, target or key; `remedy` what a person can do, empty where it heals by itself.
    """

    scope: str
    name: str
    state: str
    reason: str
    message: str
    opened_at: int
    until: int
    failures: int
    remedy: str


class RefusalAnswer(msgspec.Struct, kw_only=True):
    """A try that Google refused with 429. `sent_at` is UTC µs, `retry_after` the delay that it named, in µs."""

    sent_at: int
    call_id: str
    model: str
    project: str
    reason: str
    retry_after: int | None


class QuotaAnswer(msgspec.Struct, kw_only=True):
    """Windows, breakers, the line of calls that wait, and what Google refused lately.

    Use is counted from the record, so it is true at `now`; learned limits, closings, breakers and the line are as
    the gateway kept them at `as_of` (0: never). `gateway` is where it answers, empty where none does. `old`: it runs
    and has not kept its state for 15 s. `refusals` are of the newest 20,000 tries. `left_out` are stored things that
    cannot be meant, each with the reason.
    """

    now: int
    as_of: int
    gateway: str
    old: bool
    routed: bool
    items: list[WindowAnswer]
    next: str | None
    breakers: list[BreakerAnswer]
    paused: list[str]
    left_out: dict[str, str]
    waiting: int
    line: list[Place]
    refusals: list[RefusalAnswer]
    changes: list[Change]


class QuotaQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which windows."""

    project: Annotated[
        str, Meta(max_length=64, description="Only this project, and its billing account.")
    ] = ""
    model: Annotated[str, Meta(max_length=120, description="Only what this model counts in.")] = ""
    window: Annotated[WindowName | None, Meta(description="Only windows of this kind.")] = None
    closed: Annotated[bool, Meta(description="Only those without room now.")] = False
    refusals: Annotated[int, Meta(ge=0, le=500, description="So many of the newest 429s.")] = _SHOWN
    changes: Annotated[int, Meta(ge=0, le=500, description="So many of the newest turns of breakers.")] = 0
    limit: Annotated[int, Meta(ge=1, le=500, description="Windows on a page.")] = 500
    cursor: named.Cursor = ""


@namespace.route("")
class Quotas(Resource):
    """All windows."""

    @operation(namespace, role=VIEWER, query=QuotaQuery, answer=QuotaAnswer)
    def get(self, query: QuotaQuery) -> QuotaAnswer:
        """Show every window of which anything is known, and what rests.

        Used, limit and its source, when room returns, and why it is closed; breakers, the line of calls that wait,
        and the newest refusals.
        """
        with standing.looking() as (outlook, conn):
            refused = quotas.refusals(conn, query.refusals) if query.refusals else []
            turned = quotas.changes(conn, limit=query.changes) if query.changes else []
        found = [one for one in outlook.windows() if _wanted(one, query, outlook)]
        question = ("quotas", query.project, query.model, query.window, query.closed)
        items, more = named.page(
            found,
            lambda one: f"{one.project}/{one.family}/{one.window}",
            query.limit,
            query.cursor,
            question,
        )
        return QuotaAnswer(
            now=outlook.now,
            as_of=outlook.as_of,
            gateway=outlook.gateway,
            old=outlook.old,
            routed=outlook.snapshot.routed,
            items=[_window(one, outlook) for one in items],
            next=more,
            breakers=[_breaker(one) for one in outlook.health.states(outlook.now)],
            paused=sorted(outlook.snapshot.paused),
            left_out=dict(outlook.snapshot.left_out),
            waiting=outlook.waiting(),
            line=outlook.line(),
            refusals=[
                RefusalAnswer(
                    sent_at=one.sent_at,
                    call_id=spell(one.call_id),
                    model=one.model,
                    project=one.project,
                    reason=one.reason,
                    retry_after=one.retry_after,
                )
                for one in refused
            ],
            changes=turned,
        )


def _wanted(one: Window, query: QuotaQuery, outlook: Outlook) -> bool:
    account = outlook.snapshot.account(query.project) if query.project else ""
    return (
        (
            not query.project
            or one.project == query.project
            or bool(account and not one.project and one.window == "spend" and one.family == account)
        )
        and (not query.model or one.family == outlook.snapshot.catalog.family(query.model))
        and query.window in (None, one.window)
        and (not query.closed or one.room_at > outlook.now)
    )


def _window(one: Window, outlook: Outlook) -> WindowAnswer:
    return WindowAnswer(
        project=one.project,
        family=one.family,
        window=one.window,  # type: ignore[arg-type]
        used=one.used,
        limit=one.limit,
        source=outlook.source(one),
        room_at=one.room_at,
        closed_until=one.closed_until,
        reason=one.reason,
        sentence=closed(one, outlook.now),
        since=one.since,
    )


def _breaker(one: State) -> BreakerAnswer:
    return BreakerAnswer(
        scope=one.scope,
        name=one.name,
        state=one.state,
        reason=one.reason,
        message=one.message,
        opened_at=one.opened_at,
        until=one.until,
        failures=one.failures,
        remedy=REMEDIES.get(one.reason, ""),
    )
