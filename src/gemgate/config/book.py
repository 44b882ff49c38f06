"""The price book in force: the one that comes with the package, and the user's own rows in front of it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gemgate.core.pricing import BadBook, PriceBook


def load_book(override: Path | None = None) -> PriceBook:
    """The package's book, overlaid with the file that ``prices.file`` names. Raises BadBook, OSError."""
    book = PriceBook.load((resources.files("gemgate") / "data" / "price_book.json").read_bytes())
    if override is None:
        return book
    try:
        return book.overlay(override.read_bytes())
    except BadBook as error:
        raise BadBook(f"{override}: {error}") from None
