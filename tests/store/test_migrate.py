"""The schema's history: it ends where ``schema`` is, refuses what is newer, and is quick to ask."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gemgate.store import boots, migrate, version
from gemgate.store.database import FILE
from gemgate.store.schema import metadata


def test_the_history_ends_at_the_schema(data: Path) -> None:
    engine = create_engine(f"sqlite:///{data / FILE}")
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    engine.dispose()
    assert migrate.head() == version.HEAD


def test_a_missing_or_empty_file_needs_it_and_a_fresh_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "deep" / FILE
    assert migrate.needs(path)
    assert migrate.upgrade(path)
    assert not migrate.needs(path)
    assert not migrate.upgrade(path)
    empty = tmp_path / "empty.db"
    empty.touch()
    assert migrate.needs(empty)


def test_two_at_once_make_one_file(tmp_path: Path) -> None:
    path = tmp_path / FILE
    command = [sys.executable, "-m", "gemgate.store.migrate", str(path)]
    with ThreadPoolExecutor(2) as pool:
        runs = list(
            pool.map(lambda _: subprocess.run(command, capture_output=True, text=True, check=True), range(2))
        )
    said = sorted(run.stdout.split(": ")[1] for run in runs)
    assert said == [f"already at schema {version.HEAD}\n", f"brought to schema {version.HEAD}\n"]


def test_a_newer_schema_is_refused_with_its_number(data: Path) -> None:
    conn = sqlite3.connect(data / FILE)
    conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.commit()
    conn.close()
    with pytest.raises(version.Newer, match="9999"):
        migrate.needs(data / FILE)
    with pytest.raises(version.Newer):
        migrate.upgrade(data / FILE)


def test_a_migration_waits_for_another_and_says_so(tmp_path: Path) -> None:
    with (
        boots.alone(tmp_path),
        pytest.raises(TimeoutError, match="migrating"),
        boots.alone(tmp_path, patience=0.0),
    ):
        pass


def test_wrong_use_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_gateways_side_starts_without_sqlalchemy() -> None:
    code = "import sys, gemgate.store.database, gemgate.store.version, gemgate.store.reports, gemgate.store.verify;"
    code += "print([name for name in ('sqlalchemy', 'alembic') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
