"""The waiting room: calls for which no target stands now.

Laws:

- who waits for room waits in line, in the order of arrival; room that comes is taken for them at once, before
  they wake, so that nobody overtakes;
- who waits only for a breaker wakes when one of its targets stands;
- one look at the line serves all: on a tick while anybody waits, and when the board says that a way may have
  opened;
- leaving, for whatever reason, gives back room that was taken and not used.
"""

from __future__ import annotations

import asyncio
from itertools import count, islice

from gemgate.core.quota import NEVER, Bucket
from gemgate.core.routing import Target
from gemgate.gateway.board import Board, Sight
from gemgate.gateway.ticket import Trial

TICK = 0.05  # seconds, on the gateway's clock
MOST_SHOWN = 100  # calls of the line that the state names
SHORTEST = 0.005  # real seconds between two looks


class Waiter:
    """One call in the room, with the targets it waits for, each with the bucket that lacks room."""

    __slots__ = ("done", "sight", "since", "targets", "trial")

    def __init__(
        self, sight: Sight, targets: dict[Target, Bucket], done: asyncio.Future[None], since: int
    ) -> None:
        self.sight = sight
        self.targets = targets
        self.done = done
        self.since = since
        self.trial: Trial | None = None


class Waiting:
    """The room of one gateway; its clockwork runs only while somebody waits."""

    def __init__(self, board: Board) -> None:
        self.waiters: dict[int, Waiter] = {}
        self._watched: dict[int, tuple[Target, ...]] = {}  # barred by a breaker when their call came in
        self._board = board
        self._numbers = count(1)
        self._timer: asyncio.TimerHandle | None = None
        board.poke = self._poke

    async def wait(self, sight: Sight, targets: tuple[Target, ...], seconds: float) -> Trial | None:
        """Wait until one of the targets may be tried, at most ``seconds``.

        Returns the hold of a try that room was taken for, as a trial whose target says where; None when there is
        none: the time is over, or a breaker let somebody through.
        """
        board = self._board
        loop = asyncio.get_running_loop()
        who = next(self._numbers)
        roomy = {target: sight.barred(target) for target in targets if sight.standing(target).room}
        waiter = self.waiters[who] = Waiter(sight, roomy, loop.create_future(), board.clock.now())
        if len(roomy) < len(targets):
            self._watched[who] = tuple(target for target in targets if target not in roomy)
        sight.number = board.line.join(
            who,
            tuple(roomy.values()),
            tuple(sight.tokens(target) for target in roomy),
            board.clock.now(),
            sight.number,
        )
        board.waiters = len(self.waiters)
        self._wind()
        try:
            # Not ``wait_for``: on Python 3.11 it lets a cancellation go unheard when room comes at the same time.
            async with asyncio.timeout(board.clock.real(seconds)):
                await waiter.done
        except TimeoutError:
            pass
        except BaseException:
            if waiter.trial is not None:
                board.unused(waiter.trial)
            raise
        finally:
            del self.waiters[who]
            board.waiters = len(self.waiters)
            self._watched.pop(who, None)
            board.line.leave(who)
        return waiter.trial

    def shown(self) -> list[dict[str, object]]:
        """Who waits, in line order: place, targets, ms waited so far and ms until room is expected."""
        board = self._board
        now = board.clock.now()
        rows: list[dict[str, object]] = []
        # Whom room was granted has left the line, and has only to wake.
        waiting = ((who, waiter) for who, waiter in self.waiters.items() if waiter.trial is None)
        for who, waiter in islice(waiting, MOST_SHOWN):
            rooms = [
                board.quota.room(
                    bucket, waiter.sight.tokens(target), now, board.line.ahead_of(who, bucket)
                ).at
                for target, bucket in waiter.targets.items()
            ]
            room = min(rooms, default=NEVER)
            rows.append(
                {
                    "position": board.line.position(who),
                    "targets": [target.name for target in waiter.targets or self._watched.get(who, ())],
                    "waited_ms": (now - waiter.since) // 1000,
                    "expected_ms": max(0, room - now) // 1000 if room < NEVER else None,
                }
            )
        return rows

    def look(self) -> None:
        """Let those go for whom a way is open, in their order."""
        board = self._board
        now = board.clock.now()
        for who, bucket in board.line.ready(
            lambda bucket, tokens: board.quota.room(bucket, tokens, now).at <= now
        ):
            waiter = self.waiters[who]
            target = next(
                (one for one, its in waiter.targets.items() if its == bucket and waiter.sight.fits(one, now)),
                None,
            )
            if target is None or waiter.done.done():
                board.line.decline(who)
                continue
            waiter.trial = Trial(0, target, now)
            waiter.trial.holds = waiter.sight.charge(target, now)
            board.line.leave(who)
            waiter.done.set_result(None)
        for who, watched in self._watched.items():
            waiter = self.waiters[who]
            if not waiter.done.done() and any(
                board.health.open_at(target, now)[0] <= now for target in watched
            ):
                waiter.done.set_result(None)

    def _poke(self) -> None:
        """A way may have opened: look in this turn of the loop, but once."""
        if self.waiters and self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(0, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self.look()
        self._wind()

    def _wind(self) -> None:
        if self.waiters and self._timer is None:
            pause = max(SHORTEST, self._board.clock.real(TICK))
            self._timer = asyncio.get_running_loop().call_later(pause, self._turn)
