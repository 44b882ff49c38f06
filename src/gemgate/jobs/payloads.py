"""Takes stored bodies away: those whose time is over, and the oldest while all together take too much room."""

from __future__ import annotations

import contextlib
import time
from typing import Final

from gemgate.jobs.context import Context
from gemgate.store import payloads
from gemgate.store.connection import Connection, reader, sliced, visitor

PERIOD: Final = 30.0
"""Seconds between two looks."""


def run(context: Context) -> str:
    """One look. What is found goes in short slices with pauses, until the process is to end."""
    part = context.settings.payloads
    now = time.time_ns() // 1000
    oldest = now - round(part.keep * 1_000_000)
    with contextlib.closing(reader(context.database)) as conn:
        if not payloads.over(conn, now, oldest, part.max_bytes):
            return ""
    gone = 0

    def step(inside: Connection) -> bool:
        """One body."""
        nonlocal gone
        more = payloads.forget_one(inside, now, oldest, part.max_bytes)
        gone += more
        return more and not context.stopping.is_set()

    with contextlib.closing(visitor(context.database)) as conn:
        sliced(conn, step)
    return f"{gone:,} stored bodies were taken away."
