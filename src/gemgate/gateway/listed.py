"""Lists that span projects: one answer out of each project's own, with page tokens of ours.

Laws:

- items keep their bytes; only the array's frame and the page token are ours;
- projects are gone through in the plan's order; a page ends where a project has another page, or is full, and
  none is empty that has another after it;
- a project that cannot answer fails the list: half a list would look like a whole one.
"""

from __future__ import annotations

import re
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
_NUMBER = re.compile(r"[0-9]{1,9}")


async def listed(plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> Answer:
    """The merged list. Raises Refused 400 for a page token that is not ours."""
    query = ticket.exchange.query
    asked = dict(parse_qsl(query, keep_blank_values=True))
    start, token = _cursor(asked.pop("pageToken", "") or asked.pop("page_token", ""), plan)
    wanted = asked.get("pageSize") or asked.get("page_size", "")
    size = (int(wanted) if _NUMBER.fullmatch(wanted) else 0) or ENOUGH
    ticket.whole = True
    reading = _Reading(plan, terms, ticket, desk)
    try:
        while start < len(plan.targets):
            target = plan.targets[start]
            # A page of ours that is full already is followed by a look whether there is another one at all:
            # clients take an empty page for a fault.
            full = reading.count >= size
            odd = await reading.page(target, {**asked, "pageSize": "1"} if full else asked, token, look=full)
            if odd is not None:
                return odd
            if full and reading.more:
                return reading.merged(listing.spell(target.project, ""))
            token = "" if full else reading.token
            if token and reading.count:
                return reading.merged(listing.spell(target.project, token))
            start += not token
    finally:
        ticket.exchange.query = query
    return reading.merged("")


class _Reading:
    """The pages of projects that make up one page of ours."""

    def __init__(self, plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> None:
        assert ticket.match is not None
        self._plan, self._terms, self._ticket, self._desk = plan, terms, ticket, desk
        self._began = desk.clock.now()  # the patience is the call's, not each project's
        self._field = listing.of(ticket.match)
        self._pages: list[bytes] = []
        self._last: Answer | None = None
        self.count = 0
        self.more = False
        self.token = ""

    async def page(self, target: Target, asked: dict[str, str], token: str, *, look: bool) -> Answer | None:
        """Read a project's page; with ``look`` only note whether it has items. Returns an answer that is none."""
        self._ticket.exchange.query = urlencode(asked | ({"pageToken": token} if token else {}))
        spent = (self._desk.clock.now() - self._began) / 1_000_000
        terms = msgspec.structs.replace(self._terms, patience=max(0.0, self._terms.patience - spent))
        answer = await pursue(_only(self._plan, target), terms, self._ticket, self._desk)
        if not answer.verdict.ok or answer.reply is not None:
            return answer
        body = judging.decoded(answer.headers, answer.body)
        try:
            count = listing.count(self._field, body)
            self.token = listing.token(body)
        except msgspec.DecodeError:
            return answer  # no list's answer: the client may make something of it
        self.more = count > 0
        if not look:
            self.count += count
            self._pages.append(body)
            self._last = answer
        return None

    def merged(self, token: str) -> Answer:
        """The page of ours."""
        last = self._last
        assert last is not None
        body = listing.merge(self._field, self._pages, token)
        return Answer(last.verdict, last.status, _plain(last.headers), body)


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
