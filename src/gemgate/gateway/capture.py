"""What is taken of a call's bodies while they pass: copies, never more than a rule keeps.

``rule_now`` says which rule is for the call once its route is known, ``room`` takes so many bytes of what all calls
share, ``most`` is the largest body that any rule keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gemgate.core.redaction import Rules
from gemgate.gateway.exchange import Message
from gemgate.store.payloads import Rule


class Side(msgspec.Struct, array_like=True):
    """One body as it was taken. ``coding`` is its content coding, ``size`` what it would have been uncut."""

    side: int
    body: bytes
    coding: str
    whole: bool
    size: int


class Taken(msgspec.Struct, array_like=True):
    """What is to be stored of one call."""

    call_id: bytes
    at: int
    expires_at: int
    most: int
    redact: Rules
    sides: list[Side]


class Capture:
    """The bodies of one call. ``rule`` is known from the answer's head on; None: nothing is kept.

    ``own``: the request was given piece by piece. ``coding`` is the answer's content coding; ``held`` counts the
    bytes taken; ``lost``: there was no room for them. The sizes are those of the whole bodies.
    """

    __slots__ = (
        "_most",
        "_room",
        "_rule_now",
        "coding",
        "held",
        "lost",
        "own",
        "request",
        "request_size",
        "response",
        "response_size",
        "rule",
        "started",
    )

    def __init__(self, rule_now: Callable[[], Rule | None], room: Callable[[int], bool], most: int) -> None:
        self._rule_now = rule_now
        self._room = room
        self._most = most
        self.rule: Rule | None = None
        self.own = False
        self.started = False
        self.lost = False
        self.held = 0
        self.coding = ""
        self.request = bytearray()
        self.request_size = 0
        self.response = bytearray()
        self.response_size = 0

    def asked(self, piece: bytes | memoryview | Any) -> None:
        """A piece of the request's body, for one that is not read whole, or is not what goes to Google."""
        self.own = True
        self.request_size += len(piece)
        self._take(self.request, piece, self._most)

    def answered(self, message: Message) -> None:
        """A message of the answer, before it is sent."""
        if not self.started:
            self.started = True
            self.rule = self._rule_now()
            for name, value in message.get("headers", ()):
                if name.lower() == b"content-encoding":
                    self.coding = value.decode("latin-1").strip().lower()
        if self.rule is None or message["type"] != "http.response.body":
            return
        piece = message.get("body", b"")
        self.response_size += len(piece)
        self._take(self.response, piece, self.rule.max_bytes)

    def _take(self, into: bytearray, piece: Any, most: int) -> None:
        size = min(len(piece), most - len(into))
        if size <= 0 or self.lost:
            return
        if not self._room(size):
            self.lost = True
            return
        self.held += size
        into += piece[:size]
