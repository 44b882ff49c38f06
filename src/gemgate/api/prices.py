"""The price book: what is in force, dated prices of one's own, and spans of the record priced anew."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, named
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import ADMIN, VIEWER
from gemgate.config.book import load_book
from gemgate.core import dated, fingerprint, pacific
from gemgate.core.pricing import BadBook, Price, PriceBook, Rates
from gemgate.store import revisions, stored_prices
from gemgate.store.connection import Connection

namespace = Namespace(
    "prices",
    description="The price book. Rates are nano-dollars for 1,000,000 tokens (1,000,000,000 are a dollar); days "
    "begin at midnight in California. A price that is added counts for calls from the next second on; those before "
    "keep the price that they were settled with until they are priced anew (`/prices/reprice`).",
)

Day = Annotated[
    str, Meta(pattern=r"^\d{4}-\d\d-\d\d$", examples=["2026-12-01"], description="A day in California.")
]
Model = Annotated[str, Meta(max_length=200, examples=["gemini-3.8-flash"])]
Tier = Annotated[
    str, Meta(max_length=20, examples=["standard"], description="standard, batch, flex or priority.")
]
_Nano = Annotated[int, Meta(ge=0, le=10**15)]
Rate = Annotated[_Nano | None, Meta(description="Nano-dollars for 1,000,000 tokens; null: not known.")]

_LATER: Final = "Calls on record keep their price: POST /prices/reprice prices a span anew."


class PriceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which prices."""

    at: Annotated[Day | None, Meta(description="As they are on this day; today's without it.")] = None
    every: Annotated[bool, Meta(description="At all dates, not only those in force.")] = False
    model: Annotated[str, Meta(max_length=200, description="Only models whose name contains this.")] = ""
    tier: Annotated[str, Meta(max_length=20, description="Only this service tier.")] = ""
    limit: named.Limit = 50
    cursor: named.Cursor = ""


class RateBody(msgspec.Struct, forbid_unknown_fields=True):
    """Rates by kind of token. A kind of input or output without a rate of its own costs what text costs."""

    input: Rate = None
    output: Rate = None
    cached: Rate = None
    input_audio: Rate = None
    input_image: Rate = None
    input_video: Rate = None
    cached_audio: Rate = None
    output_image: Rate = None
    output_audio: Rate = None
    output_video: Rate = None


class PriceBody(RateBody, forbid_unknown_fields=True, kw_only=True):
    """A dated price. ``long`` are the rates of prompts above 200,000 tokens."""

    model: Model
    tier: Tier = "standard"
    since: Annotated[Day | None, Meta(description="Its first day; null: always.")] = msgspec.field(
        default=None, name="from"
    )
    until: Annotated[Day | None, Meta(description="The first day after it; null: open.")] = None
    long: RateBody | None = None
    source: Annotated[str, Meta(max_length=200, description="Where you have it from.")] = ""
    replace: Annotated[
        bool, Meta(description="Whether it may take days from prices that are there; else that is refused.")
    ] = False


class PriceAnswer(msgspec.Struct, kw_only=True):
    """A price. ``from`` and ``until`` are days in California, null for open.

    ``origin`` is ``book`` (gemgate's own), ``file`` (the file that prices.file names) or ``stored`` (added here).
    ``search`` and ``maps`` are nano-dollars for a use, ``units`` for an image, a second or a song.
    """

    id: str
    model: str
    tier: str
    since: str | None = msgspec.field(name="from")
    until: str | None
    rates: dict[str, int]
    long_rates: dict[str, int] | None
    search: int | None
    search_per: str
    maps: int | None
    units: dict[str, int]
    source: str
    as_of: str
    origin: str


class PriceList(msgspec.Struct):
    """A page of prices, in the order of the book.

    `left_out` are all stored prices that cannot be meant or read, by id, each with what is wrong.
    """

    items: list[PriceAnswer]
    next: str | None
    at: str
    as_of: str
    left_out: dict[str, str]


class DaysAnswer(msgspec.Struct):
    """Days from one on and up to another, null for open."""

    since: str | None = msgspec.field(name="from")
    until: str | None


class ReplacedAnswer(msgspec.Struct):
    """A price that loses days to the new one: those that it had, and those that stay (none: it is gone)."""

    id: str
    had: DaysAnswer
    stays: list[DaysAnswer]


