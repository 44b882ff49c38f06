"""Which words do as names of keys and budgets."""

from __future__ import annotations

import pytest

from gemgate.core import words


@pytest.mark.parametrize("text", ["shop", " shop-1 ", "a.b", "...", "a:b@c", "x" * 64])
def test_a_name_is_kept_without_blanks_around_it(text: str) -> None:
    assert words.name(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["", ".", "..", " .. ", "/", "a/b", "../a", "a b", "a,b", 'a"', "ä", "x" * 65]
)
def test_what_would_mean_something_else_in_a_path_or_header_is_no_name(text: str) -> None:
    with pytest.raises(words.Unfit, match="is no name"):
        words.name(text)
