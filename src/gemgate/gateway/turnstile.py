"""The line before the brakes: calls that wait until what bars them gives way.

Laws:

- who waits, waits for one thing at a time, in the order of arrival; whoever is let on to the next obstacle keeps its
  place by its number;
- one look at the line serves all: on a tick while anybody waits, and when something was freed;
- one that is refused for good leaves at once, however much patience it has;
- leaving, for whatever reason, gives back what was taken and not used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import msgspec

from gemgate.core.budget import Bar
from gemgate.core.errors import Refused
from gemgate.core.line import Line
from gemgate.core.windows import SECOND, Ahead, Bucket
from gemgate.gateway.clock import Clock
from gemgate.gateway.entry import Entry

TICK = 0.05  # seconds, on the gateway's clock
SHORTEST = 0.005  # real seconds between two looks
_NOBODY = Ahead()


class Met(msgspec.Struct, frozen=True):
    """What bars a call for now: the queue it waits in, and how it is named when patience ends.

    ``bar`` for a budget; ``window`` with ``at`` (when it has room, UTC µs) and ``tokens`` for a key's minute;
    ``wait`` (seconds, a guess) for calls under way.
    """

    place: Bucket
    bar: Bar | None = None
    window: str = ""
    at: int = 0
    tokens: int = 0
    wait: float = 0.0


Admit = Callable[[Entry, int, int], Met | Bar | None]


class Waiter:
    """One call in line, with what bars it now."""

    __slots__ = ("done", "end", "entry", "met", "number")

    def __init__(self, entry: Entry, met: Met, done: asyncio.Future[None]) -> None:
        self.entry = entry
        self.met = met
        self.done = done
        self.number = 0
        self.end: Bar | Refused | None = None


class Turnstile:
    """The line of one gateway; its clockwork runs only while somebody waits.

    ``admit(entry, number, now)`` takes all that a call needs or says what bars it (a final ``Bar``, or ``Met``);
    ``undo`` gives back what was taken for one that has left.
    """

    def __init__(self, clock: Clock, admit: Admit, undo: Callable[[Entry], None]) -> None:
        self._clock = clock
        self._admit = admit
        self._undo = undo
        self._line = Line()
        self._waiters: dict[int, Waiter] = {}
        self._numbers = count(1)
        self._timer: asyncio.Handle | None = None
        self._soon = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def ahead(self, place: Bucket, number: int) -> Ahead:
        """Who waits there before the call of this number, or before a newcomer (0)."""
        return self._line.ahead(place, number) if self._waiters else _NOBODY

    async def wait(self, entry: Entry, met: Met, patience: float) -> Met | Bar | None:
        """Wait until the call is let in, at most ``patience`` seconds.

        None: it is in. A ``Bar``: a budget bars it for good. ``Met``: what bars it still. Raises Refused.
        """
        now = self._clock.now()
        if patience <= 0 or met.at > now + patience * SECOND:
            return met
        loop, who = asyncio.get_running_loop(), next(self._numbers)
        waiter = self._waiters[who] = Waiter(entry, met, loop.create_future())
        waiter.number = self._line.join(who, (met.place,), (met.tokens,), now)
        self._wind()
        try:
            # Not ``wait_for``: on Python 3.11 it lets a cancellation go unheard when room comes at the same time.
            async with asyncio.timeout(self._clock.real(patience)):
                await waiter.done
        except TimeoutError:
            pass
        except BaseException:
            if waiter.done.done() and waiter.end is None and not waiter.done.cancelled():
                self._undo(entry)
            raise
        finally:
            del self._waiters[who]
            self._line.leave(who)
        if isinstance(waiter.end, Refused):
            raise waiter.end
        return waiter.end if waiter.done.done() and not waiter.done.cancelled() else waiter.met

    def look(self) -> None:
        """Let those on for whom the way is free, in their order."""
        now = self._clock.now()
        closed: set[Bucket] = set()
        for who, place in self._line.ready(lambda place, _: place not in closed):
            waiter = self._waiters[who]
            if waiter.done.done():
                self._line.decline(who)
                continue
            found = self._tried(waiter, now)
            if not isinstance(found, Met):
                waiter.end = found
                self._line.leave(who)
                waiter.done.set_result(None)
                continue
            waiter.met = found
            if found.place == place:
                closed.add(place)
            else:
                self._line.join(who, (found.place,), (found.tokens,), now, waiter.number)
            self._line.decline(who)

    def _tried(self, waiter: Waiter, now: int) -> Met | Bar | Refused | None:
        try:
            return self._admit(waiter.entry, waiter.number, now)
        except Refused as refused:
            return refused

    def poke(self) -> None:
        """Something was freed: look in this turn of the loop, but once."""
        if self._waiters and not self._soon:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_soon(self._turn)
            self._soon = True

    def _turn(self) -> None:
        self._timer = None
        self._soon = False
        self.look()
        self._wind()

    def _wind(self) -> None:
        if self._waiters and self._timer is None:
            pause = max(SHORTEST, self._clock.real(TICK))
            self._timer = asyncio.get_running_loop().call_later(pause, self._turn)
