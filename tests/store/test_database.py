"""The store's laws, on a real file, with real programs that hold, fill, remove and damage it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sampled import BOOK, START, ask, assumed, change, findings, identity, intent, record

from gemgate.core.call import Intent
from gemgate.core.errors import Refused
from gemgate.store import boots, connection, ledger, operations, spill
from gemgate.store.connection import Connection
from gemgate.store.database import FILE, Database, Kept, Settings

HERE = Path(__file__).parent


@contextlib.asynccontextmanager
async def opened(data: Path, settings: Settings | None = None) -> AsyncIterator[Database]:
    """A database of a boot of its own."""
    database = await Database.open(data / FILE, boots.begin(data, identity()), settings)
    try:
        yield database
    finally:
        assert await database.close(30.0)


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """While another program holds the write lock."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "locker.py"), str(data / FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield
        other.communicate()


async def up(database: Database) -> None:
    """Until the store has taken everything back."""
    async with asyncio.timeout(60):
        while not database.health().up:  # noqa: ASYNC110 - the store tells nobody, it is looked at
            await asyncio.sleep(0)


def calls(data: Path) -> list[bytes]:
    """Call ids in commit order."""
    return [call_id for (call_id,) in ask(data, "SELECT call_id FROM calls ORDER BY seq")]


async def settled(database: Database, count: int) -> list[Intent]:
    """Open and settle so many calls, one after the other."""
    done = []
    for _ in range(count):
        one = intent(database.boot.id)
        await database.write(ledger.open_tries, one)
        await database.write(ledger.settle, record(one))
        done.append(one)
    return done


async def test_a_resolved_future_means_committed(data: Path) -> None:
    async with opened(data) as database:
        one = intent(database.boot.id)
        assert await database.write(ledger.open_tries, one) is Kept.STORED
        assert ask(data, "SELECT call_id FROM open_calls") == [(one.call_id,)]
        assert await database.write(ledger.settle, record(one)) is Kept.STORED
        assert calls(data) == [one.call_id]
    assert findings(data) == []


async def test_values_that_wait_together_are_committed_together(data: Path) -> None:
    async with opened(data) as database:
        seen: list[str] = []
        await database.run(lambda conn: conn.set_trace_callback(seen.append))
        writes = [database.write(ledger.settle, record(intent(database.boot.id))) for _ in range(200)]
        assert set(await asyncio.gather(*writes)) == {Kept.STORED}
        await database.run(lambda conn: conn.set_trace_callback(None))
    commits = sum(one.startswith("COMMIT") for one in seen)
    # The first batch may be as small as the thread is quick; no more than a handful follow.
    assert 1 < commits < 50
    assert len(calls(data)) == 200


async def test_order_of_settling_is_order_of_rows(data: Path) -> None:
    async with opened(data) as database:
        tries = [intent(database.boot.id) for _ in range(500)]
        writes = [database.write(op, make(one)) for one in tries for op, make in _LIFE]
        await asyncio.gather(*writes)
    assert calls(data) == [one.call_id for one in tries]
    assert ask(data, "SELECT count(*) FROM open_calls") == [(0,)]


_LIFE: list[tuple[Any, Any]] = [(ledger.open_tries, lambda one: one), (ledger.settle, record)]


async def test_a_value_that_cannot_be_written_fails_alone(data: Path) -> None:
    async with opened(data) as database:
        good = [record(intent(database.boot.id)) for _ in range(3)]
        bad = record(intent(database.boot.id), received_at=2**70)
        writes = [database.write(ledger.settle, one) for one in (good[0], bad, good[1], good[2])]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [results[0], *results[2:]] == [Kept.STORED] * 3
        assert isinstance(results[1], OverflowError)
        assert database.health().up
    assert calls(data) == [one.call_id for one in good]


