"""A small record behind the API's app."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sampled import BOOK, START

from gemgate.api.app import build
from gemgate.config import Settings
from gemgate.core.call import Record
from gemgate.store import connection, ledger, migrate, prices
from gemgate.store.connection import Connection


def blank(folder: Path) -> Settings:
    """The settings of a folder with an empty record and a price book in it."""
    settings = Settings(data=folder)
    migrate.upgrade(settings.database)
    with writing(settings) as conn:
        prices.sync(conn, BOOK.in_force(START), "the tests' book", START)
    return settings


@contextlib.contextmanager
def writing(settings: Settings) -> Iterator[Connection]:
    """A connection in one transaction; it waits for its turn where a console's jobs write too."""
    conn = connection.visitor(settings.database)
    try:
        conn.execute("BEGIN IMMEDIATE")
        yield conn
        conn.keep()
    finally:
        conn.close()


def settle(settings: Settings, records: Sequence[Record]) -> None:
    """Record calls."""
    with writing(settings) as conn:
        ledger.settle(conn, records)


__all__ = ["blank", "build", "settle", "writing"]
