"""Opens the record for commands that read it, and says in a sentence why that is not possible."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gemgate.cli.faults import CommandFault
from gemgate.config import Settings
from gemgate.store import version
from gemgate.store.connection import Connection, reader


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Connection]:
    """A connection that only reads. Raises CommandFault, also for what SQLite reports inside the block."""
    path = settings.database
    # Only SQLite's complaints are caught around the block: an OSError in there is the output's, not the record's.
    try:
        with contextlib.closing(_reader(path)) as conn:
            yield conn
    except sqlite3.Error as error:
        raise _unreadable(path, error) from None


def _reader(path: Path) -> Connection:
    try:
        if version.found(path) is None:
            raise CommandFault(
                f"There is no record at {path} yet. Run `gemgate serve`, or name its folder with --data."
            )
        if version.needs(path):
            raise CommandFault(
                f"{path} has an older schema. Run `gemgate serve` once: it brings it up to date."
            )
        return reader(path)
    except version.Newer as error:
        raise CommandFault(str(error)) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> CommandFault:
    return CommandFault(f"{path} cannot be read: {error}. `gemgate doctor` looks at it closer.")
