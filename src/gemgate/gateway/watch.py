"""Calls under way are watched for two things: a client that left, and an upstream that fell silent.

Laws:

- one sweep, four times a second, looks at all calls; a call costs no timer and no task of its own while it is
  young, so watching a short call is free;
- a call older than one sweep gets a task that waits for the client's hang-up: noticed at once from then on;
- the sweep ends a call only by cancelling its task with a cause noted first, and only while it is armed;
- ``limit`` turns a cancellation that the sweep caused for lateness into ``TransportFault``; a cancellation for
  a client that left, or for shutdown, passes through unchanged.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.gateway.exchange import Receive
from gemgate.upstream.client import TransportFault

TICK = 0.25


class Vigil:
    """One call under watch."""

    __slots__ = (
        "_armed",
        "_deadline",
        "_expires",
        "_gone",
        "_late",
        "_listener",
        "_loop",
        "_over",
        "_receive",
        "_span",
        "_task",
        "_watch",
    )

    def __init__(self, watch: Watch, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._watch = watch
        self._receive = receive
        self._loop = loop
        self._task = task
        self._listener: asyncio.Task[None] | None = None
        self._deadline = 0.0
        self._expires = 0.0
        self._span: tuple[str, float] = ("", 0.0)
        self._late = False
        self._gone = False
        self._armed = False
        self._over = False

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._gone

    def arm(self) -> None:
        """Begin to watch: the request's body has been read whole, so ``receive`` now means a hang-up.

        Upstream may have answered before the body was through: a call that is over is not watched again.
        """
        if self._over:
            return
        self._armed = True
        self._watch.calls.add(self)

    def disarm(self) -> None:
        """From here on nothing may interrupt: the call is being recorded."""
        self._over = True
        self._armed = False
        self._watch.calls.discard(self)
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None

    def expire(self, seconds: float) -> None:
        """The try that begins now may take this long altogether, however lively upstream is."""
        self._expires = self._loop.time() + seconds

    def limit(self, name: str, seconds: float) -> Vigil:
        """Use as ``with vigil.limit("stall", 120):`` around waiting for upstream. ``beat`` starts it anew."""
        self._span = (name, seconds)
        return self

    def beat(self) -> None:
        """Upstream gave a sign of life."""
        self._deadline = self._loop.time() + self._span[1]

    def pause(self) -> None:
        """We are not waiting for upstream now (the client is slow): no deadline runs."""
        self._deadline = 0.0

    def __enter__(self) -> Vigil:
        self._deadline = self._loop.time() + self._span[1]
        if not self._armed:
            self._watch.calls.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline = 0.0
        if not self._armed:
            self._watch.calls.discard(self)
        if self._late:
            self._late = False
            self._task.uncancel()
            if isinstance(error, asyncio.CancelledError):
                raise TransportFault(_late(*self._span)) from None

    def sweep(self, now: float) -> None:
        """Look at this call once (the watch calls this)."""
        if self._deadline and not self._late and not self._gone and now > min(self._deadline, self._expires):
            if now > self._expires:
                self._span = ("total_timeout", now - self._expires)
            self._late = True
            self._deadline = 0.0
            self._task.cancel()
        elif self._armed and self._listener is None and not self._gone:
            self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        # Pieces of a body that upstream refused before it was whole are of no more use.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._listener = None
        if self._armed and not self._late:
            self._gone = True
            self._task.cancel()


class Watch:
    """All calls under watch, and the task that sweeps them."""

    def __init__(self) -> None:
        self.calls: set[Vigil] = set()
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sweep, on the running loop."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    def stop(self) -> None:
        """End the sweeping."""
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            for vigil in list(self.calls):
                vigil.sweep(now)


def _late(name: str, seconds: float) -> Verdict:
    """The verdict on an upstream that was silent for too long."""
    message = f"The upstream was silent for {seconds:g} seconds."
    if name == "total_timeout":
        message = "The answer took longer than upstream.total_timeout allows."
    return Verdict(
        kind=Kind.BROKEN,
        status=504,
        reason=name,
        message=message,
        scope=Scope.TARGET,
        billed=True,
    )
