"""The tap on an answer: what was seen so far, event by event.

A dialect turns each event (or a whole unary body) into a ``Seen``; ``Meter.add`` folds them. Laws:

- usage is the last one seen, never a sum: Google repeats running totals in each chunk; grounding, which only
  some chunks name, is the most that was seen;
- the first model, response id and tier named win for identity, the last for tier (tier may be corrected);
- of the thought signatures the first two and the last two are kept: who comes back with one comes back with all;
- an answer is empty when it has neither finish reason, nor parts, nor a block reason.
"""

from __future__ import annotations

import msgspec

from gemgate.core.usage import Usage


class Fault(msgspec.Struct, frozen=True):
    """An error object that upstream put into an answer or sent as its body."""

    code: int
    status: str
    message: str
    raw: bytes = b""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one event says. ``finish`` is Google's finish reason (or interaction status) of any candidate.

    ``signatures`` and ``continuation`` bind whoever sends them back to the project and model that answered.
    """

    usage: Usage | None = None
    finish: str = ""
    model: str = ""
    response: str = ""
    tier: str = ""
    block: str = ""
    parts: bool = False
    fault: Fault | None = None
    garbage: bool = False
    searches: int = 0  # search queries, maps queries and grounding of this event, also without usage
    maps: int = 0
    grounded: bool = False
    signatures: tuple[bytes, ...] = ()
    continuation: bytes = b""
    done: bool = (
        False  # the answer ends here without a reason of its own: ``[DONE]``, or a kind that has none
    )


class Meter:
    """Folds ``Seen`` values into the state of the answer."""

    __slots__ = (
        "began",
        "block",
        "continuation",
        "done",
        "events",
        "fault",
        "finish",
        "garbage",
        "grounded",
        "maps",
        "model",
        "parts",
        "response",
        "searches",
        "signatures",
        "tier",
        "usage",
    )

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish = ""
        self.model = ""
        self.response = ""
        self.tier = ""
        self.block = ""
        self.parts = False
        self.fault: Fault | None = None
        self.garbage = False
        self.done = False
        self.began = False  # an event came that was neither fault nor garbage
        self.events = 0
        self.searches = 0
        self.maps = 0
        self.grounded = False
        self.signatures: tuple[bytes, ...] = ()
        self.continuation = b""

    def add(self, seen: Seen) -> None:
        """Fold one event in."""
        self.events += 1
        if seen.usage is not None:
            self.usage = seen.usage
        if seen.grounded or seen.maps or self.grounded or self.maps:
            self._ground(seen)
        if seen.finish:
            self.finish = seen.finish
        if seen.model and not self.model:
            self.model = seen.model
        if seen.response and not self.response:
            self.response = seen.response
        if seen.tier:
            self.tier = seen.tier
        if seen.block:
            self.block = seen.block
        if seen.parts:
            self.parts = True
        if seen.signatures or seen.continuation:
            self._bind(seen)
        if seen.garbage:
            self.garbage = True
        elif seen.fault is None:
            self.began = True
        elif self.fault is None:
            self.fault = seen.fault
        if seen.done:
            self.done = True

    def _ground(self, seen: Seen) -> None:
        """Keep the most grounding seen, and put it into the usage of this moment."""
        self.grounded = self.grounded or seen.grounded
        self.searches = max(self.searches, seen.searches)
        self.maps = max(self.maps, seen.maps)
        if self.usage is not None:
            self.usage = msgspec.structs.replace(
                self.usage, searches=self.searches, maps=self.maps, grounded=self.grounded
            )

    def _bind(self, seen: Seen) -> None:
        """Keep the last continuation token, and the first two and the last two signatures."""
        self.continuation = seen.continuation or self.continuation
        found = tuple(dict.fromkeys(self.signatures + seen.signatures))
        self.signatures = found if len(found) <= 4 else found[:2] + found[-2:]

    @property
    def ended(self) -> bool:
        """Whether the answer has come to an end of its own: a finish reason, a blocked prompt, a mark."""
        return bool(self.finish or self.block or self.done)

    @property
    def empty(self) -> bool:
        """Whether nothing was said at all (see the third law)."""
        return not (self.finish or self.parts or self.block)
