"""The data folder: private to its user, and served by one supervisor at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path


class FolderError(Exception):
    """A data folder that cannot be used; the text says why and what to do."""


@contextlib.contextmanager
def taken(data: Path, parts: Sequence[str]) -> Iterator[None]:
    """Hold the folder for these parts (``gateway``, ``console``); raises FolderError when that is impossible.

    The locks are the kernel's: they end with the process, however it ends.
    """
    prepare(data)
    with contextlib.ExitStack() as stack:
        for part in parts:
            try:
                handle = os.open(data / f"serve-{part}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise FolderError(_unusable(data, error)) from None
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
                raise FolderError(
                    f"A {part} runs on {data} already (process {holder or 'unknown'}). "
                    "Stop it first, or name another folder with --data."
                ) from None
            os.truncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield


def prepare(data: Path) -> None:
    """Make the folder, mode 0700, or check the one that is there. Raises FolderError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = data.stat()
        ours = not any(data.iterdir()) or (data / "serve-gateway.lock").exists()
        # A folder that holds other things may be meant for others too; files made in it are private anyway.
        if stat.S_IMODE(found.st_mode) & 0o077 and ours and found.st_uid == os.getuid():
            data.chmod(0o700)
    except OSError as error:
        raise FolderError(_unusable(data, error)) from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise FolderError(
            f"The data folder {data} cannot be written. Name another with --data, or change its owner."
        )


def _unusable(data: Path, error: OSError) -> str:
    return f"The data folder {data} cannot be used: {error.strerror}. Name another with --data."
