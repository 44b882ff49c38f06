"""What a try costs: a dated price book, and the sum of its components in integer nano-dollars.

Laws:

- a rate is nano-dollars per 1,000,000 tokens, so that every price in the book is a whole number;
- each component is rounded once, half to even; the total is the exact sum of the components;
- what has no known price makes the total None (`unpriced`), never 0, and stands as a charge without money;
- a request whose prompt passes 200,000 tokens is priced whole at the long rates, where a model has them;
- a date in the book is the midnight in California at which it begins (an assumption: Google names only days).
"""

from __future__ import annotations

import datetime
import itertools
import re

import msgspec

from gemgate.core import pacific
from gemgate.core.call import Charge, Cost
from gemgate.core.usage import Usage

PER = 1_000_000
LONG_PROMPT = 200_000
_TIERS = {"": "standard", "unspecified": "standard", "default": "standard", "auto": "standard"}
_NUMBERED = re.compile(r"-\d{3}$")
_DATED = re.compile(r"(-preview)-\d\d-(?:\d{4}|\d\d)$")


class BadBook(ValueError):
    """A price book that cannot be used; the message lists what is wrong with it."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nano-dollars per 1,000,000 tokens by kind; None: not known, or for a modality: no rate of its own."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    input_video: int | None = None
    cached_audio: int | None = None
    output_image: int | None = None
    output_audio: int | None = None
    output_video: int | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the book with what its model adds. ``since`` and ``until`` are UTC microseconds or open.

    ``search`` and ``maps`` are nano-dollars per use, a use being a query, or a grounded answer where
    ``search_per`` is ``prompt``. ``units`` are nano-dollars per second, image, song.
    """

    id: str
    model: str
    tier: str
    rates: Rates
    long: Rates | None = None
    since: int | None = None
    until: int | None = None
    search: int | None = None
    maps: int | None = None
    search_per: str = "query"
    units: dict[str, int] = {}
    source: str = ""
    as_of: str = ""
    derived: tuple[str, ...] = ()


