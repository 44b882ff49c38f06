"""The checkpoint thread: carries the write-ahead log into the file, so that the writer never has to wait for it.

A checkpoint syncs the disk, and so does the first commit after one that carried the log over whole. So it is
made when enough was written to be worth that, by the writer's own count of pages: the log's file keeps its size.

A passive checkpoint blocks nobody, but under steady writing it never meets an idle log, and only a log that was
carried over whole begins anew. So above ``_CATCH_UP`` bytes the writer is asked for the short rest.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gemgate.store import connection
from gemgate.store.boots import Boot
from gemgate.store.connection import Durability

log = logging.getLogger("gemgate.store")

_PERIOD: Final = 0.2
_WORTH: Final = 1024  # pages
_PAGE: Final = 4096
_CATCH_UP: Final = 3 * _WORTH * _PAGE


class Checkpoints:
    """The thread's state. ``wal_bytes`` is the log's size at the last look."""

    def __init__(self, path: Path, boot: Boot, durability: Durability, alarm: int) -> None:
        self.wal_bytes = 0
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._boot = boot
        self._durability = durability
        self._alarm = alarm
        self._loud = False
        self._stop = threading.Event()

    def run(self, catch_up: threading.Event, pages: Callable[[], int]) -> None:
        """The thread's life, until ``stop``. ``pages`` counts what was written so far, about."""
        # What an earlier process left in the log counts too.
        done = -(self._size() // _PAGE)
        while not self._stop.wait(_PERIOD):
            with contextlib.suppress(OSError):
                self._boot.beat()
            self.wal_bytes = self._size()
            if (written := pages()) - done >= _WORTH:
                done = written
                self._carry()
                if self.wal_bytes >= _CATCH_UP:
                    catch_up.set()
            self._watch()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()

    @property
    def alarmed(self) -> bool:
        """Whether the log is larger than it should ever be: a reader holds it open, or the disk is too slow."""
        return self.wal_bytes > self._alarm

    def _carry(self) -> None:
        # A connection of its own each time: a kept one could outlive a file that was replaced.
        try:
            conn = connection.writer(self._path, self._durability)
        except sqlite3.Error:
            return
        try:
            conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            log.debug("a checkpoint failed; the writer will meet the same fault")
        finally:
            with contextlib.suppress(sqlite3.Error):
                conn.close()

    def _watch(self) -> None:
        if self.alarmed and not self._loud:
            log.warning(
                "the write-ahead log has %d MB: some program reads for very long", self.wal_bytes >> 20
            )
        self._loud = self.alarmed

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0
