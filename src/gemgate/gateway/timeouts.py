"""How long a call waits for upstream."""

from __future__ import annotations

from typing import NamedTuple


class Timeouts(NamedTuple):
    """Seconds that upstream may take: to the first byte, between two bytes, altogether."""

    first_byte: float
    stall: float
    total: float
