"""The tap on a stream: reads events, gives back the bytes that may leave, holds the end.

Laws:

- bytes leave unchanged and only at event bounds, so that an error can be appended at any moment;
- from the event on that ends the answer (the last candidate's finish reason, a block, a closing marker)
  everything is held: the end of an answer leaves only after its row is committed;
- from the first event on that is no answer (an error object, garbage) nothing leaves any more: the fault is
  shown in the stream's own form instead.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from gemgate.core.meter import Fault, Meter, Seen
from gemgate.dialects.gemini.visible import visible
from gemgate.dialects.sse import Event

# Whoever asks for several answers at once (candidateCount, n) gets pieces with an index; nobody else gets
# such a piece, but for calls of functions and steps of interactions, which are told apart when decoded.
_ANOTHER = re.compile(rb'"index"\s*:\s*[1-9]')


class _Candidate(msgspec.Struct, gc=False):
    index: int = 0
    finishReason: str | None = None
    finish_reason: str | None = None


class _Candidates(msgspec.Struct, gc=False):
    candidates: tuple[_Candidate, ...] = ()
    choices: tuple[_Candidate, ...] = ()


_candidates = msgspec.json.Decoder(_Candidates)


class Splitter(Protocol):
    """What the tap needs of ``Feed`` and ``ArrayFeed``."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises TooLong."""
        ...

    def close(self) -> list[Event]:
        """Events completed by the end of the stream."""
        ...


class Tap:
    """Reads one stream. ``observe`` turns an event's data and name into what it says.

    ``partial``: only some fields were asked for, maybe not the finish reason; the end of the body must do.
    ``count``: keep in ``chars`` how many characters of text a reader of the answer has seen, thoughts left out.
    """

    __slots__ = (
        "_counts",
        "_finished",
        "_holding",
        "_most",
        "_observe",
        "_pending",
        "_safe",
        "_start",
        "broken",
        "chars",
        "meter",
        "partial",
        "splitter",
    )

    def __init__(
        self,
        feed: Splitter,
        observe: Callable[[bytes, str], Seen],
        *,
        partial: bool = False,
        count: bool = False,
    ) -> None:
        self.partial = partial
        self._counts = count
        self.chars = 0
        self._most = 0  # the largest index of a candidate
        self._finished: set[int] = set()
        self.splitter = feed
        self._observe = observe
        self._pending = bytearray()
        self._start = 0
        self._safe = 0
        self._holding = False
        self.broken = False
        self.meter = Meter()

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from upstream; return those that may leave now. Raises TooLong."""
        events = self.splitter.feed(chunk)
        if not self._pending and events and events[-1].end - self._start == len(chunk):
            self._see(events)
            if self._safe - self._start == len(chunk):
                self._start = self._safe
                return chunk
        else:
            self._see(events)
        self._pending += chunk
        return self._leave()

    def close(self) -> None:
        """Upstream has ended: read what the splitter still held."""
        self._see(self.splitter.close())
        if self.partial and self.meter.events:
            self.meter.done = True

    @property
    def open(self) -> bool:
        """Whether one of several candidates has not finished, though another has."""
        return 0 < self._most >= len(self._finished) and not self.meter.done

    @property
    def held(self) -> bytes:
        """The bytes that have not left: the end of a whole answer, or the broken rest of another."""
        return bytes(self._pending)

    @property
    def fault(self) -> Fault | None:
        """The error object that upstream put into the stream."""
        return self.meter.fault

    def _see(self, events: list[Event]) -> None:
        for event in events:
            if self.broken:
                return
            seen = self._observe(event.data, event.name)
            self.meter.add(seen)
            if seen.fault is not None or seen.garbage:
                self.broken = True
            else:
                if self._counts:
                    self.chars += visible(event.data)
                if _ANOTHER.search(event.data):
                    self._count(event.data)
                elif seen.finish:
                    self._finished.add(0)
                if (seen.finish or seen.block or seen.done) and not self.open:
                    self._holding = True
            if not self._holding and not self.broken:
                self._safe = event.end

    def _count(self, data: bytes) -> None:
        """Note which candidates there are, and which have finished."""
        with contextlib.suppress(msgspec.DecodeError):
            found = _candidates.decode(data)
            for row in (*found.candidates, *found.choices):
                self._most = max(self._most, row.index)
                if row.finishReason or row.finish_reason:
                    self._finished.add(row.index)

    def _leave(self) -> bytes:
        count = self._safe - self._start
        if not count:
            return b""
        out = bytes(self._pending[:count])
        del self._pending[:count]
        self._start = self._safe
        return out
