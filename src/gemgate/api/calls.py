"""Calls, one by one: lists by any filter and order, and one call with all that hangs on it."""

from __future__ import annotations

import re
import sqlite3
from typing import Annotated, Any, Final, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, named
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import Role
from gemgate.api.wanted import CallItem, Filters, item, wanted
from gemgate.core import dated
from gemgate.core.call import Event
from gemgate.core.pricing import Rates
from gemgate.insight import cursors
from gemgate.insight.cursors import BadCursor
from gemgate.insight.plan import TooMuch
from gemgate.insight.spans import BadAsk, iso, moment
from gemgate.store.payloads import Stored
from gemgate.store.reports import calls as record
from gemgate.store.reports import listing
from gemgate.store.reports.calls import AttemptRow
from gemgate.store.reports.detail import PriceUsed, Told, detail
from gemgate.store.reports.listing import EVERYDAY, Bounds, Place
from gemgate.store.reports.story import means, story, then

namespace = Namespace("calls", description="Every call on record: lists, one call, and the live feed.")

_ID: Final = re.compile(r"[0-9a-f]{1,32}")
_SHOWN: Final = 5


class CallsQuery(Filters, forbid_unknown_fields=True, kw_only=True):
    """Which calls, and in which order."""

    from_: Annotated[
        str,
        Meta(
            max_length=40,
            description="Calls received from then on: -1h, -7d, 2026-11-23, ISO 8601, or UTC µs.",
            examples=["-24h"],
        ),
    ] = msgspec.field(default="", name="from")
    to: Annotated[str, Meta(max_length=40, description="Calls received before then, in the same forms.")] = ""
    zone: Annotated[
        str, Meta(max_length=64, description="The IANA time zone that dates and times without one are of.")
    ] = "UTC"
    sort: Annotated[
        Literal["time", "oldest", "cost", "list_cost", "duration", "tokens", "first_byte"],
        Meta(
            description="time: newest first; oldest: oldest first; the others: largest first, of up to 100,000 "
            "calls that the span and the names may hold."
        ),
    ] = "time"
    limit: named.Limit = 50
    cursor: named.Cursor = ""


class CallsAnswer(msgspec.Struct, kw_only=True):
    """One page of calls.

    ``next`` is the cursor of the next page, null at the end. A page that is not full and has a next one ended
    because it had looked at as many calls as it may: ``scanned_until`` (UTC µs) says how far.
    """

    items: list[CallItem]
    next: str | None
    scanned_until: int | None


class TryItem(AttemptRow, frozen=True, kw_only=True):
    """One try of a call. ``sent_at`` is UTC µs, ``time`` the same in ISO 8601; ``first_byte`` and ``duration`` are µs
    from there. ``means`` says what it met, ``then`` what followed, as `gemgate call` tells it."""

    time: str
    means: str
    then: str


class PriceItem(msgspec.Struct, kw_only=True):
    """A row of a price book that priced tries of the call: rates in nano-dollars per million tokens, null where
    there is none; ``long`` those of prompts beyond 200,000 tokens; ``units`` by use. ``from`` and
    ``until`` are days in California, null for open."""

    name: str
    book: str
    tries: list[int]
    model: str
    tier: str
    rates: Rates | None
    long: Rates | None
    search: int | None
    maps: int | None
    units: dict[str, int]
    since: str | None = msgspec.field(name="from")
    until: str | None
    source: str
    as_of: str


class CallDetail(CallItem, frozen=True, kw_only=True):
    """One call with its tries, the prices they were charged at, what came of it, and its story in words.

    ``prefixes`` are the sizes (bytes) of the beginnings of its body whose hashes are kept; ``events`` those that came
    while it ran, about what it was made with; ``payloads`` its bodies, where they are stored.
    """

    tries: list[TryItem]
    prices: list[PriceItem]
    prefixes: list[int]
    events: list[Event]
    payloads: list[Stored]
    story: list[str]


@namespace.route("")
class Calls(Resource):
    """All calls."""

    @operation(namespace, role=Role.VIEWER, query=CallsQuery, answer=CallsAnswer, errors=(422,))
    def get(self, query: CallsQuery) -> CallsAnswer:
        """List calls, narrowed and in an order, by pages.

        Pages stay right while calls are recorded: each call that was there when the first page was read comes once.
        Repeat the query with `cursor` set to `next`, and nothing else changed. Orders other than by time are refused
        with 422 where more than 100,000 calls may be in them.
        """
        with context.reading() as conn:
            return listed(conn, query)


