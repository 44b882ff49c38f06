"""The secret of one installation: 32 random bytes in the data folder, readable by its user alone.

It keys the hashes in the record, so that they say nothing outside this installation, and lets the processes of
one data folder know each other.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

FILE = "secret"
SIZE = 32


def installation_secret(data: Path) -> bytes:
    """The secret of this data folder, made at first use. Raises OSError, or ValueError for a damaged file."""
    path = data / FILE
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    fresh = data / f".{FILE}-{os.getpid()}"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
        # A link does not replace: of two processes that begin together one wins, and both read the winner's.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        os.unlink(fresh)
    return _read(path)


def _read(path: Path) -> bytes:
    found = path.read_bytes()
    if len(found) != SIZE:
        raise ValueError(f"{path} is damaged: it should hold {SIZE} bytes. Remove it to have a new one made.")
    return found
