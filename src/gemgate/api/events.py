"""What people should hear of: budgets at their soft line or spent, keys that run away."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, trail
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.insight import cursors
from gemgate.insight.spans import iso
from gemgate.store import events

namespace = Namespace(
    "events", description="What people should hear of: budgets that are spent, keys that run away."
)


class EventsQuery(trail.Spanned, forbid_unknown_fields=True, kw_only=True):
    """Which events. Everything given must hold."""

    kind: Annotated[
        trail.Text, Meta(description="budget_soft, budget_spent, runaway_spend or runaway_repeat.")
    ] = ""
    subject: Annotated[trail.Text, Meta(description="The name of the budget or key.")] = ""


class EventItem(msgspec.Struct, kw_only=True):
    """One event. ``at`` is UTC µs, ``time`` the same in ISO 8601."""

    seq: int
    at: int
    time: str
    kind: str
    subject: str
    sentence: str


class EventList(msgspec.Struct, kw_only=True):
    """A page of events, newest first. ``next`` asks for the page after it, null at the end."""

    items: list[EventItem]
    next: str | None


@namespace.route("")
class Events(Resource):
    """All events."""

    @operation(namespace, role=Role.VIEWER, query=EventsQuery, answer=EventList, errors=(422,))
    def get(self, query: EventsQuery) -> EventList:
        """List what happened, newest first."""
        span = trail.span(query)
        asked = cursors.question("events", query.from_, query.to, query.zone, query.kind, query.subject)
        with context.reading() as conn:
            below = trail.below(query, asked)
            found = events.page(conn, query.limit + 1, below, query.kind, query.subject, span)
        shown, following = trail.paged(found, query, asked, lambda one: one[0])
        return EventList(
            items=[
                EventItem(
                    seq=seq,
                    at=event.at,
                    time=iso(event.at, "UTC"),
                    kind=event.kind,
                    subject=event.subject,
                    sentence=event.sentence,
                )
                for seq, event in shown
            ],
            next=following,
        )