class PriceAdded(msgspec.Struct):
    """A price that was added, what it replaces, and what does not change by itself."""

    price: PriceAnswer
    replaces: list[ReplacedAnswer]
    note: str


class PriceRemoved(msgspec.Struct):
    """A price that was taken away, and what does not change by itself."""

    id: str
    model: str
    note: str


@namespace.route("")
class Prices(Resource):
    """All prices."""

    @operation(namespace, role=VIEWER, query=PriceQuery, answer=PriceList)
    def get(self, query: PriceQuery) -> PriceList:
        """List the prices in force.

        Now, or on another day, or at all dates.
        """
        at = context.now() if query.at is None else pacific.midnight(_day(query.at, "at", "BAD_QUERY"))
        with context.reading() as conn:
            book, left_out = _looked(conn)
        name = book.resolve(query.model) if query.model else ""
        rows = book.rows() if query.every else book.in_force(at)
        found = [
            one
            for one in rows
            if (query.model in one.model or one.model == name) and query.tier in ("", one.tier)
        ]
        asked = (query.at, query.every, query.model, query.tier)
        some, following = named.page(found, lambda one: one.id, query.limit, query.cursor, asked)
        origin = _Origin(context.settings().prices.file)
        day = pacific.day_of(at).isoformat()
        return PriceList([_answer(one, origin) for one in some], following, day, book.as_of, left_out)

    @operation(namespace, role=ADMIN, body=PriceBody, answer=PriceAdded, status=201, errors=(409,))
    def post(self, body: PriceBody) -> PriceAdded:
        """Add a dated price.

        It holds on its days, and what was there on them gives way: that is refused unless `replace` is true, and the
        answer says what became of it. Other days, other tiers and other models stay as they are.
        """
        row = _row(body)
        origin = _Origin(context.settings().prices.file)
        added, seen = _added(row)
        if any(origin.of(one.id) == "file" for one in added.replaces):
            raise _from_file()
        if added.replaces and not body.replace:
            ids = ", ".join(one.id for one in added.replaces)
            hint = "Send `replace: true` if it shall, or choose days of its own."
            raise Problem(409, "PRICE_OVERLAPS", f"It would take days from {ids}.", hint)
        with context.changing() as change:
            _unchanged(change.conn, seen)
            stored = stored_prices.add(change.conn, row, context.now())
            change.audit("create", "price", stored["id"], None, stored)
        price = msgspec.structs.replace(_answer(added.row, origin), id=stored["id"], origin="stored")
        return PriceAdded(price, [_replaced(one) for one in added.replaces], _LATER)


@namespace.route("/<path:price>")
class OnePrice(Resource):
    """One price."""

    @operation(namespace, role=ADMIN, answer=PriceRemoved, errors=(409,))
    def delete(self, price: str) -> PriceRemoved:
        """Take a stored price away.

        What it had replaced holds again. Prices of gemgate's own book and of the file stay.
        """
        origin = _Origin(context.settings().prices.file)
        number = price.removeprefix(stored_prices.PREFIX)
        if not price.startswith(stored_prices.PREFIX) or not number.isdecimal() or len(number) > 18:
            with context.reading() as conn:
                known = [one.id for one in _book(conn).rows()]
            if price not in known:
                raise named.missing("price", price, known)
            if origin.of(price) == "file":
                raise _from_file()
            hint = "Add a price of your own for its days; that one goes before it."
            raise Problem(409, "FROM_BOOK", "This price is of gemgate's own book.", hint)
        with context.changing() as change:
            try:
                row = stored_prices.remove(change.conn, int(number))
            except stored_prices.Missing:
                raise named.missing("price", price, ()) from None
            change.audit("delete", "price", price, row, None)
        return PriceRemoved(price, str(row.get("model", "")), _LATER)


def _day(text: str, field: str, code: str = "BAD_BODY") -> datetime.date:
    """A day. Raises Problem 400."""
    try:
        day = datetime.date.fromisoformat(text)
        if not 1970 <= day.year <= 2200:
            raise ValueError
    except ValueError:
        raise named.wrong({field: "There is no such day from 1970 to 2200."}, code) from None
    return day


