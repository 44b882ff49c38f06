"""What the record knows of quota and health, read at a start: of a gateway, or of somebody who asks how things stand.

What was used makes the windows as full as they are: settled tries with the tokens they had, open ones with their
estimate. What was learned and which breakers are open is as a gateway kept it last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from gemgate.core import pacific
from gemgate.core.health import State
from gemgate.core.quota import Bucket, Used, Window
from gemgate.store import quotas, uses

SECOND = 1_000_000
RECENT = 601 * SECOND  # the longest rolling window, money's


class Recalled(NamedTuple):
    """Windows and breakers as kept last, when that was (UTC µs, 0 never), and what tries used since midnight."""

    windows: list[Window]
    as_of: int
    states: list[State]
    spent: list[uses.Spent]

    def used(self, family: Callable[[str], str]) -> list[Used]:
        """What was used, by what Google counts together."""
        return [
            Used(Bucket(row.project, family(row.model)), row.sent_at, row.requests, row.tokens, row.nano)
            for row in self.spent
        ]


def recall(conn: sqlite3.Connection, now: int, margin: float) -> Recalled:
    """One look at the record; ``now`` is UTC µs, ``margin`` the seconds by which Google's clock may differ."""
    more = round(margin * SECOND)
    midnight = pacific.midnight(pacific.day_of(now))
    windows, as_of = quotas.windows(conn)
    return Recalled(
        windows,
        as_of,
        quotas.breakers(conn)[0],
        uses.since_midnight(conn, midnight - more, now - RECENT - more),
    )