async def test_a_function_runs_in_its_place_and_gives_its_result_or_fault(data: Path) -> None:
    async with opened(data) as database:
        count = "SELECT count(*) FROM calls"
        before = database.run(lambda conn: conn.execute(count).fetchone()[0])
        write = database.write(ledger.settle, record(intent(database.boot.id)))
        after = database.run(lambda conn: conn.execute(count).fetchone()[0])
        assert (await before, await write, await after) == (0, Kept.STORED, 1)
        with pytest.raises(ZeroDivisionError):
            await database.run(lambda _: 1 // 0)
        with pytest.raises(TypeError):
            database.write(lambda *_: None, 1)


async def test_locked_by_another_program_serve_spills_and_moves_in_order(data: Path) -> None:
    async with opened(data) as database:
        done = await settled(database, 3)
        with locked(data):
            one = intent(database.boot.id)
            assert await database.write(ledger.open_tries, one) is Kept.SPILLED
            health = database.health()
            assert (health.up, health.reason, health.spilled) == (False, "locked by another program", 1)
            assert await database.write(ledger.settle, record(one)) is Kept.SPILLED
            done.append(one)
            done += await settled(database, 40)
            with pytest.raises(Refused):
                await database.run(lambda conn: conn.execute("SELECT 1"))
            assert calls(data) == [one.call_id for one in done[:3]]
            assert any(one.kind == "spill" for one in findings(data))
        await up(database)
        done += await settled(database, 3)
        assert (database.health().spilled, database.health().reason) == (0, "")
        assert calls(data) == [one.call_id for one in done]
    assert findings(data) == []
    assert list((data / "spill").iterdir()) == []


async def test_new_values_go_behind_a_long_spill(data: Path) -> None:
    async with opened(data) as database:
        with locked(data):
            done = await settled(database, 1_500)
        kept = Counter[Kept]()
        while not database.health().up:
            one = intent(database.boot.id)
            kept[await database.write(ledger.settle, record(one))] += 1
            done.append(one)
        done += await settled(database, 1)
    assert kept[Kept.SPILLED] > 0
    assert calls(data) == [one.call_id for one in done]
    assert findings(data) == []


async def test_locked_by_another_program_refuse_refuses(data: Path) -> None:
    async with opened(data, Settings(when_down="refuse")) as database:
        with locked(data):
            for _ in range(2):
                with pytest.raises(Refused) as refused:
                    await database.write(ledger.open_tries, intent(database.boot.id))
                assert (refused.value.status, refused.value.code) == (503, "STORE_DOWN")
                assert "locked" in refused.value.message
        await up(database)
        await settled(database, 1)
    assert not list((data / "spill").glob("*"))


async def test_no_spill_file_either_is_refused(data: Path) -> None:
    (data / "spill").write_text("not a folder")
    async with opened(data) as database:
        with locked(data):
            with pytest.raises(Refused) as refused:
                await database.write(ledger.settle, record(intent(database.boot.id)))
            assert (refused.value.status, refused.value.code) == (503, "RECORD_DOWN")
        await up(database)
        await settled(database, 1)
    assert len(calls(data)) == 1


async def test_a_full_disk_is_recognised_and_survived(data: Path) -> None:
    change(data, "CREATE TABLE junk(filler)")
    change(data, "INSERT INTO junk VALUES(zeroblob(400000))")
    async with opened(data) as database:
        await database.run(_take_no_more_pages)
        tries = [intent(database.boot.id) for _ in range(400)]
        kept = Counter(await asyncio.gather(*[database.write(ledger.settle, record(one)) for one in tries]))
        assert kept[Kept.SPILLED] > 0
        assert database.health().reason == "disk full"
        change(data, "DROP TABLE junk")
        await up(database)
    assert sorted(calls(data)) == [one.call_id for one in tries]
    assert findings(data) == []


def _take_no_more_pages(conn: Connection) -> None:
    pages = conn.execute("PRAGMA page_count").fetchone()[0]
    conn.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.parametrize(("what", "answer"), [("store", "spilled"), ("all", "RECORD_DOWN")])
def test_files_that_cannot_grow(data: Path, what: str, answer: str) -> None:
    run = subprocess.run(
        [sys.executable, str(HERE / "full_disk.py"), str(data), what],
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(run.stdout)
    assert said["kept"][:20] == ["stored"] * 20
    assert said["kept"][39] == answer
    assert said["reasons"] == ["disk error"]
    assert len(calls(data)) == sum(one != "RECORD_DOWN" for one in said["kept"])
    assert findings(data) == []


async def test_a_file_that_cannot_be_written(data: Path) -> None:
    writable = _write_version(data, 3)  # SQLite's own mark for "you may only read this"
    async with opened(data) as database:
        assert database.health().reason == "file cannot be written"
        one = intent(database.boot.id)
        assert await database.write(ledger.settle, record(one)) is Kept.SPILLED
        _write_version(data, writable)
        await up(database)
        assert calls(data) == [one.call_id]


def _write_version(data: Path, version: int) -> int:
    with (data / FILE).open("r+b") as file:
        file.seek(18)
        before = file.read(1)[0]
        file.seek(18)
        file.write(bytes([version]))
    return before


async def test_a_file_that_is_gone_loses_nothing_that_comes_after(data: Path) -> None:
    async with opened(data) as database:
        first = await settled(database, 2)
        for name in (FILE, FILE + "-wal", FILE + "-shm"):
            (data / name).rename(data / f"moved-{name}")
        late = await settled(database, 2)
        assert database.health().reason == "file is gone or was replaced"
        for name in (FILE, FILE + "-wal", FILE + "-shm"):
            (data / f"moved-{name}").rename(data / name)
        await up(database)
        assert calls(data) == [one.call_id for one in first + late]
    assert findings(data) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"this is no database" * 400, "file is damaged or no database"), (b"", "file has another schema")],
)
async def test_a_file_that_is_no_ledger(data: Path, content: bytes, reason: str) -> None:
    good = (data / FILE).read_bytes()
    (data / FILE).write_bytes(content)
    async with opened(data) as database:
        assert database.health().reason == reason
        one = intent(database.boot.id)
        assert await database.write(ledger.settle, record(one)) is Kept.SPILLED
        _replace(data, good)
        await up(database)
        assert calls(data) == [one.call_id]


