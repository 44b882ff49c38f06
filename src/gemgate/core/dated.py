"""Further dated rows for a price book: what each one replaces, and what stays of that.

Laws:

- a row holds for its days, and nothing else of its model and tier does on them: what overlaps is cut to the days
  before and after, and the cut is told;
- what a row does not touch (other tiers, other models, other days) stays as it is;
- rows are read by the price book's own reader, so one that passes here passes wherever a book is read.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gemgate.core import pacific
from gemgate.core.pricing import BadBook, Price, PriceBook, Rates

Days = tuple[datetime.date | None, datetime.date | None]
"""The first day in California, and the first one after; None: open."""

UNREADABLE: Final = "what is stored of it cannot be read"
"""What is wrong with a row of which the store knows no more than its id."""
TIERS: Final = ("standard", "batch", "flex", "priority")
"""The service tiers that Google has prices for."""
_Place = tuple[str, str]  # a model and a tier
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
    new = _wanted(book, row)
    place = (new.model, new.tier)
    rows, replaces = _laid(_rows(book)[place], new)
    longer = _over(book, {place: rows})
    stands = next(price for price in longer.rows() if price.id == new.id)
    return Added(longer, stands, tuple(replaces))


def joined(book: PriceBook, rows: Iterable[Mapping[str, object]]) -> tuple[PriceBook, dict[str, str]]:
    """A book with further rows, each before those that came before it; and the rows that cannot be meant.

    These are left out, and named by their ids, each with what is wrong. A row of its ``id`` alone is one that the
    store could not read. The book is made anew once, and again for each model that it did not know.
    """
    bad: dict[str, str] = {}
    held: defaultdict[_Place, list[Price]] = _rows(book)
    models = {model for model, _ in held}
    touched: dict[_Place, None] = {}
    for row in rows:
        try:
            if row.keys() == {"id"}:
                raise BadBook(UNREADABLE)
            new = _wanted(book, row)
            place = (new.model, new.tier)
            held[place], _ = _laid(held[place], new)
        except (ArithmeticError, LookupError, TypeError, ValueError) as fault:  # whatever stands in one row
            bad[str(row.get("id", ""))] = str(fault)
            continue
        touched.pop(place, None)
        touched[place] = None
        if new.model not in models:  # later rows may mean it by another of its names
            models.add(new.model)
            book = _over(book, {one: held[one] for one in touched})
            touched.clear()
    return (_over(book, {one: held[one] for one in touched}) if touched else book), bad


def _rows(book: PriceBook) -> defaultdict[_Place, list[Price]]:
    """The rows of each model and tier."""
    found: defaultdict[_Place, list[Price]] = defaultdict(list)
    for price in book.rows():
        found[price.model, price.tier].append(price)
    return found


def _wanted(book: PriceBook, row: Mapping[str, object]) -> Price:
    """The price that a row means, by the book's name for its model. Raises BadBook."""
    wanted = dict(row)
    name = wanted.pop("model", None)
    if not isinstance(name, str) or not name.strip():
        raise BadBook("the price names no model")
    if wanted.get("tier") not in TIERS:
        raise BadBook(f"a price is of one of the tiers {', '.join(TIERS)}")
    return _read(book.resolve(name.strip()), wanted)


def _laid(old: Iterable[Price], new: Price) -> tuple[list[Price], list[Replaced]]:
    """The rows of a model and tier with one more, which takes its days from them; and what it replaces."""
    taken = days(new)
    replaces: list[Replaced] = []
    rows: list[Price] = []
    for price in old:
        if price.id == new.id:
            raise BadBook(f"the price book has a row {price.id} already")
        had = days(price)
        stays = tuple(_outside(had, taken))
        if stays == (had,):
            rows.append(price)
            continue
        replaces.append(Replaced(price.id, had, stays))
        rows += [_part(price, held, place) for place, held in enumerate(stays)]
    return [*rows, new], replaces


def _over(book: PriceBook, held: Mapping[_Place, list[Price]]) -> PriceBook:
    """A book with these rows of models and tiers in place of those it had."""
    models: dict[str, list[dict[str, Any]]] = {}
    for (model, _), prices in held.items():
        models.setdefault(model, []).extend(_written(price) for price in prices)
    return book.overlay(_file(models))


def _read(model: str, row: Mapping[str, object]) -> Price:
    """One row by the book's own reader. Raises BadBook."""
    try:
        (price,) = PriceBook.load(_file({model: [row]})).rows()
    except UnicodeEncodeError:
        raise BadBook("the price has signs that no text can have") from None
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


def _file(models: Mapping[str, Iterable[Mapping[str, object]]]) -> bytes:
    return msgspec.json.encode(
        {"models": [{"id": model, "rows": list(rows)} for model, rows in models.items()]}
    )


def days(price: Price) -> Days:
    """The days that a row holds for."""
    since, until = (None if at is None else pacific.day_of(at) for at in (price.since, price.until))
    return since, until


def iso_days(price: Price) -> tuple[str | None, str | None]:
    """The days that a row holds for as YYYY-MM-DD, None for open."""
    since, until = (None if day is None else day.isoformat() for day in days(price))
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


def _part(price: Price, held: Days, place: int) -> Price:
    """A row for some of its days. The second of two parts gets an id of its own."""
    since, until = (None if day is None else pacific.midnight(day) for day in held)
    name = f"{price.id}/{held[0]}" if place else price.id
    return msgspec.structs.replace(price, id=name, since=since, until=until)


def _written(price: Price) -> dict[str, Any]:
    """A row as the file has it."""
    since, until = days(price)
    rates = {name: getattr(price.rates, name) for name in _RATES}
    return {
        "id": price.id,
        "tier": price.tier,
        "from": since,
        "until": until,
        **{name: nano for name, nano in rates.items() if nano is not None},
        "long": price.long,
        "source": price.source,
        "as_of": price.as_of,
        "derived": price.derived,
    }
