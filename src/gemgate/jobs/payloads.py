"""Takes stored bodies away: those whose time is over, and the oldest while all together take too much room."""

from __future__ import annotations

import contextlib
from typing import Final

from gemgate.jobs.context import Context
from gemgate.store import payloads
from gemgate.store.connection import visitor

PERIOD: Final = 30.0
"""Seconds between two looks."""


def run(context: Context) -> str:
    """One look. What is found goes in short slices with pauses, until the process is to end."""
    part = context.settings.payloads
    with contextlib.closing(visitor(context.database)) as conn:
        gone = payloads.tidy(conn, part.keep, part.max_bytes, context.stopping.is_set)
    return f"{gone:,} stored bodies were taken away." if gone else ""
