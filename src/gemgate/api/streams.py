"""Event streams of the console: how many at once, and how they end.

Each holds one of waitress's threads for as long as its client listens, so half of the threads stay for everything
else: with all of them in streams no other request would be answered. A stream whose making costs something takes its
place first. When the process leaves, its streams end: waitress would wait for their threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

from flask import Response

from gemgate.api.problems import Problem

MOST: Final = 24
"""The most streams at once."""
RETRY: Final = 5.0

_slots = threading.BoundedSemaphore(MOST)
_leaving = threading.Event()
_open: set[Place] = set()


class Place:
    """A place for one stream; it is given back once, however often it is said.

    ``wake`` is called when the process leaves: who waits for another thing than ``rest`` must come to an end by it.
    """

    def __init__(self) -> None:
        """Take it. Raises Problem 503 TOO_MANY_STREAMS with Retry-After when there are ``MOST`` streams already."""
        if not _slots.acquire(blocking=False):
            detail = f"There are {MOST} event streams already, which is the most that the console serves."
            raise Problem(
                503, "TOO_MANY_STREAMS", detail, "Close one, or ask again later.", retry_after=RETRY
            )
        self.wake: Callable[[], None] = lambda: None
        self._taken = True
        self._lock = threading.Lock()
        _open.add(self)

    def give_back(self) -> None:
        """Let another stream have it."""
        with self._lock:
            taken, self._taken = self._taken, False
        if taken:
            _open.discard(self)
            _slots.release()


def stream(events: Iterator[bytes], place: Place | None = None) -> Response:
    """An answer that sends ``events`` as they come; ``events.close()`` is called when the client leaves. ``place`` is
    one that was taken before.

    Raises Problem 503 TOO_MANY_STREAMS, see ``Place``.
    """
    made = Response(
        _Held(events, place or Place()),
        content_type="text/event-stream; charset=utf-8",
        direct_passthrough=True,
    )
    made.headers["Cache-Control"] = "no-store"
    made.headers["X-Accel-Buffering"] = "no"  # a proxy in front must not collect events
    return made


def rest(seconds: float) -> None:
    """Wait so long, or until the process leaves."""
    _leaving.wait(seconds)


def leave() -> None:
    """End all streams, for the process leaves."""
    _leaving.set()
    for place in tuple(_open):
        place.wake()


class _Held:
    """The events, with the place that is given back at their end, or when the answer is closed."""

    def __init__(self, events: Iterator[bytes], place: Place) -> None:
        self._events = events
        self._place = place
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if _leaving.is_set():
            raise StopIteration
        return next(self._events)

    def close(self) -> None:
        """Called by the server however the answer ended."""
        if self._closed:
            return
        self._closed = True
        try:
            close = getattr(self._events, "close", None)
            if close is not None:
                close()
        finally:
            self._place.give_back()
