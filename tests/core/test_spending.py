"""The bounds that budgets hold: what a call may take is never less than what it takes within its own limits."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.config.book import load_book
from gemgate.core import pricing, spending
from gemgate.core.catalog import Card, Catalog
from gemgate.core.estimate import Estimates, Held
from gemgate.core.purse import Estimate
from gemgate.core.spending import Bounds, Share
from gemgate.core.usage import Detail, Usage
from gemgate.dialects.gemini.methods import METHODS

BOOK, CATALOG = load_book(), Catalog.load()
AT = 1_795_000_000_000_000
FLASH = "gemini-2.5-flash"
counts = st.integers(0, 300_000)


def test_the_bound_of_the_call_is_the_most() -> None:
    assert spending.output(100, 1, None, None) == (1, 100)
    assert spending.output(100, 4, None, None) == (4, 400)
    assert spending.output(100, 1, (500, 900), None) == (100, 100)
    assert spending.output(100, 1, (40, 60), None) == (40, 100)


def test_without_a_bound_it_is_what_answers_had_of_late_within_the_models_own() -> None:
    card = Card(id="m", output=2_000)
    assert spending.output(None, 1, None, None) == (1, 1_024)
    assert spending.output(None, 1, (10, 50), None) == (10, 1_024)
    assert spending.output(None, 1, (900, 5_000), card) == (900, 2_000)
    assert spending.output(10**9, 1, None, card) == (1, 2_000)
    assert spending.output(None, 1, None, Card(id="i", kind="image"))[1] > 2_500
    assert spending.output(0, 1, None, None) == (1, 1_024)


@given(counts, counts, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["", "flex", "priority"]))
def test_what_is_taken_within_the_bounds_costs_within_the_money(
    asked: int, said: int, share: float, part: float, tier: str
) -> None:
    price = BOOK.price(FLASH, tier, AT)
    bounds = Bounds(round(asked * share), asked, round(said * part), said)
    found = spending.estimate(price, bounds, (), "text", free=False)
    for input_, output in ((asked, said), (bounds.input_least, bounds.output_least)):
        truth = pricing.cost(price, Usage(input_, 0, output // 2, output - output // 2)).billed
        assert truth is not None
        assert found.nano_least is not None
        assert found.nano_most is not None
        assert found.nano_least - 1 <= truth <= found.nano_most + 1  # output and thoughts are rounded apart
    assert (found.tokens_least, found.tokens_most) == (
        bounds.input_least + bounds.output_least,
        asked + said,
    )


def test_media_and_images_at_their_own_prices() -> None:
    price, bounds = BOOK.price(FLASH, "", AT), Bounds(10, 1_000)
    heard = pricing.cost(price, Usage(1_000, details=(Detail("input", "audio", 1_000),))).billed
    assert spending.estimate(price, bounds, ("image", "audio"), "text", free=False).nano_most == heard
    image = next(card.id for card in CATALOG.cards if card.kind == "image" and BOOK.price(card.id, "", AT))
    drawn = BOOK.price(image, "", AT)
    truth = pricing.cost(drawn, Usage(0, 0, 1_290, details=(Detail("output", "image", 1_290),))).billed
    assert spending.estimate(drawn, Bounds(0, 0, 1, 1_290), (), "image", free=False).nano_most == truth


def test_money_that_nobody_knows_is_none_and_a_free_project_pays_nothing() -> None:
    bounds = Bounds(1, 10, 2, 20)
    unknown = spending.estimate(None, bounds, (), "", free=False)
    assert (unknown.nano_most, unknown.tokens_least, unknown.tokens_most) == (None, 3, 30)
    free = spending.estimate(None, bounds, (), "", free=True)
    assert (free.nano_least, free.nano_most, free.tokens_most) == (0, 0, 30)


def test_unmetered_methods_are_in_the_inventory() -> None:
    assert spending.UNMETERED <= METHODS


@given(st.integers(1, 10**6), st.integers(1, 50))
def test_steady_models_have_narrow_bounds(estimate: int, times: int) -> None:
    estimates = Estimates()
    assert estimates.inputs("flash", estimate)[0] <= estimate <= estimates.inputs("flash", estimate)[1]
    for _ in range(times):
        estimates.learn("flash", estimate, 2 * estimate)
        estimates.learn_output("flash", 77)
    assert estimates.inputs("flash", estimate) == (2 * estimate, 2 * estimate)
    least, most = estimates.outputs("flash") or (0, 0)
    assert least <= 77 <= most
    for _ in range(200):
        estimates.learn_output("flash", 77)
    assert estimates.outputs("flash") == (77, 77)


def test_one_long_answer_says_nothing_of_how_short_the_next_may_be() -> None:
    estimates = Estimates()
    estimates.learn_output("flash", 60_000)
    for _ in range(3):
        found = estimates.outputs("flash")
        assert found is not None
        assert found[0] <= 20
        estimates.learn_output("flash", 20)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_output_bounds_lie_around_what_was_seen(seen: list[int]) -> None:
    estimates = Estimates()
    assert estimates.outputs("flash") is None
    for tokens in seen:
        estimates.learn_output("flash", tokens)
    found = estimates.outputs("flash")
    assert found is not None
    assert 0 <= found[0] <= max(seen)
    assert found[1] >= min(seen)


def test_nothing_asked_is_nothing_taken() -> None:
    assert Estimates().inputs("flash", 0) == (0, 0)
    assert Estimates().inputs("flash", -1) == (0, 0)


@pytest.mark.parametrize("deviation", [1, 2])
def test_unsteady_models_have_wide_bounds(deviation: int) -> None:
    estimates = Estimates()
    for place in range(200):
        estimates.learn("flash", 1_000, 1_000 + 500 * deviation * (1 if place % 2 else -1) // 2)
        estimates.learn_output("flash", 1_000 + 500 * deviation * (1 if place % 2 else -1) // 2)
    least, most = estimates.inputs("flash", 1_000)
    assert least <= 1_000 - 250 * deviation <= 1_000 + 250 * deviation <= most
    found = estimates.outputs("flash")
    assert found is not None
    assert found[0] <= 1_000 - 250 * deviation <= 1_000 + 250 * deviation <= found[1]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=25), counts, counts, st.booleans())
def test_the_shares_of_a_call_make_up_the_whole(
    weights: list[int], least: int, more: int, priced: bool
) -> None:
    whole, before, taken = sum(weights), 0, 0
    money = (least, least + more) if priced else (None, None)
    estimate = Estimate(*money, least, least + more)
    for weight in weights:
        share = Share(before, weight, whole)
        due = spending.due(estimate, share)
        # What was taken and what is due is the whole, at every step: no call holds more for being cut.
        assert taken + due.tokens_most == least + more
        assert 0 <= due.tokens_least <= due.tokens_most
        assert due.money == ((due.tokens_least, due.tokens_most) if priced else None)
        before, taken = before + weight, taken + share.of(least + more)
    if whole:
        assert taken == least + more


numbers = st.integers() | st.sampled_from([-1, 0, 1, -(2**63), 2**63, 10**30])


@given(
    numbers | st.none(),
    numbers,
    st.tuples(counts, counts).map(sorted) | st.none(),
    st.integers(-5, 10**6),
    st.builds(Held, counts, counts, st.sampled_from(["", "plain", "cached"])),
    st.sampled_from([FLASH, "gemini-3.8-flash", "gemini-2.5-flash-preview-tts", "nobodys"]),
    st.sampled_from([(), ("audio",)]),
)
def test_no_number_in_a_request_makes_room(
    asked: int | None,
    candidates: int,
    known: list[int] | None,
    seen: int,
    held: Held,
    model: str,
    media: tuple[str, ...],
) -> None:
    card = CATALOG.card(model)
    outputs = spending.output(asked, candidates, (known[0], known[1]) if known else None, card)
    assert 1 <= outputs[0] <= outputs[1]
    inputs = spending.beyond(Estimates().inputs(model, seen), held, card)
    assert 0 <= inputs.cached_least <= inputs.cached_most <= inputs.input_most
    bounds = msgspec.structs.replace(inputs, output_least=outputs[0], output_most=outputs[1])
    kind = card.kind if card is not None else ""
    found = spending.estimate(BOOK.price(model, "", AT), bounds, media, kind, free=False)
    assert 0 <= found.tokens_least <= found.tokens_most
    if found.money is not None:
        assert 0 <= found.money[0] <= found.money[1]


@pytest.mark.parametrize("wrong", [(-1, 5), (6, 5), (-9, -5)])
def test_what_is_held_never_makes_room(wrong: tuple[int, int]) -> None:
    for numbers in ((0, 0, *wrong), (*wrong, 0, 0), (None, None, *wrong)):
        with pytest.raises(ValueError, match="no bounds"):
            Estimate(*numbers)


def test_what_google_holds_of_the_input_is_bounded_by_the_models_context() -> None:
    card = Card(id="m", context=1_000)
    assert spending.beyond((10, 20), Held(), card) == Bounds(10, 20)
    assert spending.beyond((10, 20), Held(100, 200), card) == Bounds(
        235, 320, cached_least=150, cached_most=200
    )
    assert spending.beyond((10, 20), Held(unknown="plain"), card) == Bounds(10, 1_000)
    assert spending.beyond((10, 20), Held(unknown="cached"), card) == Bounds(10, 1_000, cached_most=980)
    assert spending.beyond((10, 20), Held(5_000, 5_000, "plain"), card).input_most == 1_000
    assert spending.beyond((10, 2_000), Held(unknown="plain"), card) == Bounds(10, 2_000)
    assert spending.beyond((10, 20), Held(unknown="plain"), None).input_most == spending.CONTEXT


def test_what_is_cached_has_the_price_of_caches() -> None:
    price = BOOK.price(FLASH, "", AT)
    truth = pricing.cost(price, Usage(100_000, 99_000, 50)).billed
    found = spending.estimate(price, Bounds(1_000, 100_000, 1, 50, 0, 99_000), (), "text", free=False)
    assert found.nano_most == truth
    plain = spending.estimate(price, Bounds(1_000, 100_000, 1, 50), (), "text", free=False)
    assert found.nano_most is not None
    assert plain.nano_most is not None
    assert found.nano_most < plain.nano_most / 2
