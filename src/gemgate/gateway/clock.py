"""The gateway's clock: UTC microseconds, and how long to wait in real seconds for a span of it.

It is the system's clock. A test may let it run faster from a moment of its own, so that an hour of quota windows
passes in minutes; the simulator is then put on the same clock.
"""

from __future__ import annotations

from time import time, time_ns


class Clock:
    """``now()`` is ``start + (system time - epoch) * speed``; as it comes, the system's time itself."""

    __slots__ = ("_epoch", "_start", "speed")

    def __init__(self, speed: float = 1.0, epoch: float = 0.0, start: float = 0.0) -> None:
        self.speed = speed
        self._epoch = epoch
        self._start = start

    @classmethod
    def read(cls, text: str) -> Clock:
        """The clock that ``SPEED:EPOCH:START`` describes, both times in unix seconds. Raises ValueError."""
        speed, epoch, start = (float(part) for part in text.split(":"))
        if speed <= 0:
            raise ValueError("a clock's speed is above zero")
        return cls(speed, epoch, start)

    def now(self) -> int:
        """UTC microseconds."""
        if self.speed == 1.0:
            return time_ns() // 1000
        return int((self._start + (time() - self._epoch) * self.speed) * 1_000_000)

    def real(self, seconds: float) -> float:
        """Real seconds in which this clock moves on by ``seconds``."""
        return seconds / self.speed
