"""The tap on a stream: reads events, gives back the bytes that may leave, holds the end.

Laws:

- bytes leave unchanged and only at event bounds, so that an error can be appended at any moment;
- from the first event on that ends the answer (a finish reason, a block, a closing marker) everything is held:
  the end of an answer leaves only after its row is committed;
- from the first event on that is no answer (an error object, garbage) nothing leaves any more: the fault is
  shown in the stream's own form instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gemgate.core.meter import Fault, Meter, Seen
from gemgate.dialects.sse import Event


class Splitter(Protocol):
    """What the tap needs of ``Feed`` and ``ArrayFeed``."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Events completed by this chunk. Raises TooLong."""
        ...

    def close(self) -> list[Event]:
        """Events completed by the end of the stream."""
        ...


class Tap:
    """Reads one stream. ``observe`` turns an event's data and name into what it says."""

    __slots__ = ("_holding", "_observe", "_pending", "_safe", "_start", "broken", "meter", "splitter")

    def __init__(self, feed: Splitter, observe: Callable[[bytes, str], Seen]) -> None:
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
            elif seen.finish or seen.block or seen.done:
                self._holding = True
            if not self._holding and not self.broken:
                self._safe = event.end

    def _leave(self) -> bytes:
        count = self._safe - self._start
        if not count:
            return b""
        out = bytes(self._pending[:count])
        del self._pending[:count]
        self._start = self._safe
        return out
