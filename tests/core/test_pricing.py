"""The price book and the sums made with it."""

from __future__ import annotations

import datetime
import fractions
import json
import pathlib
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import pacific, pricing
from gemgate.core.pricing import BadBook, Price, PriceBook, Rates, cost
from gemgate.core.usage import Detail, Usage

DATA = (pathlib.Path(pricing.__file__).parent.parent / "data" / "price_book.json").read_bytes()
BOOK = PriceBook.load(DATA)
CALIFORNIA = zoneinfo.ZoneInfo("America/Los_Angeles")
SECOND = 1_000_000


def at(text: str) -> int:
    """UTC microseconds of a local time in California."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=CALIFORNIA)
    return int(moment.timestamp()) * SECOND


NOW = at("2026-11-23T12:00:00")


def price_of(model: str, tier: str = "standard", when: int = NOW) -> Price:
    found = BOOK.price(model, tier, when)
    assert found is not None, f"{model} {tier}"
    return found


@given(st.dates(datetime.date(2007, 4, 1), datetime.date(2060, 12, 31)), st.integers(0, 86_399))
def test_pacific_days_are_those_of_the_time_zone_database(day: datetime.date, second: int) -> None:
    begin = datetime.datetime(day.year, day.month, day.day, tzinfo=CALIFORNIA)
    assert pacific.midnight(day) == int(begin.timestamp()) * SECOND
    moment = pacific.midnight(day) + second * SECOND
    local = datetime.datetime.fromtimestamp(moment // SECOND, CALIFORNIA).date()
    assert pacific.day_of(moment) == local
    assert pacific.day_of(pacific.next_midnight(moment) - 1) == local
    assert pacific.day_of(pacific.next_midnight(moment)) == local + datetime.timedelta(days=1)


@pytest.mark.parametrize("year", range(2007, 2061))
def test_pacific_midnights_around_the_changes_of_the_clocks(year: int) -> None:
    for month, first in ((3, 7), (11, 1)):
        for day in (datetime.date(year, month, first) + datetime.timedelta(days=n) for n in range(9)):
            begin = datetime.datetime(day.year, day.month, day.day, tzinfo=CALIFORNIA)
            assert pacific.midnight(day) == int(begin.timestamp()) * SECOND


@pytest.mark.parametrize("when", ["2026-11-23", "2026-12-15", "2027-01-15"])
def test_flex_and_batch_are_half_and_priority_is_nine_fifths(when: str) -> None:
    rows = BOOK.in_force(at(f"{when}T12:00:00"))
    standard = {price.model: price.rates for price in rows if price.tier == "standard"}
    others = [price for price in rows if price.tier != "standard"]
    assert len(others) > 50
    for price in others:
        times, over = (9, 5) if price.tier == "priority" else (1, 2)
        base = standard[price.model]
        for kind in ("input", "output", "input_audio", "input_image", "output_image", "output_audio"):
            mine, theirs = getattr(price.rates, kind), getattr(base, kind)
            if mine is None or theirs is None:
                assert mine == theirs, f"{price.id} {kind}"
            else:
                assert mine * over == theirs * times, f"{price.id} {kind}"


@pytest.mark.parametrize(
    ("model", "border", "before", "after"),
    [
        ("gemini-4-argon", "2026-12-01", (2, 10, 0.1), (4, 20, 0.2)),
        ("gemini-4-carbon", "2026-12-01", (2, 10, 0.1), (4, 20, 0.2)),
        ("gemini-3.8-flash", "2027-01-01", (0.75, 3.75, 0.075), (1.5, 7.5, 0.15)),
        ("gemini-3.7-flash", "2027-01-01", (0.75, 3.75, 0.075), (1.5, 7.5, 0.15)),
        ("gemini-3.6-flash", "2027-01-01", (0.75, 3.75, 0.075), (1.5, 7.5, 0.15)),
    ],
)
def test_both_sides_of_a_price_change(
    model: str, border: str, before: tuple[float, ...], after: tuple[float, ...]
) -> None:
    midnight = at(f"{border}T00:00:00")
    for tier, factor in (("standard", 1), ("batch", 0.5), ("flex", 0.5), ("priority", 1.8)):
        for when, dollars in ((midnight - 1, before), (midnight, after)):
            rates = price_of(model, tier, when).rates
            expected = tuple(round(one * factor * 1e9) for one in dollars)
            assert (rates.input, rates.output, rates.cached) == expected
    usage = Usage(input=1_000_000)
    old = cost(price_of(model, when=midnight - 1), usage).total
    new = cost(price_of(model, when=midnight), usage).total
    assert old is not None
    assert new == 2 * old
    assert price_of(model, when=midnight - 1).id != price_of(model, when=midnight).id


def test_names_are_resolved() -> None:
    flash = price_of("gemini-2.5-flash")
    for name in ("models/gemini-2.5-flash", "gemini-2.5-flash-001", "models/gemini-2.5-flash-002"):
        assert BOOK.price(name, "standard", NOW) == flash
    assert price_of("gemini-flash-latest").model == "gemini-3.8-flash"
    assert price_of("gemini-3.1-pro-preview-01-2026").model == "gemini-3.1-pro-preview"
    for tier in ("", "STANDARD", "SERVICE_TIER_STANDARD", "unspecified"):
        assert BOOK.price("gemini-2.5-flash", tier, NOW) == flash
    assert price_of("gemini-2.5-flash", "FLEX").tier == "flex"
    assert BOOK.price("gemini-2.5-flash", "deferred", NOW) is None
    assert BOOK.price("gemini-99-ultra", "standard", NOW) is None
    assert BOOK.price("tunedModels/mine", "standard", NOW) is None


def test_retired_models_are_answered_by_others_from_a_day_on() -> None:
    border = at("2026-12-01T00:00:00")
    assert BOOK.routed("gemini-2.5-pro", border - 1) == "gemini-2.5-pro"
    assert BOOK.routed("models/gemini-2.5-pro", border) == "gemini-3.8-flash"
    assert BOOK.routed("gemini-3.5-flash", border) == "gemini-3.6-flash"
    assert BOOK.routed("something-else", border) == "something-else"


def test_units_and_storage() -> None:
    assert BOOK.storage("gemini-3.8-flash", at("2026-12-31T23:59:59")) == 500_000_000
    assert BOOK.storage("gemini-3.8-flash", at("2027-01-01T00:00:00")) == 1_000_000_000
    assert BOOK.storage("gemini-4-argon", NOW) is None
    assert price_of("gemini-3-pro-image").units["4k_image"] == 240_000_000


def test_the_components_of_a_cost() -> None:
    usage = Usage(
        input=1000,
        cached=100,
        output=50,
        thoughts=20,
        tool=7,
        details=(Detail("input", "audio", 300), Detail("cached", "audio", 40), Detail("output", "image", 5)),
        searches=3,
        grounded=True,
        maps=1,
    )
    got = cost(price_of("gemini-2.5-flash"), usage)
    assert (got.input, got.cached, got.output, got.thoughts, got.tool) == (
        640 * 300,
        60 * 30,
        50 * 2500,
        20 * 2500,
        7 * 300,
    )
    charges = {charge.kind: (charge.quantity, charge.nano) for charge in got.charges}
    assert charges == {
        "audio_input": (260, 260_000),
        "audio_cached": (40, 4_000),
        "search": (1, 35_000_000),  # one grounded prompt, however many queries
        "maps": (1, 25_000_000),
    }
    assert got.price == "gemini-2.5-flash/standard/2025-06-17"
    newer = cost(price_of("gemini-3.8-flash"), usage)
    assert {one.kind: (one.quantity, one.nano) for one in newer.charges} == {
        "search": (3, 42_000_000),
        "maps": (1, 14_000_000),
    }


def test_cached_tokens_of_an_unnamed_modality_are_text_first() -> None:
    price = price_of("gemini-2.5-flash")
    audio = (Detail("input", "audio", 300),)
    some = cost(price, Usage(input=1000, cached=600, details=audio))
    assert (some.input, some.cached) == (100 * 300, 600 * 30)
    more = cost(price, Usage(input=1000, cached=800, details=audio))
    assert (more.input, more.cached) == (0, 700 * 30)
    assert [(one.kind, one.quantity) for one in more.charges] == [("audio_cached", 100), ("audio_input", 200)]


def test_image_output_and_embeddings() -> None:
    image = cost(price_of("gemini-3-pro-image"), Usage(10, 0, 1130, 0, 0, (Detail("output", "image", 1120),)))
    assert (image.output, image.charges[0].nano) == (10 * 12_000, 1120 * 120_000)
    vector = cost(price_of("gemini-embedding-001"), Usage(input=1000))
    assert (vector.input, vector.total) == (150_000, 150_000)


def test_a_long_prompt_is_priced_whole_at_the_long_rates() -> None:
    price = price_of("gemini-2.5-pro")
    short = cost(price, Usage(input=200_000, cached=1000, output=10))
    long = cost(price, Usage(input=200_001, cached=1000, output=10))
    assert (short.input, short.cached, short.output) == (199_000 * 1250, 1000 * 125, 10 * 10_000)
    assert (long.input, long.cached, long.output) == (199_001 * 2500, 1000 * 250, 10 * 15_000)


def test_unknown_is_unpriced_and_never_zero() -> None:
    nothing = cost(None, Usage(input=5))
    assert (nothing.total, nothing.billed) == (None, None)
    assert cost(None, Usage(input=5), free=True).billed == 0
    lite = cost(price_of("gemini-2.0-flash-lite"), Usage(input=1000, cached=100))
    assert (lite.total, lite.input) == (None, 900 * 75)
    assert [(one.kind, one.quantity, one.nano) for one in lite.charges] == [("cached", 100, None)]
    assert cost(price_of("gemini-3.5-transcribe"), Usage(input=5, grounded=True)).total is None
    free = cost(price_of("gemini-2.5-flash"), Usage(input=1000), free=True)
    assert (free.total, free.billed) == (300_000, 0)


counts = st.integers(0, 3_000_000)
modal = st.builds(
    Detail,
    st.sampled_from(["input", "cached", "output", "tool"]),
    st.sampled_from(["audio", "image", "video", "document"]),
    st.integers(0, 2_000_000),
)
usages = st.builds(
    Usage,
    input=counts,
    cached=counts,
    output=counts,
    thoughts=counts,
    tool=counts,
    details=st.lists(modal, max_size=5).map(tuple),
    searches=st.integers(0, 5),
    grounded=st.booleans(),
    maps=st.integers(0, 2),
)
prices = st.sampled_from(BOOK.in_force(NOW))


@given(prices, usages)
def test_the_sum_of_the_components_is_the_total(price: Price, usage: Usage) -> None:
    got = cost(price, usage)
    parts = [got.input, got.cached, got.output, got.thoughts, got.tool]
    assert min(parts) >= 0
    assert all(charge.quantity > 0 for charge in got.charges)
    moneys = [charge.nano for charge in got.charges]
    known = [nano for nano in moneys if nano is not None]
    if len(known) < len(moneys):
        assert got.total is None
    else:
        assert got.total == sum(parts) + sum(known)
    assert got.billed == got.total


@given(prices, counts, counts, counts, counts)
def test_more_tokens_never_cost_less(
    price: Price, tokens: int, output: int, thoughts: int, more: int
) -> None:
    base = cost(price, Usage(input=tokens, output=output, thoughts=thoughts)).total
    for larger in (
        Usage(input=tokens + more, output=output, thoughts=thoughts),
        Usage(input=tokens, output=output + more, thoughts=thoughts),
        Usage(input=tokens, output=output, thoughts=thoughts + more),
    ):
        total = cost(price, larger).total
        assert base is None or total is None or total >= base


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_rounding_is_half_to_even_once(tokens: int, rate: int) -> None:
    price = Price(id="x", model="x", tier="standard", rates=Rates(input=rate, output=0))
    exact = fractions.Fraction(tokens * rate, 1_000_000)
    assert cost(price, Usage(input=tokens)).input == round(exact)


@pytest.mark.parametrize(("tokens", "nano"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_halves_go_to_the_even_neighbour(tokens: int, nano: int) -> None:
    price = Price(id="x", model="x", tier="standard", rates=Rates(input=500_000, output=0))
    assert cost(price, Usage(input=tokens)).input == nano


@given(prices, usages)
def test_the_short_way_and_the_long_way_agree(price: Price, usage: Usage) -> None:
    plain = Usage(input=usage.input, output=usage.output, thoughts=usage.thoughts)
    detailed = Usage(
        input=usage.input,
        output=usage.output,
        thoughts=usage.thoughts,
        details=(Detail("tool", "audio", 1),),
    )
    assert cost(price, plain) == cost(price, detailed)


def test_rows_have_names_of_their_own_and_a_source() -> None:
    rows = [row for model in json.loads(DATA)["models"] for row in model["rows"]]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["source"] and row["as_of"] for row in rows)
    assert all(row["id"].split("/")[1] == row["tier"] for row in rows)


def test_an_overlay_replaces_the_rows_of_one_tier() -> None:
    mine = {
        "id": "gemini-2.5-flash",
        "rows": [{"id": "mine", "tier": "standard", "input": 1, "output": 2}],
    }
    new = {"id": "my-model", "rows": [{"id": "new", "tier": "standard", "input": 5}]}
    book = BOOK.overlay(json.dumps({"models": [mine, new]}).encode())
    found = book.price("gemini-2.5-flash", "standard", NOW)
    assert found is not None
    assert (found.id, found.rates.input, found.search) == ("mine", 1, 35_000_000)
    assert book.price("gemini-2.5-flash", "flex", NOW) == price_of("gemini-2.5-flash", "flex")
    assert book.price("my-model", "standard", NOW) is not None
    assert BOOK.price("my-model", "standard", NOW) is None


@pytest.mark.parametrize(
    ("book", "words"),
    [
        (b"[", "cannot be read"),
        (b'{"models": [{"id": "a", "rows": [{"id": "r", "tier": "standard", "inptu": 1}]}]}', "inptu"),
        (b'{"models": [{"id": "a"}, {"id": "a"}]}', "twice"),
        (
            b'{"models": [{"id": "a", "rows": [{"id": "1", "tier": "t"}, {"id": "2", "tier": "t"}]}]}',
            "overlap: 1 and 2",
        ),
    ],
)
def test_bad_books_are_refused_with_the_reason(book: bytes, words: str) -> None:
    with pytest.raises(BadBook, match=words):
        PriceBook.load(book)
