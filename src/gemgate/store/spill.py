"""The file that takes what the store cannot: append-only, one per boot.

Laws:

- a frame is its length, the CRC-32 of its bytes (both 32 bits, little end first) and the bytes;
- ``append`` returns after the whole of it is with the kernel (on the disk when ``sync``), or raises and leaves
  no trace: a half-written tail is cut off before anything follows it;
- a tail torn by a crash was never answered for, so readers stop before it and lose nothing.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("<II")
_MOST: Final = 64 * 1024 * 1024  # a longer frame is no frame: the length itself is torn
FOLDER: Final = "spill"


class Spill:
    """One spill file. ``frames`` counts what waits in it, ``offset`` is how far it was moved into the store."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self.path = path
        self.frames = 0
        self.offset = 0
        self._sync = sync
        self._file = -1
        self._size = 0

    def load(self) -> None:
        """Count what an earlier process left. Raises OSError."""
        self._open()
        self.frames = 0
        at = 0
        while (found := self._read(at)) is not None:
            at = found[1]
            self.frames += 1
        self._size = at

    def append(self, frames: Iterable[bytes]) -> None:
        """Add frames, all or none. Raises OSError when they cannot be kept."""
        count = 0
        parts = bytearray()
        for frame in frames:
            parts += _HEAD.pack(len(frame), zlib.crc32(frame))
            parts += frame
            count += 1
        if self._file < 0:
            self._open()
        os.ftruncate(self._file, self._size)
        try:
            written = 0
            while written < len(parts):
                written += os.pwrite(self._file, memoryview(parts)[written:], self._size + written)
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            # What is left of the attempt is cut off here, or at the next append.
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(parts)
        self.frames += count

    def take(self, at: int, most: int) -> tuple[list[bytes], int]:
        """The frames from offset ``at`` on, and the offset after them; nothing changes until ``moved``."""
        frames: list[bytes] = []
        while len(frames) < most and at < self._size and (found := self._read(at)) is not None:
            frames.append(found[0])
            at = found[1]
        return frames, at

    def moved(self, count: int, offset: int) -> None:
        """These frames are in the store."""
        self.frames -= count
        self.offset = offset

    def empty(self) -> None:
        """All is in the store: begin anew. Raises OSError."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            if self._sync:
                os.fdatasync(self._file)
        self.frames = self.offset = self._size = 0

    def close(self) -> None:
        """Close the file; one without frames is removed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            if not self.frames:
                self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if new and self._sync:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _read(self, at: int) -> tuple[bytes, int] | None:
        head = os.pread(self._file, _HEAD.size, at)
        if len(head) < _HEAD.size:
            return None
        length, check = _HEAD.unpack(head)
        if length > _MOST:
            return None
        frame = os.pread(self._file, length, at + _HEAD.size)
        if len(frame) < length or zlib.crc32(frame) != check:
            return None
        return frame, at + _HEAD.size + length


def path_of(data: Path, boot: bytes) -> Path:
    """Where the boot's spill file is."""
    return data / FOLDER / f"{boot.hex()}.spill"


def left(data: Path) -> list[tuple[bytes, Path]]:
    """All spill files with their boots, oldest boot first."""
    found = []
    for path in sorted((data / FOLDER).glob("*.spill")):
        # Not everything that lies there need be ours.
        with contextlib.suppress(ValueError):
            found.append((bytes.fromhex(path.stem), path))
    return found


def reject(spill: Spill, frame: bytes) -> None:
    """Put a frame aside that the store will never take, so that it neither blocks the others nor is lost."""
    aside = Spill(spill.path.with_suffix(".rejected"), sync=True)
    aside.load()
    try:
        aside.append([frame])
    finally:
        aside.close()