def _replace(data: Path, content: bytes) -> None:
    for path in data.glob(FILE + "*"):
        path.unlink()
    (data / FILE).write_bytes(content)


def _left_by_a_dead_boot(data: Path, count: int) -> tuple[list[Intent], Path]:
    """A spill file with so many whole calls, and one left open."""
    boot = identity()
    left = spill.Spill(spill.path_of(data, boot), sync=False)
    tries = [intent(boot) for _ in range(count + 1)]
    frames = [operations.encode(op, make(one)) for one in tries[:-1] for op, make in _LIFE]
    left.append([*frames, operations.encode(ledger.open_tries, tries[-1])])
    left.close()
    return tries, left.path


async def test_the_spill_of_a_dead_boot_is_moved_before_its_calls_are_closed(data: Path) -> None:
    tries, path = _left_by_a_dead_boot(data, 30)
    async with opened(data) as database:
        assert await database.sweep(assumed) == 1
        assert await database.sweep(assumed) == 0
        rows = ask(
            data, "SELECT c.call_id, o.name FROM calls c JOIN outcomes o ON o.id = c.outcome_id ORDER BY seq"
        )
        assert rows == [(one.call_id, "ok") for one in tries[:-1]] + [(tries[-1].call_id, "interrupted")]
        assert not path.exists()
    assert findings(data) == []


async def test_a_boot_that_ended_in_order_leaves_no_lock_file_for_ever(data: Path) -> None:
    for _ in range(3):
        async with opened(data) as database:
            assert await database.sweep(assumed) == 0
            (lock,) = (data / "boots").glob("????????*.lock")
            assert lock.stem == database.boot.id.hex()


async def test_the_spill_of_a_living_boot_is_left_to_it(data: Path) -> None:
    other = boots.begin(data, identity())
    theirs = spill.Spill(spill.path_of(data, other.id), sync=False)
    theirs.append([operations.encode(ledger.settle, record(intent(other.id)))])
    async with opened(data) as database:
        assert database.health().spilled == 0
        assert await database.sweep(assumed) == 0
        assert calls(data) == []
        other.release()
        assert await database.sweep(assumed) == 0
        await up(database)
        assert len(calls(data)) == 1


async def test_a_torn_tail_costs_nothing_but_itself(data: Path) -> None:
    tries, path = _left_by_a_dead_boot(data, 5)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])  # the last frame, an open try, was never answered for
    async with opened(data) as database:
        assert await database.sweep(assumed) == 0
        await up(database)
        assert calls(data) == [one.call_id for one in tries[:-1]]


async def test_a_spilled_value_that_can_never_be_stored_is_put_aside(data: Path) -> None:
    boot = identity()
    left = spill.Spill(spill.path_of(data, boot), sync=False)
    good = [record(intent(boot)) for _ in range(3)]
    frames = [operations.encode(ledger.settle, one) for one in good]
    left.append([frames[0], b"settle  rubbish", b"unknown " + frames[1][8:], *frames[1:]])
    left.close()
    async with opened(data) as database:
        await up(database)
        assert database.health().rejected == 2
        assert calls(data) == [one.call_id for one in good]
    assert [one.kind for one in findings(data)] == ["spill"]


def test_killed_in_the_middle_of_moving_the_spill(data: Path) -> None:
    tries, path = _left_by_a_dead_boot(data, 4_000)
    caught = 0
    for _ in range(3):
        before = len(calls(data))
        with subprocess.Popen([sys.executable, str(HERE / "mover.py"), str(data), identity().hex()]) as mover:
            while mover.poll() is None and len(calls(data)) == before and path.exists():
                pass
            os.kill(mover.pid, signal.SIGKILL)
        caught += path.exists() and before < len(calls(data)) < 4_000
    assert caught > 0

    async def finish() -> None:
        async with opened(data) as database:
            assert await database.sweep(assumed) == 1

    asyncio.run(finish())
    assert calls(data) == [one.call_id for one in tries]
    assert findings(data) == []


