"""Why the store cannot take a batch, told from what SQLite and the file system say."""

from __future__ import annotations

import enum
import sqlite3
from typing import Final


class Fault(enum.StrEnum):
    """What keeps the store down. The value is shown in health and in refusals."""

    LOCKED = "locked by another program"
    FULL = "disk full"
    READONLY = "file cannot be written"
    GONE = "file is gone or was replaced"
    CORRUPT = "file is damaged or no database"
    SCHEMA = "file has another schema"
    IO = "disk error"
    BEHIND = "catching up with the spill file"
    CLOSED = "closed"

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return _REMEDIES[self]


class AnotherSchema(sqlite3.DatabaseError):
    """The file is not of this gemgate's schema."""


_REMEDIES: Final = {
    Fault.LOCKED: "End the write transaction of the program that holds the database file.",
    Fault.FULL: "Make room on the disk of the data folder.",
    Fault.READONLY: "Make the database file and its folder writable for the user gemgate runs as.",
    Fault.GONE: "Put the database file back; to begin a new one, restart gemgate.",
    Fault.CORRUPT: "Stop gemgate and restore the database file from a backup.",
    Fault.SCHEMA: "Restart gemgate: it brings the file to its schema, or says which release is needed.",
    Fault.IO: "Check the disk of the data folder; the system's log names the fault.",
    Fault.BEHIND: "Wait: rows are being moved from the spill file.",
    Fault.CLOSED: "gemgate is stopping.",
}

_PRIMARY: Final = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_READONLY: Fault.READONLY,
    sqlite3.SQLITE_PERM: Fault.READONLY,
    sqlite3.SQLITE_AUTH: Fault.READONLY,
    sqlite3.SQLITE_CANTOPEN: Fault.GONE,
    sqlite3.SQLITE_CORRUPT: Fault.CORRUPT,
    sqlite3.SQLITE_NOTADB: Fault.CORRUPT,
    sqlite3.SQLITE_FORMAT: Fault.CORRUPT,
    sqlite3.SQLITE_IOERR: Fault.IO,
    sqlite3.SQLITE_PROTOCOL: Fault.IO,
    sqlite3.SQLITE_NOLFS: Fault.FULL,
    sqlite3.SQLITE_NOMEM: Fault.IO,
    sqlite3.SQLITE_SCHEMA: Fault.SCHEMA,
}


def diagnose(error: sqlite3.Error) -> Fault | None:
    """The store's fault, or None when the statement or its values were at fault."""
    if isinstance(error, AnotherSchema):
        return Fault.SCHEMA
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_READONLY and code == sqlite3.SQLITE_READONLY_DBMOVED:
        return Fault.GONE
    if primary == sqlite3.SQLITE_ERROR and str(error).startswith(("no such table", "no such column")):
        return Fault.SCHEMA  # SQLite has no code of its own for it
    return _PRIMARY.get(primary)