class _Row(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    tier: str
    since: datetime.date | None = msgspec.field(default=None, name="from")
    until: datetime.date | None = None
    long: Rates | None = None
    source: str = ""
    as_of: str = ""
    derived: tuple[str, ...] = ()


class _Grounding(msgspec.Struct, frozen=True):
    search: int | None = None
    maps: int | None = None
    per: str = "query"


class _Storage(msgspec.Struct, frozen=True):
    nano: int
    since: datetime.date | None = msgspec.field(default=None, name="from")
    until: datetime.date | None = None


class _Routed(msgspec.Struct, frozen=True):
    since: datetime.date = msgspec.field(name="from")
    to: str


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    aliases: tuple[str, ...] = ()
    kind: str = ""
    rows: tuple[_Row, ...] = ()
    grounding: _Grounding | None = None
    units: dict[str, int] = {}
    cache_storage: tuple[_Storage, ...] = ()
    routed: _Routed | None = None


class _File(msgspec.Struct, frozen=True):
    models: tuple[_Model, ...]
    as_of: str = ""


_file = msgspec.json.Decoder(_File)
_RATES = tuple(Rates.__struct_fields__)


class PriceBook:
    """The prices of all models at all dates. Read it with ``load``, change it with ``overlay``."""

    __slots__ = ("_known", "_models", "_names", "_prices", "as_of")

    def __init__(self, models: dict[str, _Model], as_of: str) -> None:
        self.as_of = as_of
        self._models = models
        self._names = {name: model.id for model in models.values() for name in (*model.aliases, model.id)}
        self._known: dict[str, str] = {}
        self._prices: dict[tuple[str, str], tuple[Price, ...]] = {}
        for model in models.values():
            for tier in dict.fromkeys(row.tier for row in model.rows):
                rows = sorted(
                    (_price(model, row) for row in model.rows if row.tier == tier),
                    key=lambda price: price.since or 0,
                )
                _check(model.id, tier, rows)
                self._prices[model.id, tier] = tuple(rows)

    @classmethod
    def load(cls, data: bytes) -> PriceBook:
        """Read a book from its JSON. Raises ``BadBook``."""
        file = _decode(data)
        models = {model.id: model for model in file.models}
        if len(models) < len(file.models):
            raise BadBook("the price book names a model twice")
        return cls(models, file.as_of)

    def overlay(self, data: bytes) -> PriceBook:
        """A new book with the rows of another file in front. Raises ``BadBook``.

        A model's rows of one tier are replaced together; its other tiers stay, and so does whatever else the
        file does not name.
        """
        models = dict(self._models)
        file = _decode(data)
        for model in file.models:
            old = models.get(model.id)
            if old is not None:
                tiers = {row.tier for row in model.rows}
                model = msgspec.structs.replace(
                    model,
                    rows=tuple(row for row in old.rows if row.tier not in tiers) + model.rows,
                    aliases=tuple(dict.fromkeys(old.aliases + model.aliases)),
                    kind=model.kind or old.kind,
                    grounding=model.grounding or old.grounding,
                    units=old.units | model.units,
                    cache_storage=model.cache_storage or old.cache_storage,
                    routed=model.routed or old.routed,
                )
            models[model.id] = model
        return PriceBook(models, max(file.as_of, self.as_of))

    def price(self, model: str, tier: str, at: int) -> Price | None:
        """The row in force for a model (any spelling of its name) and tier at a moment, or None."""
        rows = self._prices.get((model, tier))
        if rows is None:
            name = tier.lower().removeprefix("service_tier_")
            rows = self._prices.get((self.resolve(model), _TIERS.get(name, name)), ())
        for row in rows:
            if (row.since is None or row.since <= at) and (row.until is None or at < row.until):
                return row
        return None

    def resolve(self, model: str) -> str:
        """The book's name for a model: without ``models/``, alias undone, version number dropped."""
        known = self._known.get(model)
        if known is None:
            name = model.removeprefix("models/")
            tries = (name, _NUMBERED.sub("", name), _DATED.sub(r"\1", name))
            known = next((self._names[one] for one in tries if one in self._names), name)
            if len(self._known) < 1000:
                self._known[model] = known
        return known

    def routed(self, model: str, at: int) -> str:
        """The model that answers for ``model`` at a moment: another one once Google has retired it."""
        name = self.resolve(model)
        found = self._models.get(name)
        if found is None or found.routed is None or at < pacific.midnight(found.routed.since):
            return name
        return found.routed.to

    def storage(self, model: str, at: int) -> int | None:
        """Nano-dollars for 1,000,000 cached tokens kept for one hour, or None where unknown."""
        found = self._models.get(self.resolve(model))
        for row in found.cache_storage if found else ():
            begun = row.since is None or pacific.midnight(row.since) <= at
            if begun and (row.until is None or at < pacific.midnight(row.until)):
                return row.nano
        return None

    @property
    def name(self) -> str:
        """What the record calls this book."""
        return f"as of {self.as_of}"

    def rows(self) -> list[Price]:
        """All rows at all dates, in the order of the book."""
        return [price for prices in self._prices.values() for price in prices]

    def in_force(self, at: int) -> list[Price]:
        """All rows in force at a moment, in the order of the book."""
        found = (self.price(model, tier, at) for model, tier in self._prices)
        return [price for price in found if price is not None]


def _decode(data: bytes) -> _File:
    try:
        return _file.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadBook(f"the price book cannot be read: {fault}") from None


def _price(model: _Model, row: _Row) -> Price:
    ground = model.grounding or _Grounding()
    return Price(
        id=row.id,
        model=model.id,
        tier=row.tier,
        rates=Rates(**{name: getattr(row, name) for name in _RATES}),
        long=row.long,
        since=None if row.since is None else pacific.midnight(row.since),
        until=None if row.until is None else pacific.midnight(row.until),
        search=ground.search,
        maps=ground.maps,
        search_per=ground.per,
        units=model.units,
        source=row.source,
        as_of=row.as_of,
        derived=row.derived,
    )


def _check(model: str, tier: str, rows: list[Price]) -> None:
    """Raise ``BadBook`` when two rows of one model and tier are in force at once."""
    for before, after in itertools.pairwise(rows):
        if before.until is None or after.since is None or before.until > after.since:
            raise BadBook(f"two prices of {model} ({tier}) overlap: {before.id} and {after.id}")


def _half_even(tokens: int, rate: int) -> int:
    """``tokens`` at ``rate`` in nano-dollars, rounded half to even."""
    whole, rest = divmod(tokens * rate, PER)
    twice = rest * 2
    return whole + (twice > PER or (twice == PER and whole & 1))


def cost(price: Price | None, usage: Usage, *, free: bool = False) -> Cost:
    """The cost of a try at a row of the book (None: no known price). ``free``: a project that pays nothing."""
    if price is None:
        return Cost(total=None, billed=0 if free else None)
    rates = price.rates
    if price.long is not None and usage.input > LONG_PROMPT:
        rates = price.long
    if not usage.details and not usage.cached and not usage.tool and not usage.grounded and not usage.maps:
        plain = _plain(price, rates, usage, free)
        if plain is not None:
            return plain
    sum_ = _Sum()
    cached = min(usage.cached, usage.input)
    for kind, tokens, rate in _special(rates, usage, cached):
        sum_.charge(kind, tokens, rate)
    taken = {"input": 0, "cached": 0, "output": 0}
    for charge in sum_.charges:
        taken[charge.kind.partition("_")[2]] += charge.quantity
    fresh = sum_.part("input", usage.input - cached - taken["input"], rates.input)
    kept = sum_.part("cached", cached - taken["cached"], rates.cached)
    said = sum_.part("output", usage.output - taken["output"], rates.output)
    thought = sum_.part("thoughts", usage.thoughts, rates.output)
    tool = sum_.part("tool", usage.tool, rates.input)
    if usage.grounded:
        queries = usage.searches or 1
        sum_.count("search", queries if price.search_per == "query" else 1, price.search)
    if usage.maps:
        sum_.count("maps", usage.maps if price.search_per == "query" else 1, price.maps)
    total = None if sum_.unknown else sum_.total
    return Cost(fresh, kept, said, thought, tool, tuple(sum_.charges), total, 0 if free else total, price.id)


def _plain(price: Price, rates: Rates, usage: Usage, free: bool) -> Cost | None:
    """The common case: text in, text out. None when a rate is missing."""
    if rates.input is None or rates.output is None:
        return None
    fresh = _half_even(usage.input, rates.input)
    said = _half_even(usage.output, rates.output)
    thought = _half_even(usage.thoughts, rates.output)
    total = fresh + said + thought
    return Cost(fresh, 0, said, thought, 0, (), total, 0 if free else total, price.id)


def _special(rates: Rates, usage: Usage, cached: int) -> list[tuple[str, int, int]]:
    """Kind, tokens and rate of the modalities that have a rate of their own."""
    if not usage.details:
        return []
    seen: dict[tuple[str, str], int] = {}
    for row in usage.details:
        seen[row.side, row.modality] = seen.get((row.side, row.modality), 0) + row.tokens
    out: list[tuple[str, int, int]] = []
    room = {"input": usage.input - cached, "cached": cached, "output": usage.output}
    sided = any(side == "cached" for side, _ in seen)
    for (side, modality), tokens in seen.items():
        if side not in room:
            continue
        if side == "input":
            kept = seen.get(("cached", modality), 0)
            if cached and not sided:
                # Nobody says what the cached tokens are: text first.
                kept = max(0, cached - (usage.input - tokens))
                out += _own(rates, "cached", modality, min(kept, room["cached"]), room)
            tokens -= kept
        out += _own(rates, side, modality, min(tokens, room[side]), room)
    return out


def _own(
    rates: Rates, side: str, modality: str, tokens: int, room: dict[str, int]
) -> list[tuple[str, int, int]]:
    rate: int | None = getattr(rates, f"{side}_{modality}", None)
    if rate is None or tokens <= 0:
        return []
    room[side] -= tokens
    return [(f"{modality}_{side}", tokens, rate)]


class _Sum:
    """Adds up components; a component without a rate becomes a charge without money."""

    __slots__ = ("charges", "total", "unknown")

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.total = 0
        self.unknown = False

    def part(self, kind: str, tokens: int, rate: int | None) -> int:
        """Add a plain component and return its money; an unknown rate leaves a charge without money."""
        if tokens <= 0:
            return 0
        if rate is None:
            self.unknown = True
            self.charges.append(Charge(kind, tokens, None))
            return 0
        nano = _half_even(tokens, rate)
        self.total += nano
        return nano

    def charge(self, kind: str, tokens: int, rate: int) -> None:
        """Add a modality with a rate of its own."""
        nano = _half_even(tokens, rate)
        self.total += nano
        self.charges.append(Charge(kind, tokens, nano))

    def count(self, kind: str, quantity: int, each: int | None) -> None:
        """Add uses that are priced by the piece."""
        if each is None:
            self.unknown = True
            self.charges.append(Charge(kind, quantity, None))
        else:
            self.total += quantity * each
            self.charges.append(Charge(kind, quantity, quantity * each))