async def test_closing_writes_what_was_handed_over_and_takes_no_more(data: Path) -> None:
    database = await Database.open(data / FILE, boots.begin(data, identity()))
    writes = [database.write(ledger.settle, record(intent(database.boot.id))) for _ in range(300)]
    assert await database.close(30.0)
    assert {await one for one in writes} == {Kept.STORED}
    with pytest.raises(Refused):
        await database.write(ledger.settle, record(intent(database.boot.id)))
    with pytest.raises(Refused):
        await database.run(lambda conn: conn.execute("SELECT 1"))
    assert ask(data, "SELECT count(*) FROM boots WHERE ended IS NOT NULL") == [(1,)]
    assert not boots.alive(data, database.boot.id)


async def test_who_stops_waiting_does_not_take_the_value_back(data: Path) -> None:
    async with opened(data) as database:
        one = record(intent(database.boot.id))
        future = database.write(ledger.settle, one)
        future.cancel()
        await database.run(lambda _: None)
        assert calls(data) == [one.call_id]


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
async def test_durability_is_what_sqlite_is_told(data: Path, durability: Any, level: int) -> None:
    async with opened(data, Settings(durability=durability)) as database:
        assert await database.run(lambda conn: conn.execute("PRAGMA synchronous").fetchone()[0]) == level
        assert await database.run(lambda conn: conn.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
        assert await database.run(lambda conn: conn.execute("PRAGMA wal_autocheckpoint").fetchone()[0]) == 0
        with locked(data):
            assert await database.write(ledger.settle, record(intent(database.boot.id))) is Kept.SPILLED


async def test_a_reader_that_never_ends_does_not_stop_the_writer(data: Path) -> None:
    other = sqlite3.connect(data / FILE, isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM calls").fetchone() == (0,)
    async with opened(data) as database:
        await settled(database, 50)
        assert database.health().up
    assert other.execute("SELECT count(*) FROM calls").fetchone() == (0,)
    other.close()
    assert len(calls(data)) == 50


async def test_a_log_that_grew_is_carried_over_and_shrinks(data: Path) -> None:
    async with opened(data) as database:
        await database.run(
            lambda conn: conn.execute("CREATE TABLE junk AS SELECT zeroblob(24000000) AS filler")
        )
        wal = data / (FILE + "-wal")
        assert _size(wal) > 24_000_000
        async with asyncio.timeout(60):
            while _size(wal) > connection.WAL_KEPT:
                await settled(database, 1)
        assert database.health().up
    assert findings(data) == []


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_a_living_gateway_leaves_signs_of_life(data: Path) -> None:
    async with opened(data) as database:
        lock = data / "boots" / f"{database.boot.id.hex()}.lock"
        os.utime(lock, (0, 0))
        async with asyncio.timeout(60):
            while boots.last_seen(data, database.boot.id) == 0:
                await settled(database, 1)
        assert boots.alive(data, database.boot.id)


async def test_reading_beside_the_writer_leaves_its_locks_alone(data: Path) -> None:
    """Another program that comes and goes finds the log in use, although we too came and went."""
    async with opened(data) as database:
        await settled(database, 1)
        findings(data)
        calls(data)
        with locked(data):
            pass
        assert _size(data / (FILE + "-wal")) > 0
        done = await settled(database, 1)
        assert calls(data)[-1] == done[0].call_id


def test_what_is_spilled_comes_back_as_it_was() -> None:
    one = intent(identity())
    moved = ledger.NextTry(finished=record(one).attempts[0], opened=one)
    for op, value in ((ledger.open_tries, one), (ledger.next_try, moved), (ledger.settle, record(one))):
        assert operations.decode(operations.encode(op, value)) == (op, value)


async def test_the_price_book_is_on_record_before_what_was_spilled(data: Path) -> None:
    for table in ("prices", "price_books"):
        change(data, f"DELETE FROM {table}")
    tries, _ = _left_by_a_dead_boot(data, 3)
    async with opened(data, Settings(prices=BOOK.in_force(START), book="tests")) as database:
        assert await database.sweep(assumed) == 1
    assert len(calls(data)) == len(tries)
    assert ask(data, "SELECT count(*) FROM attempts WHERE price_id IS NULL") == [(0,)]
    assert findings(data) == []
