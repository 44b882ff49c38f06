"""What is counted of calls and tries, wherever they are summed: rollups, reports, exports.

Laws:

- every fact is an integer at least 0 and adds up: the facts of two sets of calls that share none are the sum;
- a call counts where its final target is, a try (its tokens and money) where its own target is;
- money is list price unless the name says ``billed``, in nano-dollars, and only what is known: ``unpriced`` says
  how many tries have no known price, and is shown beside every sum of money;
- ``failed``, ``cancelled`` and ``hedged`` money was spent on tries that gave no ``ok`` call its answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Facts = list[int]
"""One number for each name of ``FACTS``, in that order."""

CALL_FACTS: Final = (
    "calls",
    "ok",
    "refused",
    "failed",
    "cut",
    "cancelled",
    "interrupted",
    "streamed",
    "retried",  # two tries or more
    "switched",  # the final try's target is another than the first one's
    "rescued",  # ok, though a try before had failed
    "hedged",  # a second try raced the first
    "hedges_won",  # and gave the answer
    "waited",  # µs before tries
    "busy",  # µs from the request to the last byte
    "request_bytes",
    "response_bytes",
)
TRY_FACTS: Final = (
    "tries",
    "tries_failed",
    "input",
    "cached",
    "output",
    "thoughts",
    "tool",
    "estimated",  # tokens that are not Google's last word
    "list_nano",
    "billed_nano",
    "estimated_list_nano",
    "estimated_billed_nano",
    "unpriced",  # tries
    "unpriced_tokens",
    "input_nano",
    "cached_nano",
    "output_nano",
    "thoughts_nano",
    "tool_nano",
    "other_nano",  # charges that are not by plain tokens
    "saved_nano",  # what cached tokens would have cost more as ordinary input
    "failed_list_nano",
    "failed_billed_nano",
    "cancelled_list_nano",
    "cancelled_billed_nano",
    "hedged_list_nano",
    "hedged_billed_nano",
)
FACTS: Final = CALL_FACTS + TRY_FACTS
INDEX: Final = {name: place for place, name in enumerate(FACTS)}


def zero() -> Facts:
    """Nothing counted."""
    return [0] * len(FACTS)


def add(into: Facts, more: Iterable[int]) -> None:
    """Count ``more`` in ``into`` too."""
    for place, number in enumerate(more):
        into[place] += number
