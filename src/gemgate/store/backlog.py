"""What waits in spill files, and its way back into the store: in order, exactly once, in short slices.

Exactly once rests on two things: a slice's frames and their rows are one transaction, and every operation may
be repeated (a crash between the last commit and the emptying of the file moves it a second time, for nothing).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gemgate.store import boots, operations, spill
from gemgate.store.connection import Connection
from gemgate.store.faults import Fault

log = logging.getLogger("gemgate.store")

Transact = Callable[[Callable[[Connection], object]], Fault | Exception | None]
"""Runs work in one transaction: None when committed, the store's fault, or the exception of the value."""

_CHUNK: Final = 32  # values moved between looks at the clock
_HOLD: Final = 0.010  # seconds after which a slice ends; the law allows the lock for 20 ms


class Backlog:
    """Our own spill file and those of dead boots, which go first."""

    def __init__(self, data: Path, boot: bytes, *, sync: bool) -> None:
        self.rejected = 0
        self._data = data
        self._sync = sync
        self._own = spill.Spill(spill.path_of(data, boot), sync=sync)
        self._adopted: list[spill.Spill] = []

    @property
    def pending(self) -> bool:
        """Whether anything waits: then everything new goes behind it."""
        return bool(self._adopted) or self._own.frames > 0

    @property
    def frames(self) -> int:
        """How many values wait."""
        return self._own.frames + sum(one.frames for one in tuple(self._adopted))

    def append(self, frames: Sequence[bytes]) -> None:
        """Add values behind all others, all or none. Raises OSError."""
        self._own.append(frames)

    def adopt(self) -> None:
        """Take over the spill files of boots that are dead."""
        known = {self._own.path, *(one.path for one in self._adopted)}
        for boot, path in spill.left(self._data):
            if path in known or boots.alive(self._data, boot):
                continue
            found = spill.Spill(path, sync=self._sync)
            try:
                found.load()
            except OSError as error:
                log.error("the spill file %s cannot be read: %s", path.name, error.strerror)
                continue
            log.warning("%d values of an earlier run wait in the spill file %s", found.frames, path.name)
            self._adopted.append(found)

    def move(self, transact: Transact) -> Fault | None:
        """Move one slice into the store. The store's fault when it cannot take it."""
        source = self._adopted[0] if self._adopted else self._own
        try:
            fault = self._move_slice(source, transact)
            if fault is None and source.frames <= 0:
                self._done(source)
        except OSError as error:
            log.error("the spill file %s cannot be moved: %s", source.path.name, error.strerror)
            return Fault.IO
        return fault

    def close(self) -> None:
        """Close all files; those without values are removed."""
        for one in (*self._adopted, self._own):
            one.close()

    def _move_slice(self, source: spill.Spill, transact: Transact) -> Fault | None:
        if source.frames <= 0:
            return None
        count, offset = 0, source.offset

        def work(conn: Connection) -> None:
            """Apply frames until the slice is long enough."""
            nonlocal count, offset
            start = time.monotonic()
            while time.monotonic() - start < _HOLD:
                frames, after = source.take(offset, _CHUNK)
                if not frames:
                    break
                operations.apply(conn, [operations.decode(frame) for frame in frames])
                count, offset = count + len(frames), after

        fault = transact(work)
        if fault is None:
            if count == 0:
                log.error("the spill file %s was shortened by somebody else", source.path.name)
                count = source.frames
            source.moved(count, offset)
            return None
        if isinstance(fault, Fault):
            return fault
        return self._move_singly(source, transact)

    def _move_singly(self, source: spill.Spill, transact: Transact) -> Fault | None:
        """One value of the next chunk can never be stored: find it, put it aside, move the others."""
        for _ in range(_CHUNK):
            frames, after = source.take(source.offset, 1)
            if not frames:
                break
            frame = frames[0]
            fault = transact(lambda conn, frame=frame: operations.apply(conn, [operations.decode(frame)]))  # type: ignore[misc]
            if isinstance(fault, Fault):
                return fault
            if fault is not None:
                spill.reject(source, frame)
                self.rejected += 1
                log.error("a spilled value was put aside, the store refuses it: %s", type(fault).__name__)
            source.moved(1, after)
        return None

    def _done(self, source: spill.Spill) -> None:
        if source is self._own:
            source.empty()
        else:
            source.close()
            self._adopted.remove(source)


VALUE_FAULTS: Final = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    msgspec.MsgspecError,
)
"""What a value that cannot be written or read may raise, besides sqlite3.Error."""
