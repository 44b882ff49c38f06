"""A data folder with a fresh file of today's schema, a boot in it, and what calls look like."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemgate.store import boots, connection, migrate, prices
from gemgate.store.connection import Connection
from gemgate.store.database import FILE

# pytest's importlib mode puts no test folder on the path; what tests share is imported by name all the same.
sys.path.insert(0, str(Path(__file__).parent))

from sampled import BOOK, START, identity


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file with the price book in it, to copy: migrating takes most of a second."""
    path = tmp_path_factory.mktemp("blank") / FILE
    assert migrate.upgrade(path)
    conn = connection.writer(path)
    conn.execute("BEGIN IMMEDIATE")
    prices.sync(conn, BOOK.in_force(START), "the tests' book", START)
    conn.keep()
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    conn.close()
    return path


@pytest.fixture
def data(tmp_path: Path, blank: Path) -> Path:
    """A data folder."""
    shutil.copy(blank, tmp_path / FILE)
    return tmp_path


@pytest.fixture
def conn(data: Path) -> Iterator[Connection]:
    """The ledger's connection to the folder's file, inside a transaction."""
    conn = connection.writer(data / FILE)
    conn.execute("BEGIN IMMEDIATE")
    yield conn
    conn.close()


@pytest.fixture
def boot(data: Path) -> Iterator[boots.Boot]:
    """A living boot."""
    boot = boots.begin(data, identity())
    yield boot
    boot.release()
