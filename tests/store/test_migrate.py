"""The schema's history: it ends where ``schema`` is, refuses what is newer, and is quick to ask."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from keyed import budget, key
from sampled import RICH, START, attempt, findings, identity, intent, record
from sqlalchemy import create_engine, event

from gemgate.core.call import Charged, Made, Outcome
from gemgate.core.verdict import Kind
from gemgate.store import (
    affinity,
    boots,
    connection,
    interrupted,
    ledger,
    migrate,
    reports,
    spends,
    uses,
    version,
)
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.schema import metadata


def test_the_history_ends_at_the_schema(data: Path) -> None:
    engine = create_engine(f"sqlite:///{data / FILE}")
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    engine.dispose()
    assert migrate.head() == version.HEAD


def as_of(step: str, path: Path, source: Path) -> None:
    """A file as an older release would have left it: its own step, and the source's rows in its columns."""
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    with engine.connect() as conn:
        config = Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        config.attributes["connection"] = conn
        conn.exec_driver_sql("PRAGMA journal_mode = WAL")
        command.upgrade(config, step)
    engine.dispose()
    old = sqlite3.connect(path)
    old.execute("ATTACH ? AS source", (str(source),))
    tables = old.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
    )
    for (table,) in tables.fetchall():
        columns = ",".join(f'"{row[1]}"' for row in old.execute(f"PRAGMA main.table_info({table})"))
        old.execute(f"INSERT INTO main.{table}({columns}) SELECT {columns} FROM source.{table}")
    if step == "0002":
        old.execute("DELETE FROM marks WHERE name = 'key_hours'")  # the source's own
    old.commit()
    old.close()


def test_the_first_releases_record_is_carried_over_and_goes_on(conn: Connection, data: Path) -> None:
    boot = identity()
    one, other, lost = (intent(boot) for _ in range(3))
    ledger.open_tries(conn, [lost])
    cut = attempt(other, verdict=Kind.CUT, usage=RICH, estimated=True)
    ledger.settle(conn, [record(one), record(other, cut, attempt(other, number=2, project="second"))])
    conn.keep()
    old = data / "old" / FILE
    old.parent.mkdir()
    as_of("0001", old, data / FILE)
    assert version.found(old) == "0001"
    assert migrate.needs(old)
    before = {table: dump(old, table) for table in ("calls", "attempts", "charges", "details", "open_calls")}
    assert migrate.upgrade(old)
    for table, rows in before.items():
        after = dump(old, table)
        assert [row | have for have, row in zip(after, rows, strict=True)] == after
    new = connection.writer(old)
    new.execute("BEGIN IMMEDIATE")
    row = reports.newest(new, reports.Filter())[0]
    assert (row.route, row.answered, row.project) == ("", 0, "second")
    assert [(one.why, one.waited, one.hedge) for one in reports.attempts(new, row.seq)] == [
        ("", 0, False)
    ] * 2
    assert interrupted.close_dead(new, {boot: START}, lambda *_: None) == 1
    ledger.settle(new, [record(intent(boot), route="fast")])
    new.keep()
    rows = new.execute("SELECT route, outcome, waited_ms FROM call_log ORDER BY seq").fetchall()
    assert rows == [
        (None, "ok", 0.0),
        (None, "ok", 0.0),
        (None, Outcome.INTERRUPTED, 0.0),
        ("fast", "ok", 0.0),
    ]
    new.close()
    assert findings(old.parent) == []


def test_a_record_without_keys_is_carried_over_and_goes_on_with_them(conn: Connection, data: Path) -> None:
    boot = identity()
    one, lost = intent(boot), intent(boot)
    ledger.open_tries(conn, [lost])
    made = (Made("files/a", "default"),)
    ledger.settle(conn, [record(one, route="fast", made=made), record(intent(boot))])
    conn.keep()
    old = data / "old" / FILE
    old.parent.mkdir()
    as_of("0002", old, data / FILE)
    assert version.found(old) == "0002"
    tables = ("calls", "attempts", "charges", "details", "prefixes", "open_calls", "affinities", "routes")
    before = {table: dump(old, table) for table in tables}
    assert all(before[table] for table in ("calls", "attempts", "open_calls", "affinities", "routes"))
    assert migrate.upgrade(old)
    for table, rows in before.items():
        after = dump(old, table)
        assert [row | have for have, row in zip(after, rows, strict=True)] == after
    new = connection.writer(old)
    new.execute("BEGIN IMMEDIATE")
    assert [(row.key, row.user, row.door, row.tags) for row in reports.newest(new, reports.Filter())] == [
        ("", "", "", ())
    ] * 2
    assert affinity.find(new, ["files/a"]) == {"files/a": ("default", "", "")}
    assert interrupted.close_dead(new, {boot: START}, lambda *_: None) == 1
    alpha = key(new)
    whole = budget(new)
    told = record(intent(boot), key=alpha.id, user="ann", tags=("a",), charged=(Charged(whole.id, START, 5),))
    ledger.settle(new, [told])
    assert spends.since(new) == [Charged(whole.id, START, 5)]
    assert not uses.advance_keys(new, START)
    assert [(number, nano > 0) for number, _, nano in uses.rates(new, START)] == [(alpha.id, True)]
    # The calls from before the keys are not looked at again.
    assert new.execute("SELECT sum(calls) FROM key_hours").fetchone() == (1,)
    new.keep()
    rows = new.execute("SELECT route, key, user, door, outcome FROM call_log ORDER BY seq").fetchall()
    assert rows == [
        ("fast", None, None, None, "ok"),
        (None, None, None, None, "ok"),
        (None, None, None, None, "interrupted"),
        (None, "alpha", "ann", None, "ok"),
    ]
    new.close()
    assert findings(old.parent) == []


def dump(path: Path, table: str) -> list[dict[str, object]]:
    """All rows by their columns' names."""
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    rows = [dict(row) for row in conn.execute(f"SELECT * FROM {table}")]
    conn.close()
    return rows


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
