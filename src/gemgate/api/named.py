"""What resources that people name have in common: pages of them, near names, fields at fault."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, TypeVar

import msgspec

from gemgate.api.problems import Problem
from gemgate.core.words import Unfit
from gemgate.insight import cursors

T = TypeVar("T")

Limit = Annotated[int, msgspec.Meta(ge=1, le=500, description="Items on a page.")]
Cursor = Annotated[str, msgspec.Meta(max_length=400, description="`next` of the page before.")]


def page(
    items: Sequence[T], name: Callable[[T], str], limit: int, cursor: str, asked: tuple[object, ...] = ()
) -> tuple[list[T], str | None]:
    """The items after a cursor, and the cursor of the page after them, None at the end.

    ``name`` gives what an item is known by, ``asked`` is what narrowed the list. Raises Problem 400 BAD_QUERY.
    """
    question = cursors.question(*asked)
    start = 0
    if cursor:
        try:
            (last,) = cursors.decode(cursor, question, 1)
        except cursors.BadCursor as fault:
            raise wrong({"cursor": str(fault)}, "BAD_QUERY") from None
        start = next((at + 1 for at, item in enumerate(items) if name(item) == last), -1)
        if start < 0:
            raise wrong({"cursor": "What stood here is gone; begin again without it."}, "BAD_QUERY")
    found = list(items[start : start + limit])
    more = start + limit < len(items)
    return found, cursors.encode(question, (name(found[-1]),)) if more else None


def missing(what: str, name: str, known: Collection[str]) -> Problem:
    """404 for a name that is not there, with the near ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"GET the list of {what}s to see them all."
    return Problem(404, f"{what.upper()}_NOT_FOUND", f"No {what} is named {name[:200]!r}.", hint)


def wrong(errors: Mapping[str, str], code: str = "BAD_BODY") -> Problem:
    """400 for fields that are of the right kind and cannot be meant."""
    which = "query string" if code == "BAD_QUERY" else "body"
    return Problem(400, code, f"The {which} does not hold what is asked for here.", errors=errors)


@contextmanager
def field(name: str, errors: dict[str, str]) -> Iterator[None]:
    """Take note of a word that does not do in this field, and go on."""
    try:
        yield
    except Unfit as fault:
        errors.setdefault(name, str(fault))