def _row(body: PriceBody) -> dict[str, Any]:
    """A body as a row of the price book's file, with its model. Raises Problem 400."""
    since, until = (
        None if text is None else _day(text, field)
        for text, field in ((body.since, "from"), (body.until, "until"))
    )
    if since is not None and until is not None and since >= until:
        raise named.wrong({"until": "It ends before it begins."})
    rates = {name: nano for name in Rates.__struct_fields__ if (nano := getattr(body, name)) is not None}
    if "input" not in rates and "output" not in rates:
        raise named.wrong({"input": "Name a rate for input, for output, or for both."})
    if body.tier not in dated.TIERS:
        raise named.wrong({"tier": f"Write one of {', '.join(dated.TIERS)}."})
    if not body.model.strip().isprintable() or not body.model.strip():
        raise named.wrong({"model": "Name a model."})
    if fingerprint.redact_name(body.model) != body.model:
        raise named.wrong({"model": "This looks like a key, not like a model."})
    row = {
        "model": body.model.strip(),
        "tier": body.tier,
        "from": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
        **rates,
        "source": fingerprint.redact(body.source),
        "as_of": pacific.day_of(context.now()).isoformat(),
    }
    if body.long is not None:
        row["long"] = {
            name: nano for name in Rates.__struct_fields__ if (nano := getattr(body.long, name)) is not None
        }
    return row


def _added(row: dict[str, Any]) -> tuple[dated.Added, int]:
    """What a row does to the book as it is, and the revision that this is true of. Raises Problem 400, 503."""
    with context.reading() as conn:
        book, seen = _book(conn), revisions.number(conn, revisions.ROUTING)
    try:
        return dated.add(book, {**row, "id": f"{stored_prices.PREFIX}new"}), seen
    except BadBook as fault:
        raise named.wrong({"": f"{fault}."}) from None


def _unchanged(conn: Connection, seen: int) -> None:
    """Raise Problem 503 when somebody was quicker: what was worked out beside the write may be true no more."""
    if revisions.number(conn, revisions.ROUTING) != seen:
        detail = "Somebody else changed routes, limits or prices at this moment."
        raise Problem(503, "STORE_BUSY", detail, "Send it again.", retry_after=1.0)


def _book(conn: Connection) -> PriceBook:
    """The book in force. Raises Problem 503."""
    return _looked(conn)[0]


def _looked(conn: Connection) -> tuple[PriceBook, dict[str, str]]:
    """The book in force, and what is left out of it. Raises Problem 503."""
    try:
        return stored_prices.looked(conn, context.settings().prices.file)
    except (BadBook, OSError):
        hint = "Look at it with `gemgate prices`."
        raise Problem(503, "PRICES_UNREADABLE", "The price book cannot be read.", hint) from None


class _Origin:
    """Where prices come from."""

    def __init__(self, file: Path | None) -> None:
        try:
            own = {row.id for row in load_book().rows()}
            self._file = [row.id for row in load_book(file).rows() if row.id not in own] if file else []
        except (BadBook, OSError):
            self._file = []

    def of(self, price: str) -> str:
        """``stored``, ``file`` or ``book``, by a price's id or that of a part of it."""
        if price.startswith(stored_prices.PREFIX):
            return "stored"
        return "file" if any(price == one or price.startswith(f"{one}/") for one in self._file) else "book"


def _from_file() -> Problem:
    hint = f"Change it in {context.settings().prices.file}, which prices.file names."
    return Problem(409, "FROM_FILE", "This price is of your own file.", hint)


def _answer(price: Price, origin: _Origin) -> PriceAnswer:
    since, until = dated.iso_days(price)
    return PriceAnswer(
        id=price.id,
        model=price.model,
        tier=price.tier,
        since=since,
        until=until,
        rates=_rates(price.rates),
        long_rates=None if price.long is None else _rates(price.long),
        search=price.search,
        search_per=price.search_per,
        maps=price.maps,
        units=price.units,
        source=price.source,
        as_of=price.as_of,
        origin=origin.of(price.id),
    )


def _replaced(one: dated.Replaced) -> ReplacedAnswer:
    return ReplacedAnswer(one.id, DaysAnswer(*_iso(one.had)), [DaysAnswer(*_iso(days)) for days in one.stays])


def _iso(days: dated.Days) -> tuple[str | None, str | None]:
    since, until = (None if day is None else day.isoformat() for day in days)
    return since, until


def _rates(rates: Rates) -> dict[str, int]:
    found = {name: getattr(rates, name) for name in Rates.__struct_fields__}
    return {name: value for name, value in found.items() if value is not None}
