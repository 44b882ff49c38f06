"""Event streams of the console: how many at once.

Each holds one of waitress's threads for as long as its client listens, so half of the threads stay for everything
else: with all of them in streams no other request would be answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from flask import Response

from gemgate.api.problems import Problem

MOST: Final = 24
"""The most streams at once."""
RETRY: Final = 5.0

_slots = threading.BoundedSemaphore(MOST)


def stream(events: Iterator[bytes], media: str = "text/event-stream") -> Response:
    """An answer that sends ``events`` as they come; ``events.close()`` is called when the client leaves.

    Raises Problem 503 TOO_MANY_STREAMS with Retry-After when there are ``MOST`` already.
    """
    if not _slots.acquire(blocking=False):
        detail = f"There are {MOST} event streams already, which is the most that the console serves."
        raise Problem(503, "TOO_MANY_STREAMS", detail, "Close one, or ask again later.", retry_after=RETRY)
    made = Response(_Held(events), content_type=f"{media}; charset=utf-8", direct_passthrough=True)
    made.headers["Cache-Control"] = "no-store"
    made.headers["X-Accel-Buffering"] = "no"  # a proxy in front must not collect events
    return made


class _Held:
    """The events, with the slot that is given back once: at their end, or when the answer is closed."""

    def __init__(self, events: Iterator[bytes]) -> None:
        self._events = events
        self._held = True
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        """Called by the server however the answer ended."""
        with self._lock:
            held, self._held = self._held, False
        if not held:
            return
        try:
            close = getattr(self._events, "close", None)
            if close is not None:
                close()
        finally:
            _slots.release()
