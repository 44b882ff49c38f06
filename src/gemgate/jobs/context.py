"""What a job works with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gemgate.config import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The settings, and the event that is set when the process is to end: a job that takes long looks at it.

    ``at_end`` is called, in any order, when no job is under way any more: a job that keeps a file open between runs
    puts the closing of it there.
    """

    settings: Settings
    stopping: threading.Event = field(default_factory=threading.Event)
    at_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.settings.data

    @property
    def database(self) -> Path:
        """The SQLite file of the record."""
        return self.settings.database