def listed(conn: sqlite3.Connection, query: CallsQuery, bounds: Bounds = EVERYDAY) -> CallsAnswer:
    """One page. Raises Problem 400, and 422 for an order of too many."""
    asked = cursors.question(msgspec.structs.replace(query, cursor="", limit=1))
    start, until, place = _place(query, asked)
    try:
        page = listing.page(conn, wanted(query, start, until), query.sort, query.limit, place, bounds)
    except TooMuch as much:
        said = f"More than {bounds.ordered:,} calls would have to be put in this order."
        raise Problem(422, "TOO_MUCH", said, much.advice) from None
    after, cursor = page.after, None
    if after is not None:
        cursor = cursors.encode(asked, (start, until, after.top, after.value, after.seq))
    items = [item(row) for row in page.calls]
    return CallsAnswer(items=items, next=cursor, scanned_until=page.scanned_until)


@namespace.route("/<string:call_id>")
class Call(Resource):
    """One call."""

    @operation(namespace, role=Role.VIEWER, answer=CallDetail, errors=(409,))
    def get(self, call_id: str) -> CallDetail:
        """Tell one call: its tries, what each met and why it went there, prices, and its story.

        `call_id` is what an answer of the gateway carries in `x-gemgate-call`, or its beginning as long as no other
        call begins so.
        """
        digits = call_id.replace("-", "").lower()
        if not _ID.fullmatch(digits):
            said = {"call_id": "A call id has up to 32 hexadecimal digits, like 01a20897-0dfa-7487."}
            raise Problem(400, "BAD_ID", "This is no id of a call.", errors=said)
        with context.reading() as conn:
            found = record.find(conn, digits, _SHOWN + 1)
            if len(found) == 1:
                return _told(detail(conn, found[0]))
        if not found:
            hint = "GET /api/v1/calls lists what is recorded. A call is recorded when it has ended."
            raise Problem(404, "CALL_NOT_FOUND", "No call begins with this id.", hint)
        some = ", ".join(row.call_id for row in found[:_SHOWN])
        raise Problem(
            409, "SEVERAL_CALLS", f"Several calls begin so, among them {some}.", "Give more of the id."
        )


def _place(query: CallsQuery, asked: str) -> tuple[int | None, int | None, Place | None]:
    """The span, and where the page begins. What is said as an age (-24h) stays what it was at the first page.

    Raises Problem 400.
    """
    if query.cursor:
        try:
            found = cursors.decode(query.cursor, asked, 5)
        except BadCursor as bad:
            raise named.wrong({"cursor": str(bad)}, "BAD_QUERY") from None
        start, until, top, value, seq = (one if isinstance(one, int) else None for one in found)
        if top is None or value is None or seq is None:
            raise named.wrong({"cursor": "This is no cursor of this list."}, "BAD_QUERY")
        return start, until, Place(top, value, seq)
    now = context.now()
    try:
        start, until = (
            moment(text, field, query.zone, now) if text else None
            for field, text in (("from", query.from_), ("to", query.to))
        )
        iso(now, query.zone)
    except BadAsk as bad:
        raise Problem(
            400, "BAD_QUERY", "The span cannot be read.", errors={bad.field: bad.sentence}
        ) from None
    if start is not None and until is not None and until <= start:
        raise named.wrong({"to": "The span ends before it begins: to must be later than from."}, "BAD_QUERY")
    return start, until, None


def _told(told: Told) -> CallDetail:
    row, tries = told.call, told.tries
    when = iso(row.received_at, "UTC")
    return CallDetail(
        **_fields(row),
        time=when,
        tries=[
            TryItem(**_fields(one), time=iso(one.sent_at, "UTC"), means=means(one), then=then(row, tries, at))
            for at, one in enumerate(tries)
        ],
        prices=[_price(one) for one in told.prices],
        prefixes=told.prefixes,
        events=told.events,
        payloads=told.payloads,
        story=story(row, tries, when),
    )


def _fields(row: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _price(used: PriceUsed) -> PriceItem:
    row = used.row
    since, until = dated.iso_days(row) if row else (None, None)
    return PriceItem(
        name=used.name,
        book=used.book,
        tries=list(used.tries),
        model=row.model if row else "",
        tier=row.tier if row else "",
        rates=row.rates if row else None,
        long=row.long if row else None,
        search=row.search if row else None,
        maps=row.maps if row else None,
        units=row.units if row else {},
        since=since,
        until=until,
        source=row.source if row else "",
        as_of=row.as_of if row else "",
    )
