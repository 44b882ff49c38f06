"""Lists that are put together here: those that span projects, and those of one tenant's things.

Laws:

- items keep their bytes; only the array's frame and the page token are ours;
- projects are gone through in the plan's order; a page ends where a project has another page, or is full, and
  none is empty that has another after it;
- a project that cannot answer fails the list: half a list would look like a whole one;
- of a tenant's list every item is its own, made under that project, or Google's own for everybody; nothing else of
  an answer is passed on, and what is no list's answer is not given at all.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

import msgspec

from gemgate.core.errors import Refused
from gemgate.core.pursuit import Terms
from gemgate.core.routing import Plan, Target
from gemgate.dialects.gemini import listing, made
from gemgate.dialects.gemini.listing import Cursor
from gemgate.gateway import judging
from gemgate.gateway.desk import Desk
from gemgate.gateway.headers import Headers
from gemgate.gateway.judging import Answer
from gemgate.gateway.pursue import pursue
from gemgate.gateway.ticket import Ticket

ENOUGH = 50  # items of a page whose client named no size
MOST_PAGES = 1000  # pages of Google's that one page of ours may take
_NUMBER = re.compile(r"[0-9]{1,9}")


def applies(plan: Plan, ticket: Ticket) -> bool:
    """Whether the call is a list that no project may answer alone."""
    match = ticket.match
    if match is None or not listing.of(match):
        return False
    return len(plan.targets) > 1 or ticket.tenant.bound


async def listed(plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> Answer:
    """The list. Raises Refused 400 for a page token that is not ours, 502 for a list that never ends."""
    query = ticket.exchange.query
    asked = dict(parse_qsl(query, keep_blank_values=True))
    begin = _cursor(asked.pop("pageToken", "") or asked.pop("page_token", ""), plan)
    size = _size(asked)
    ticket.whole = True
    reading = _Reading(plan, terms, ticket, desk)
    try:
        if ticket.tenant.bound:
            return await _own(reading, begin, asked, size)
        return await _merged(reading, begin, asked, size)
    finally:
        ticket.exchange.query = query


async def _merged(reading: _Reading, begin: Cursor, asked: dict[str, str], size: int) -> Answer:
    """What all projects list, one after the other."""
    targets = reading.targets
    start, token = reading.place(begin.project), begin.token
    while start < len(targets):
        target = targets[start]
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
    return reading.merged("")


async def _own(reading: _Reading, begin: Cursor, asked: dict[str, str], size: int) -> Answer:
    """What all projects list of a tenant's things.

    It is looked for until one more is found than the page takes: that one begins the next page.
    """
    asked.pop("page_size", None)
    asked["pageSize"] = str(max(size, listing.wide(reading.field)))
    targets = reading.targets
    start, token, skip = reading.place(begin.project), begin.token, begin.place
    for _ in range(MOST_PAGES):
        if start == len(targets):
            return reading.merged("", bare=True)
        target = targets[start]
        odd = await reading.page(target, asked, token, look=True)
        if odd is not None:
            return odd
        own = [place for place in await reading.own(target.project) if place >= skip]
        room = size - reading.count
        reading.keep(own[:room])
        if len(own) > room:
            return reading.merged(listing.spell(target.project, token, own[room]), bare=True)
        token, skip = reading.token, 0
        start += not token
    raise Refused(502, "ENDLESS_LIST", "The list has more pages than gemgate looks through.", retryable=False)


def _size(asked: dict[str, str]) -> int:
    """How many items a page of ours takes."""
    wanted = asked.get("pageSize") or asked.get("page_size", "")
    return (int(wanted) if _NUMBER.fullmatch(wanted) else 0) or ENOUGH


class _Reading:
    """The pages of projects that make up one page of ours."""

    def __init__(self, plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> None:
        assert ticket.match is not None
        self._plan, self._terms, self._ticket, self._desk = plan, terms, ticket, desk
        self._match = ticket.match
        self._began = desk.clock.now()  # the patience is the call's, not each project's
        self.field = listing.of(ticket.match)
        self._pages: list[bytes] = []
        self._seen: list[msgspec.Raw] = []
        self._last: Answer | None = None
        self.count = 0
        self.more = False
        self.token = ""

    @property
    def targets(self) -> tuple[Target, ...]:
        """The projects, in order."""
        return self._plan.targets

    def place(self, project: str) -> int:
        """The project's place in the plan; the first for the empty name."""
        return next((place for place, target in enumerate(self.targets) if target.project == project), 0)

    async def page(self, target: Target, asked: dict[str, str], token: str, *, look: bool) -> Answer | None:
        """Read a project's page; with ``look`` only note what it has. Returns an answer that is none."""
        self._ticket.exchange.query = urlencode(asked | ({"pageToken": token} if token else {}))
        spent = (self._desk.clock.now() - self._began) / 1_000_000
        terms = msgspec.structs.replace(self._terms, patience=max(0.0, self._terms.patience - spent))
        answer = await pursue(_only(self._plan, target), terms, self._ticket, self._desk)
        bound = self._ticket.tenant.bound
        if not answer.verdict.ok:
            return answer
        if answer.reply is not None:
            if bound:
                answer.close()
                raise _unreadable()
            return answer
        body = judging.decoded(answer.headers, answer.body)
        try:
            self._seen = listing.items(self.field, body)
            self.token = listing.token(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if bound:
                raise _unreadable() from None
            return answer  # no list's answer: the client may make something of it
        self.more = bool(self._seen)
        if bound or not look:
            self._last = answer
        if not look:
            self.count += len(self._seen)
            self._pages.append(body)
        return None

    async def own(self, project: str) -> list[int]:
        """The places of the items of the last page that the call's tenant may see."""
        names = [made.shown(self._match, item) for item in self._seen]
        homes = await self._desk.affinity.homes(filter(None, names), self._desk.clock.now())
        tenant = self._ticket.tenant
        return [
            place
            for place, (name, item) in enumerate(zip(names, self._seen, strict=True))
            if name
            and (
                (homes[name].project == project and tenant.sees(homes[name].tenant))
                or made.is_provided(name, item)
            )
        ]

    def keep(self, places: list[int]) -> None:
        """Take these items of the last page, and nothing else of it."""
        self.count += len(places)
        self._pages.append(listing.frame(self.field, [self._seen[place] for place in places]))

    def merged(self, token: str, *, bare: bool = False) -> Answer:
        """The page of ours. ``bare``: of the headers of the last answer only its kind is kept."""
        last = self._last
        assert last is not None
        body = listing.merge(self.field, self._pages, token)
        headers = (
            [pair for pair in last.headers if pair[0] == b"content-type"] if bare else _plain(last.headers)
        )
        return Answer(last.verdict, last.status, headers, body)


def _unreadable() -> Refused:
    return Refused(
        502,
        "LIST_UNREADABLE",
        "The upstream answered with no list that gemgate can read, so it cannot tell whose things are in it.",
        hint="Ask for the list as plain JSON.",
        retryable=False,
    )


def _only(plan: Plan, target: Target) -> Plan:
    return msgspec.structs.replace(plan, targets=(target,), seek=False)


def _cursor(text: str, plan: Plan) -> Cursor:
    """Where the page begins."""
    if not text:
        return listing.NOWHERE
    found = listing.read(text)
    if any(target.project == found.project for target in plan.targets):
        return found
    raise Refused(
        400,
        "BAD_PAGE_TOKEN",
        "The page token is none of this gateway's, or its project is no longer configured.",
        hint="Begin the list anew without pageToken.",
    )


def _plain(headers: Headers) -> Headers:
    """The merged body is not encoded."""
    return [pair for pair in headers if pair[0] != b"content-encoding"]
