"""The tap on an answer: what was seen so far, event by event.

A dialect turns each event (or a whole unary body) into a ``Seen``; ``Meter.add`` folds them. Laws:

- usage is the last one seen, never a sum: Google repeats running totals in each chunk;
- the first model, response id and tier named win for identity, the last for tier (tier may be corrected);
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
    """What one event says. ``finish`` is Google's finish reason (or interaction status) of any candidate."""

    usage: Usage | None = None
    finish: str = ""
    model: str = ""
    response: str = ""
    tier: str = ""
    block: str = ""
    parts: bool = False
    fault: Fault | None = None
    garbage: bool = False
    done: bool = False  # a marker without content that closes the stream: ``[DONE]``


class Meter:
    """Folds ``Seen`` values into the state of the answer."""

    __slots__ = ("block", "events", "fault", "finish", "garbage", "model", "parts", "response", "tier", "usage")

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
        self.events = 0

    def add(self, seen: Seen) -> None:
        """Fold one event in."""
        self.events += 1
        if seen.usage is not None:
            self.usage = seen.usage
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
        if seen.fault is not None and self.fault is None:
            self.fault = seen.fault
        if seen.garbage:
            self.garbage = True

    @property
    def ended(self) -> bool:
        """Whether the answer has come to an end of its own: a finish reason, or a blocked prompt."""
        return bool(self.finish or self.block)

    @property
    def empty(self) -> bool:
        """Whether nothing was said at all (see the third law)."""
        return not (self.finish or self.parts or self.block)
