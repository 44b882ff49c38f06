"""Tries that are out, by model and project, and what their silence says after a failure.

A lane is one model on one project. A failure that stood alone looks like this: tries that were sent with it or after
it are still out, long after it came back. In an outage they would have failed, too. Nothing is certain: where
failures take very different times, slow ones look like silence for a while (``core.health`` says what that costs).

No clock: times are UTC microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from gemgate.core.quota import NEVER

LONGER = 1.5
"""So many times as long as the failure took must the oldest witness have been out."""
SHORTEST = 150_000
"""And at least so long (µs): failures do not all take the same time."""
ENOUGH = 350_000
"""The silence of all witnesses together (µs), for each failure that was heard."""
MOST_FAILURES = 2
"""After more than these no silence helps: it is an outage."""
_MOST = 64  # witnesses that are kept of one opening, the oldest ones


class Lane:
    """``good``: when the latest try was sent that succeeded (-1: none). ``out``: tries under way by sending time."""

    __slots__ = ("good", "out")

    def __init__(self) -> None:
        self.good = -1
        self.out: dict[int, int] = {}

    def ended(self, sent_at: int) -> None:
        """A try that was sent then is over. One that is unknown (it is told twice) changes nothing."""
        left = self.out.pop(sent_at, 0)
        if left > 1:
            self.out[sent_at] = left - 1


class Silence:
    """The witnesses of one opening: tries sent with the failed one or after it. Wait for ``at``."""

    __slots__ = ("_heard", "_sent", "_took", "_witnesses")

    def __init__(self, sent_at: int, took: int, lanes: Iterable[Lane]) -> None:
        found = [(sent, lane) for lane in lanes for sent in lane.out if sent >= sent_at]
        found.sort(key=_sent)
        self._witnesses = found[:_MOST]
        self._sent, self._took = sent_at, took
        self._heard = 1

    def fails(self, sent_at: int, took: int) -> bool:
        """Another failure was heard. False when it is one too many."""
        self._heard += 1
        self._took = max(self._took, took)
        self._sent = max(self._sent, sent_at)
        self._witnesses = [one for one in self._witnesses if one[0] >= self._sent]
        return self._heard <= MOST_FAILURES

    def add(self, sent_at: int, lane: Lane) -> None:
        """A try goes out in spite of all: a probe."""
        if len(self._witnesses) < _MOST and sent_at >= self._sent:
            self._witnesses.append((sent_at, lane))

    def at(self) -> int:
        """When there is silence enough, if those who are out stay out; NEVER without any."""
        if any(sent not in lane.out for sent, lane in self._witnesses):
            self._witnesses = [one for one in self._witnesses if one[0] in one[1].out]
        witnesses = self._witnesses
        if not witnesses:
            return NEVER
        # Together they have been out for (now - sent) each; the sum reaches what is enough at:
        together = -(-(ENOUGH * self._heard + sum(map(_sent, witnesses))) // len(witnesses))
        return max(together, witnesses[0][0] + max(round(LONGER * self._took), SHORTEST))


def _sent(witness: tuple[int, Lane]) -> int:
    return witness[0]
