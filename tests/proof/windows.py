"""Our own, slow model of Google's minute windows, by which answers and refusals are judged afterwards."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

MINUTE = 60.0


class Limit(NamedTuple):
    """Most requests and most input tokens in any 60 seconds."""

    requests: int
    tokens: int


class Sent(NamedTuple):
    """One request that was let in: when, and its input tokens."""

    at: float
    tokens: int


class Use:
    """What was let in, to be asked how full the window was at any moment."""

    def __init__(self, sent: Iterable[Sent]) -> None:
        ordered = sorted(sent)
        self._times = [one.at for one in ordered]
        self._sums = [0, *accumulate(one.tokens for one in ordered)]

    def at(self, moment: float, span: float = MINUTE) -> tuple[int, int]:
        """Requests and tokens of the ``span`` seconds that end with ``moment``."""
        first, last = bisect_right(self._times, moment - span), bisect_right(self._times, moment)
        return last - first, self._sums[last] - self._sums[first]

    def fits(self, moment: float, tokens: int, limit: Limit, span: float = MINUTE) -> bool:
        """Whether one more request of ``tokens`` has room at ``moment``."""
        requests, used = self.at(moment, span)
        return requests < limit.requests and used + tokens <= limit.tokens


def served(arrivals: Sequence[Sent], limit: Limit, patience: float, span: float = MINUTE) -> int:
    """How many calls a queue in the order of arrival can serve when each waits at most ``patience`` seconds."""
    window: deque[Sent] = deque()
    tokens, last, count = 0, 0.0, 0
    for at, size in arrivals:
        start = max(at, last)
        kept, left = list(window), tokens
        gone = 0
        while gone < len(kept) and (
            kept[gone].at + span <= start or len(kept) - gone >= limit.requests or left + size > limit.tokens
        ):
            start = max(start, kept[gone].at + span)
            left -= kept[gone].tokens
            gone += 1
        if start > at + patience or size > limit.tokens:
            continue
        for _ in range(gone):
            window.popleft()
        window.append(Sent(start, size))
        tokens, last, count = left + size, start, count + 1
    return count
