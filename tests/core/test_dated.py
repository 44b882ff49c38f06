"""Dated rows of one's own: on their days they hold, on all others the book stays as it was."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import dated, pacific
from gemgate.core.pricing import BadBook, PriceBook

FIRST = datetime.date(2026, 1, 1)


def day(number: int) -> datetime.date:
    return FIRST + datetime.timedelta(days=number)


def row(name: str, since: int | None, until: int | None, rate: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "tier": "standard",
        "from": None if since is None else day(since).isoformat(),
        "until": None if until is None else day(until).isoformat(),
        "input": rate,
        "output": rate * 5,
        **more,
    }


def book(*rows: dict[str, Any]) -> PriceBook:
    model = {"id": "m", "aliases": ["latest"], "grounding": {"search": 7}, "rows": rows}
    other = {"id": "n", "rows": [row("n@batch", None, None, 9, tier="batch")]}
    return PriceBook.load(msgspec.json.encode({"as_of": "2026-01-01", "models": [model, other]}))


def rate(found: PriceBook, number: int) -> int | None:
    price = found.price("m", "standard", pacific.midnight(day(number)))
    return None if price is None else price.rates.input


@st.composite
def spans(draw: st.DrawFn) -> tuple[int | None, int | None]:
    since = draw(st.none() | st.integers(1, 20))
    until = draw(st.none() | st.integers(2, 30))
    if since is not None and until is not None and until <= since:
        until = since + 1
    return since, until


@given(st.lists(spans(), max_size=5))
def test_a_row_holds_on_its_days_and_no_other(days: list[tuple[int | None, int | None]]) -> None:
    found = book(row("a", None, 10, 1000), row("b", 10, None, 2000))
    should = {number: 1000 if number < 10 else 2000 for number in range(32)}
    for place, (since, until) in enumerate(days):
        added = dated.add(found, {**row(f"own/{place}", since, until, place + 1), "model": "m"})
        taken = [n for n in should if (since is None or since <= n) and (until is None or n < until)]
        assert {one.id for one in added.replaces} == {
            price.id
            for n in taken
            if (price := found.price("m", "standard", pacific.midnight(day(n)))) is not None
        }
        found = added.book
        should |= dict.fromkeys(taken, place + 1)
        assert {number: rate(found, number) for number in should} == should
    ids = [price.id for price in found.rows()]
    assert len(ids) == len(set(ids))
    assert found.price("n", "batch", pacific.midnight(day(3))) == book().price(
        "n", "batch", pacific.midnight(day(3))
    )


def test_what_a_row_replaces_is_told_by_its_days() -> None:
    added = dated.add(book(row("a", None, None)), {**row("own/1", 5, 7, 3), "model": "models/latest"})
    (gone,) = added.replaces
    assert gone == ("a", (None, None), ((None, day(5)), (day(7), None)))
    assert added.row.model == "m"
    assert added.row.search == 7  # what the model adds to its rows, it adds to this one
    assert [price.id for price in added.book.rows() if price.model == "m"] == ["a", "own/1", f"a/{day(7)}"]


def test_a_model_that_the_book_does_not_know_gets_a_price() -> None:
    added = dated.add(book(), {**row("own/1", None, None, 3), "model": "new"})
    assert added.replaces == ()
    found = added.book.price("new", "standard", 0)
    assert found is not None
    assert found.rates.output == 15


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"model": " "}, "names no model"),
        ({"tier": "golden"}, "tiers standard, batch"),
        ({"from": "2026-01-05", "until": "2026-01-05"}, "ends before it begins"),
        ({"input": -1}, "rate input"),
        ({"long": {"output": -1}}, "rate output"),
        ({"input": None, "output": None}, "neither"),
        ({"inptu": 3}, "inptu"),
        ({"from": "soon"}, "cannot be read"),
        ({"input": "3"}, "cannot be read"),
        ({"id": "a"}, "already"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_and_left_out(wrong: dict[str, Any], says: str) -> None:
    found = book(row("a", None, 3), row("b@batch", None, None, tier="batch"))
    bad = {**row("own/1", 5, None), "model": "m", **wrong}
    with pytest.raises(BadBook, match=says):
        dated.add(found, bad)
    good = {**row("own/2", 5, None, 4), "model": "m"}
    longer, left_out = dated.joined(found, [bad, good])
    assert list(left_out) == [bad["id"]]
    assert rate(longer, 6) == 4


@given(st.lists(st.tuples(spans(), st.sampled_from(["m", "latest", "n", "new", "new-001"])), max_size=6))
def test_many_rows_are_joined_as_one_after_the_other(
    wanted: list[tuple[tuple[int | None, int | None], str]],
) -> None:
    found = first = book(row("a", None, 10, 1000), row("b", 10, None, 2000))
    rows = [
        {**row(f"own/{place}", *days, place + 1, tier=("standard", "batch")[place % 2]), "model": model}
        for place, (days, model) in enumerate(wanted)
    ]
    for one in rows:
        found = dated.add(found, one).book
    longer, bad = dated.joined(first, rows)
    assert (longer.rows(), bad) == (found.rows(), {})
    assert longer.resolve("new-001") == found.resolve("new-001")


@pytest.mark.parametrize(
    "broken", [{}, {"source": "\ud800"}, {"model": "m", "from": []}, {"model": "m", "id": {}}, {"model": []}]
)
def test_a_broken_row_takes_no_other_with_it(broken: dict[str, Any]) -> None:
    bad = {"id": "own/1", **({**row("own/1", 5, None), "model": "m", **broken} if broken else {})}
    good = {**row("own/2", 5, None, 4), "model": "m"}
    longer, left_out = dated.joined(book(row("a", None, None, 3)), [bad, good])
    assert list(left_out) == [str(bad["id"])]
    assert rate(longer, 6) == 4


def test_a_row_may_begin_and_end_at_the_last_day_of_all() -> None:
    last = datetime.date.max
    found = book(row("a", None, None, 3))
    own = {**row("own/1", None, None, 4), "model": "m", "from": "9999-12-31"}
    longer, left_out = dated.joined(found, [own, {**row("own/2", 5, 7, 9), "model": "m"}])
    assert left_out == {}
    assert [rate(longer, number) for number in (4, 5, 7)] == [3, 9, 3]
    for at in (pacific.midnight(last), pacific.midnight(last) + 86_399_999_999):
        assert pacific.day_of(at) == last
        price = longer.price("m", "standard", at)
        assert price is not None
        assert price.id == "own/1"
