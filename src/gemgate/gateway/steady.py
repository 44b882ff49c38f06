"""The edge of what runs by itself beside the calls: a fault there ends one turn, never the running.

No call's answer would tell of a task that died, and keys, budgets and the state would stand still for as long as the
gateway runs. So everything is caught here, and said in the log: once for each kind, until a turn goes well.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

log = logging.getLogger("gemgate.gateway")


class Steady:
    """The turns of one task. ``well`` says whether the last one went well; ``what`` is what a fault means."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.well = True
        self._said: set[str] = set()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One turn: what it raises ends it, and goes no further."""
        self.well = False
        try:
            yield
        except Exception as error:  # noqa: BLE001 - what runs by itself must go on, whatever a row or a disk brings
            kind = type(error).__name__
            if kind not in self._said:
                log.warning("%s: %s: %s", self.what, kind, error)
            self._said.add(kind)
        else:
            self.well = True
            self._said.clear()
