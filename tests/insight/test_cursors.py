"""A cursor leads back to its place, for its own question alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.insight.cursors import BadCursor, decode, encode, question

PLACES = st.lists(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20)), max_size=5
).map(tuple)


@given(PLACES, st.text(max_size=20))
def test_what_goes_in_comes_out(place: tuple[int | str | None, ...], filters: str) -> None:
    asked = question(filters, "time")
    cursor = encode(asked, place)
    assert decode(cursor, asked, len(place)) == place
    assert cursor.replace("-", "").replace("_", "").isalnum()
    for other in (question(filters, "cost"), question(filters + "x", "time")):
        with pytest.raises(BadCursor, match="other filters"):
            decode(cursor, other, len(place))
    with pytest.raises(BadCursor):
        decode(cursor, asked, len(place) + 1)


@given(st.text(max_size=500))
def test_no_text_breaks_it(text: str) -> None:
    with pytest.raises(BadCursor):
        decode(text, question("x"), 2)
