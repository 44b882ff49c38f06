"""Bring the file to the schema of this gemgate: ``needs`` is quick, ``upgrade`` does it.

``python -m gemgate.store.migrate FILE`` does it from a process of its own. Alembic and SQLAlchemy take half a
second to import, so the gateway asks ``store.version`` and runs this only when a step is due.
"""

from __future__ import annotations

import sqlite3
import sys
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from gemgate.store.boots import alone
from gemgate.store.version import HEAD, found, needs


def upgrade(path: Path) -> bool:
    """Create the file or run the steps it lacks, under the lock of the data folder. True when it was changed.

    Raises store.version.Newer when the file is of a later gemgate, TimeoutError when another process has held
    the lock for a minute, sqlite3.Error or SQLAlchemyError when the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path.parent):
        if not needs(path):
            return False
        fresh = found(path) is None
        engine = _engine(path)
        try:
            with engine.connect() as conn:
                if fresh:
                    _prepare(conn)
                config = Config()
                config.set_main_option("script_location", str(files("gemgate.store") / "migrations"))
                config.attributes["connection"] = conn
                conn.exec_driver_sql("BEGIN IMMEDIATE")
                command.upgrade(config, "head")
                conn.commit()
        finally:
            engine.dispose()
    return True


def head() -> str:
    """The newest step in the package; ``store.version.HEAD`` must name it."""
    config = Config()
    config.set_main_option("script_location", str(files("gemgate.store") / "migrations"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    assert newest is not None
    return newest


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 30.0})

    @event.listens_for(engine, "connect")
    def manual(raw: sqlite3.Connection, _record: object) -> None:
        """Leave transactions to us."""
        # Python's sqlite3 would commit before each CREATE TABLE: a step must be whole or not at all.
        raw.isolation_level = None

    return engine


def _prepare(conn: Connection) -> None:
    """What can only be set before the first table is made."""
    conn.exec_driver_sql("PRAGMA page_size = 4096")
    conn.exec_driver_sql("PRAGMA auto_vacuum = NONE")
    conn.exec_driver_sql("PRAGMA journal_mode = WAL")
    conn.rollback()


def main(arguments: list[str]) -> int:
    """The command. Prints what was done; 2 on wrong use."""
    if len(arguments) != 1:
        print("usage: python -m gemgate.store.migrate FILE", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    print(f"{path}: {'brought to' if upgrade(path) else 'already at'} schema {HEAD}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
