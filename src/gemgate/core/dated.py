"""Further dated rows for a price book: what each one replaces, and what stays of that.

Laws:

- a row holds for its days, and nothing else of its model and tier does on them: what overlaps is cut to the days
  before and after, and the cut is told;
- what a row does not touch (other tiers, other models, other days) stays as it is;
- rows are read by the price book's own reader, so one that passes here passes wherever a book is read.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gemgate.core import pacific
from gemgate.core.pricing import BadBook, Price, PriceBook, Rates

Days = tuple[datetime.date | None, datetime.date | None]
"""The first day in California, and the first one after; None: open."""

TIERS: Final = ("standard", "batch", "flex", "priority")
"""The service tiers that Google has prices for."""
_RATES: Final = Rates.__struct_fields__
_MOST: Final = 10**15  # nano-dollars for a million tokens: a dollar a token


class Replaced(NamedTuple):
    """What becomes of a row that another one overlaps: the days it had, and those that stay its own (maybe none)."""

    id: str
    had: Days
    stays: tuple[Days, ...]


class Added(NamedTuple):
    """A book with one more row, the row as it stands there, and what it replaces."""

    book: PriceBook
    row: Price
    replaces: tuple[Replaced, ...]


def add(book: PriceBook, row: Mapping[str, object]) -> Added:
    """A book with one more row, written as in the price book's file, with its ``model``. Raises BadBook."""
    wanted = dict(row)
    name = wanted.pop("model", None)
    if not isinstance(name, str) or not name.strip():
        raise BadBook("the price names no model")
    model = book.resolve(name.strip())
    tier = wanted.get("tier")
    if tier not in TIERS:
        raise BadBook(f"a price is of one of the tiers {', '.join(TIERS)}")
    new = _read(model, wanted)
    since, until = days(new)
    old = [price for price in book.rows() if (price.model, price.tier) == (model, tier)]
    replaces: list[Replaced] = []
    rows: list[dict[str, Any]] = []
    for price in old:
        had = days(price)
        if price.id == new.id:
            raise BadBook(f"the price book has a row {price.id} already")
        stays = tuple(_outside(had, (since, until)))
        if stays != (had,):
            replaces.append(Replaced(price.id, had, stays))
        rows += [_written(price, part, place) for place, part in enumerate(stays)]
    longer = book.overlay(_file(model, [*rows, _written(new, (since, until), 0)]))
    stands = next(price for price in longer.rows() if price.id == new.id)
    return Added(longer, stands, tuple(replaces))


def joined(book: PriceBook, rows: Iterable[Mapping[str, object]]) -> tuple[PriceBook, dict[str, str]]:
    """A book with further rows, each before those that came before it; and the rows that cannot be meant.

    These are left out, and named by their ids, each with what is wrong.
    """
    bad: dict[str, str] = {}
    for row in rows:
        try:
            book = add(book, row).book
        except BadBook as fault:
            bad[str(row.get("id", ""))] = str(fault)
    return book, bad


def _read(model: str, row: Mapping[str, object]) -> Price:
    """One row by the book's own reader. Raises BadBook."""
    (price,) = PriceBook.load(_file(model, [row])).rows()
    for rates in (price.rates, price.long or Rates()):
        for name in _RATES:
            nano = getattr(rates, name)
            if nano is not None and not 0 <= nano <= _MOST:
                raise BadBook(f"the rate {name} is not from 0 to {_MOST} nano-dollars for a million tokens")
    if price.rates.input is None and price.rates.output is None:
        raise BadBook("the price has neither a rate for input nor one for output")
    if price.since is not None and price.until is not None and price.since >= price.until:
        raise BadBook("the price ends before it begins")
    return price


def _file(model: str, rows: Iterable[Mapping[str, object]]) -> bytes:
    return msgspec.json.encode({"models": [{"id": model, "rows": list(rows)}]})


def days(price: Price) -> Days:
    """The days that a row holds for."""
    since, until = (None if at is None else pacific.day_of(at) for at in (price.since, price.until))
    return since, until


def _outside(had: Days, taken: Days) -> Iterable[Days]:
    """The days that a row keeps when another one takes some: all, those before, those after, both or none."""
    since, until = had
    first, last = taken
    if (last is not None and since is not None and last <= since) or (
        first is not None and until is not None and until <= first
    ):
        yield had
        return
    if first is not None and (since is None or since < first):
        yield since, first
    if last is not None and (until is None or last < until):
        yield last, until


def _written(price: Price, held: Days, place: int) -> dict[str, Any]:
    """A row as the file has it. The second of two parts gets an id of its own."""
    since, until = held
    rates = {name: getattr(price.rates, name) for name in _RATES}
    return {
        "id": f"{price.id}/{since}" if place else price.id,
        "tier": price.tier,
        "from": since,
        "until": until,
        **{name: nano for name, nano in rates.items() if nano is not None},
        "long": price.long,
        "source": price.source,
        "as_of": price.as_of,
        "derived": price.derived,
    }
