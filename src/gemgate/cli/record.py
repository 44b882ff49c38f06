"""Opens the record for commands that read it, and says in a sentence why that is not possible."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from gemgate.cli.faults import CommandFault
from gemgate.config import Settings
from gemgate.store import version
from gemgate.store.connection import Connection, reader


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Connection]:
    """A connection that only reads. Raises CommandFault, also for what SQLite reports inside the block."""
    path = settings.database
    try:
        if version.found(path) is None:
            raise CommandFault(
                f"There is no record at {path} yet. Run `gemgate serve`, or name its folder with --data."
            )
        if version.needs(path):
            raise CommandFault(
                f"{path} has an older schema. Run `gemgate serve` once: it brings it up to date."
            )
        with contextlib.closing(reader(path)) as conn:
            yield conn
    except version.Newer as error:
        raise CommandFault(str(error)) from None
    except (sqlite3.Error, OSError) as error:
        raise CommandFault(f"{path} cannot be read: {error}. `gemgate doctor` looks at it closer.") from None
