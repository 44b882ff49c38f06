"""Who changed what, before and after."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, trail
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.insight import cursors
from gemgate.insight.spans import iso
from gemgate.store import audit

namespace = Namespace(
    "audit", description="Who changed what, before and after, through the API or on the command line."
)


class AuditQuery(trail.Spanned, forbid_unknown_fields=True, kw_only=True):
    """Which changes. Everything given must hold."""

    actor: Annotated[
        trail.Text, Meta(description="A token's name, `open` for nobody's, `cli:<user>` on the command line.")
    ] = ""
    action: Annotated[
        trail.Text, Meta(description="The verb, such as create, change, rotate or disable.")
    ] = ""
    kind: Annotated[trail.Text, Meta(description="What was changed, such as key, budget or route.")] = ""
    subject: Annotated[trail.Text, Meta(description="Its name.")] = ""


class AuditItem(msgspec.Struct, kw_only=True):
    """One change. ``before`` and ``after`` are the thing as it was and is, null where there was or is nothing; no
    secret is in them. ``at`` is UTC µs, ``time`` the same in ISO 8601."""

    seq: int
    at: int
    time: str
    actor: str
    role: str
    action: str
    kind: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str


class AuditList(msgspec.Struct, kw_only=True):
    """A page of changes, newest first. ``next`` asks for the page after it, null at the end."""

    items: list[AuditItem]
    next: str | None


@namespace.route("")
class Audit(Resource):
    """All changes."""

    @operation(namespace, role=Role.ADMIN, query=AuditQuery, answer=AuditList, errors=(422,))
    def get(self, query: AuditQuery) -> AuditList:
        """List who changed what, newest first."""
        since, until = trail.span(query)
        names = {name: getattr(query, name) for name in ("actor", "action", "kind", "subject")}
        asked = cursors.question("audit", query.from_, query.to, query.zone, names)
        filters = {**names, "since": since, "until": until}
        with context.reading() as conn:
            found = audit.listing(conn, query.limit + 1, trail.below(query, asked), filters)
        shown, following = trail.paged(found, query, asked, lambda entry: entry.seq)
        return AuditList(items=[_item(entry) for entry in shown], next=following)


def _item(entry: audit.Entry) -> AuditItem:
    return AuditItem(
        seq=entry.seq,
        at=entry.at,
        time=iso(entry.at, "UTC"),
        actor=entry.actor,
        role=entry.role,
        action=entry.action,
        kind=entry.kind,
        subject=entry.subject,
        before=_object(entry.before),
        after=_object(entry.after),
        request_id=entry.request_id,
    )


def _object(value: Any) -> dict[str, Any] | None:
    """What was put down as something else than an object stands in one."""
    return value if value is None or isinstance(value, dict) else {"value": value}
