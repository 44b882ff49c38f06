"""Lists that span projects: one answer out of each project's own, with page tokens of ours.

Laws:

- items keep their bytes; only the array's frame and the page token are ours;
- projects are gone through in the plan's order; a page ends where a project has another page, or is full;
- a project that cannot answer fails the list: half a list would look like a whole one.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import msgspec

from gemgate.core.errors import Refused
from gemgate.core.pursuit import Terms
from gemgate.core.routing import Plan, Target
from gemgate.dialects.gemini import listing
from gemgate.gateway import judging
from gemgate.gateway.desk import Desk
from gemgate.gateway.headers import Headers
from gemgate.gateway.judging import Answer
from gemgate.gateway.pursue import pursue
from gemgate.gateway.ticket import Ticket

ENOUGH = 50  # items of a page whose client named no size


async def listed(plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> Answer:
    """The merged list. Raises Refused 400 for a page token that is not ours."""
    assert ticket.match is not None
    field = listing.of(ticket.match)
    query = ticket.exchange.query
    asked = dict(parse_qsl(query, keep_blank_values=True))
    start, token = _cursor(asked.pop("pageToken", "") or asked.pop("page_token", ""), plan)
    wanted = asked.get("pageSize") or asked.get("page_size", "")
    size = int(wanted) if wanted.isdigit() else ENOUGH
    pages: list[bytes] = []
    onward = ""
    count = 0
    try:
        for place, target in enumerate(plan.targets[start:], start):
            ticket.exchange.query = urlencode(asked | ({"pageToken": token} if token else {}))
            answer = await pursue(_only(plan, target), terms, ticket, desk)
            if not answer.verdict.ok or answer.reply is not None:
                return answer
            body = judging.decoded(answer.headers, answer.body)
            try:
                count += listing.count(field, body)
                token = listing.token(body)
            except msgspec.DecodeError:
                return answer  # no list's answer: the client may make something of it
            pages.append(body)
            if token:
                onward = listing.spell(target.project, token)
                break
            if count >= size and place + 1 < len(plan.targets):
                onward = listing.spell(plan.targets[place + 1].project, "")
                break
    finally:
        ticket.exchange.query = query
    merged = listing.merge(field, pages, onward)
    return Answer(answer.verdict, answer.status, _plain(answer.headers), merged)


def _only(plan: Plan, target: Target) -> Plan:
    return msgspec.structs.replace(plan, targets=(target,), seek=False)


def _cursor(text: str, plan: Plan) -> tuple[int, str]:
    """The place in the plan at which the page begins, and that project's own token."""
    if not text:
        return 0, ""
    project, token = listing.read(text)
    for place, target in enumerate(plan.targets):
        if target.project == project:
            return place, token
    raise Refused(
        400,
        "BAD_PAGE_TOKEN",
        "The page token is none of this gateway's, or its project is no longer configured.",
        hint="Begin the list anew without pageToken.",
    )


def _plain(headers: Headers) -> Headers:
    """The merged body is not encoded."""
    return [pair for pair in headers if pair[0] != b"content-encoding"]
